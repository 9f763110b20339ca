"""The notebook runs as it stands, on the jets of the tests, without a wall of warnings."""

import ast
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "scripts" / "first_steps.ipynb"


def test_outputs_are_cleared():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.outputs or cell.execution_count for cell in notebook.cells if cell.cell_type == "code")


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "default::DeprecationWarning", "default::pytest.PytestUnraisableExceptionWarning", "default::ResourceWarning"
)
def test_notebook_runs_and_says_what_it_should(dataset, data_dir):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace('prepare("jet_flavor")', f"prepare('jet_flavor', data_dir={str(data_dir)!r})")
    NotebookClient(notebook, timeout=550).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    shown = [output.data["text/plain"] for output in outputs if output.output_type == "execute_result"]
    errors = [line for output in outputs if output.get("name") == "stderr" for line in output.text.splitlines()]
    # On a machine with a driver but without a GPU, CUDA has its word.
    assert not [line for line in errors if "cuda" not in line.lower()]
    assert shown[0].splitlines()[0].startswith("jet_flavor, 184 features, in ")
    assert f"train: {dataset.count('train'):,} jets" in shown[0]
    assert shown[1].startswith(f"Jets: {dataset.count('test'):,} of 184 features")
    areas = ast.literal_eval(shown[2])
    assert 0.5 < areas["nominal"]["attacked"] < areas["nominal"]["clean"] < 1
    assert areas["adversarial"]["clean"] > 0.5
