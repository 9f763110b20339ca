"""What the sdist holds."""

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

pytest.importorskip("setuptools")

ROOT = Path(__file__).parents[1]


def test_no_lone_tests_are_in_the_sdist(tmp_path):
    """Newer versions of setuptools list them of themselves, a MANIFEST.in makes all do so."""
    files = ["setup.cfg", "README.md", "LICENSE", "kerastag/__init__.py", "kerastag/source_distribution.py"]
    for name in [*files, "tests/test_tables.py"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "MANIFEST.in").write_text("include tests/test_tables.py\n")
    command = [sys.executable, "-c", "import setuptools; setuptools.setup()", "sdist"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    (made,) = (tmp_path / "dist").iterdir()
    with tarfile.open(made) as content:
        names = {name.partition("/")[2] for name in content.getnames()}
    assert set(files) <= names and not [name for name in names if name.startswith("tests")]
