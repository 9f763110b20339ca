"""What the READMEs print is run as it stands, on the jets of the tests."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import NTUPLE, run_command

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


def test_is_short_and_another_names_every_script():
    assert len(README.splitlines()) <= 120
    commands = (ROOT / "scripts" / "README.md").read_text()
    assert set(re.findall(r"`scripts/(\w+\.py)`", commands)) == {path.name for path in (ROOT / "scripts").glob("*.py")}


def own_files_commands() -> list[list[str]]:
    """The lines that lead from files to taggers, as words."""
    (block,) = re.findall(r"```bash\n(kerastag inspect.*?)```", (ROOT / "tfds_jets" / "README.md").read_text(), re.DOTALL)
    return [shlex.split(line, comments=True)[1:] for line in block.splitlines()]


QUICK = {
    "train": ["--epochs", "1", "--paper", "--model", "paper_mlp"],
    "evaluate": ["--attack", "fgsm", "--paper", "--replicates", "10"],
}


@pytest.mark.slow
@pytest.mark.parametrize(("folder", "file"), [("own", "own_made_up_tree"), ("pfnano", "pfnano_rntuple")])
def test_files_become_taggers_by_the_lines_as_printed(folder, file, tmp_path, monkeypatch):
    source = NTUPLE.parent / f"{file}.root"
    if not source.is_file():
        pytest.skip(f"{source.name} is not part of the repository")
    monkeypatch.chdir(tmp_path)
    Path(folder).mkdir()
    (Path(folder) / source.name).symlink_to(source)
    for name, *words in own_files_commands():
        if not any(word.split("/")[-1] == folder for word in words) or name == "report":
            continue
        data_dir = [] if name == "inspect" else ["--data-dir", "data"]
        done = run_command(name, *words, *QUICK.get(name, []), *data_dir)
        assert done.code == 0, (name, done.err)
    assert (Path("exported") / folder / "model.onnx").is_file()
