"""What the READMEs print is run as it stands, on the jets of the tests."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def python_blocks(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def test_library_example_runs(dataset, data_dir, jet_files):
    (code,) = python_blocks(README)
    code = code.replace('data.prepare("jet_flavor")', f"data.prepare('jet_flavor', data_dir='{data_dir}')")
    code = code.replace("epochs=20", "epochs=1")
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert re.search(r"\{'BvL': 0\.\d+, 'CvB': 0\.\d+, 'CvL': 0\.\d+\}", result.stdout)


def test_line_for_single_jets_runs(dataset, data_dir):
    (code,) = python_blocks((ROOT / "tfds_jets" / "README.md").read_text())
    code = code.replace('"tfds_jets/jet_flavor"', f"'tfds_jets/jet_flavor', data_dir='{data_dir}'")
    code = code.strip().rsplit("\n", 1)
    code = f"{code[0]}\njets = {code[1]}\nprint(len(list(jets)), next(iter(jets))['features'].shape)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.split() == [str(dataset.count("train")), "(184,)"], result.stderr


def test_is_short_and_names_every_script():
    assert len(README.splitlines()) <= 120
    assert set(re.findall(r"`scripts/(\w+\.py)`", README)) == {path.name for path in (ROOT / "scripts").glob("*.py")}
