"""The notebooks run as they stand, on few jets, without a wall of warnings, and are stored without outputs."""

import ast
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "scripts" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_cleared(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.outputs or cell.execution_count for cell in notebook.cells if cell.cell_type == "code")


def run(name: str, changes: dict[str, str], folder: Path) -> list:
    """Outputs of a notebook that runs in a folder with some of its text changed, each of which must be there."""
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for old, new in changes.items():
        assert any(old in cell.source for cell in code), old
        for cell in code:
            cell.source = cell.source.replace(old, new)
    NotebookClient(notebook, timeout=550, resources={"metadata": {"path": str(folder)}}).execute()
    outputs = [output for cell in code for output in cell.outputs]
    errors = [line for output in outputs if output.get("name") == "stderr" for line in output.text.splitlines()]
    # On a machine with a driver but without a GPU, CUDA has its word; TensorFlow says where it writes.
    assert not [line for line in errors if "cuda" not in line.lower() and not line.startswith("INFO:")]
    return outputs


def shown(outputs: list) -> list[str]:
    """What cells ended in, as text."""
    results = [output.data for output in outputs if output.output_type == "execute_result"]
    return [data.get("text/markdown", data["text/plain"]) for data in results]


def figures(outputs: list) -> int:
    return sum("image/png" in output.get("data", ()) for output in outputs)


runs = pytest.mark.filterwarnings(
    "default::DeprecationWarning", "default::pytest.PytestUnraisableExceptionWarning", "default::ResourceWarning"
)


@pytest.mark.slow
@runs
def test_attack_your_own_tagger(dataset, data_dir, tmp_path):
    changes = {
        'prepare("jet_flavor")': f"prepare('jet_flavor', data_dir={str(data_dir)!r})",
        "slice(1000)": "slice(300)",
    }
    outputs = run("attack_your_own_tagger", changes, tmp_path)
    areas, box, larger = shown(outputs)
    assert 0 < ast.literal_eval(areas)["attacked"] < ast.literal_eval(areas)["clean"] < 1
    assert len(box.splitlines()) == 12 and "| jet_pt" in box
    for of_tagger in ast.literal_eval(larger).values():
        assert ast.literal_eval(areas)["attacked"] > of_tagger[0.5] >= of_tagger[5] and of_tagger[5] < 0.5
    assert figures(outputs) == 2


def test_ten_lines_are_ten():
    notebook = nbformat.read(FOLDER / "attack_your_own_tagger.ipynb", as_version=4)
    first = next(cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert len([line for line in first.splitlines() if line]) == 10


@pytest.mark.slow
@runs
def test_from_root_files_to_a_robust_tagger(tmp_path, monkeypatch):
    monkeypatch.setenv("TQDM_DISABLE", "1")  # building a data set shows progress on stderr
    changes = {
        "JETS, FOLDER = 40_000": "JETS, FOLDER = 6_000",
        "EPOCHS, BATCH = 5, 256": "EPOCHS, BATCH = 4, 64",
    }
    outputs = run("from_root_files_to_a_robust_tagger", changes, tmp_path)
    printed = "".join(output.text for output in outputs if output.get("name") == "stdout")
    assert "tree 'jets', 6,000 entries" in printed and "What could not be told" in printed
    made, test, areas, difference = shown(outputs)
    assert made.startswith("mine, 29 features, in ") and "train: 4," in made
    assert test.startswith("Jets: ") and " of 29 features" in test
    of = ast.literal_eval(areas)
    assert 0.6 < of["nominal"]["PGD"] <= of["nominal"]["FGSM"] < of["nominal"]["clean"] < 1
    assert 0.6 < of["adversarial"]["PGD"] <= of["adversarial"]["FGSM"] < of["adversarial"]["clean"] < 1
    assert float(difference) < 1e-5
    assert figures(outputs) == 1
