"""Files: complete, reproducible, resumable; precision; the script."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import uproot

from kerastag import data
from kerastag.errors import UserError
from kerastag.schema import DEEPCSV, JET_FLAVOR
from kerastag.simulation import precision, production, validation
from kerastag.simulation.settings import SimulationSettings
from kerastag.simulation.unit import Simulation

SMALL = SimulationSettings(seed=3, events_per_unit=150)
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def produced(tmp_path_factory):
    """A file of 200 jets."""
    path = tmp_path_factory.mktemp("produced") / "jets.root"
    summary = production.produce(path, 200, SMALL, 2)
    return path, summary


def content(path):
    """All columns of a file as flat lists of text, so that NaN equals NaN, and its metadata."""
    with uproot.open(path) as file:
        columns = file["jets"].arrays(library="np")
        lists = {name: np.concatenate([np.ravel(row) for row in values]).tolist() for name, values in columns.items()}
        return {name: [str(value) for value in values] for name, values in lists.items()}, str(file["metadata"])


def test_file_holds_what_was_asked_for(produced):
    path, summary = produced
    jets, metadata = content(path)
    assert len(jets["event"]) == 200
    assert summary.jets >= 200
    assert summary.events % sum(SMALL.process_events.values()) == 0
    assert json.loads(metadata)["settings"]["seed"] == 3
    assert json.loads(metadata)["versions"]["pythia8mc"]
    assert not list(path.parent.glob("*.parts"))


def test_both_schemas_read_the_file(produced):
    for schema in (JET_FLAVOR, DEEPCSV):
        features, label = validation.read(produced[0], schema)
        assert features.shape == (200, len(schema.features))
        assert np.isfinite(features).all()
        assert set(label) == {0, 1, 2}


def test_content_does_not_depend_on_the_number_of_processes(produced, tmp_path):
    production.produce(tmp_path / "jets.root", 200, SMALL, 1)
    assert content(tmp_path / "jets.root") == content(produced[0])


@pytest.mark.slow
def test_files_of_several_seeds_are_joined_by_the_builder(produced, tmp_path):
    """As several machines make them: other jets under the same numbers of events, none a copy of another."""
    production.produce(tmp_path / "jets" / "4.root", 100, dataclasses.replace(SMALL, seed=4), 1)
    (tmp_path / "jets" / "3.root").symlink_to(produced[0])
    dataset = data.prepare("jet_flavor", data_dir=tmp_path / "data", manual_dir=tmp_path / "jets")
    assert dataset.cleaning["read"] == 300
    assert dataset.cleaning["copies"] == 0


def wait_until(condition, seconds: float) -> None:
    """Wait until a condition holds; fail if it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for surviving workers in /proc")
def test_a_killed_production_goes_on_and_ends_in_the_same_jets(produced, tmp_path):
    """Kill -9 once two parts are there: they are used, nothing is lost or doubled, and no worker survives."""
    target = tmp_path / "jets.root"
    command = (
        "import sys; from pathlib import Path; from kerastag.simulation import production; "
        "from kerastag.simulation.settings import SimulationSettings\n"
        "settings = SimulationSettings(seed=3, events_per_unit=150)\n"
        "if __name__ == '__main__': production.produce(Path(sys.argv[1]), 5000, settings, 1)"
    )
    script = tmp_path / "script.py"
    script.write_text(command)
    process = subprocess.Popen([sys.executable, str(script), str(target)], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    parts = tmp_path / "jets.root.parts"
    wait_until(lambda: len(list(parts.glob("0*.npz"))) >= 2, seconds=60)
    workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert workers
    wait_until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers), seconds=10)
    assert len(list(parts.glob("0*.npz"))) >= 2
    summary = production.produce(target, 200, SMALL, 1)
    assert summary.reused > 0
    assert content(target) == content(produced[0])
    events = [int(event) for event in content(target)[0]["event"]]
    assert events == sorted(events)


def test_parts_of_other_settings_are_refused(tmp_path):
    parts = tmp_path / "jets.root.parts"
    parts.mkdir()
    (parts / "production.json").write_text('{"settings": {}}')
    with pytest.raises(UserError, match="other settings"):
        production.produce(tmp_path / "jets.root", 100, SMALL, 1)


def test_an_existing_file_is_left_alone(tmp_path):
    (tmp_path / "jets.root").write_text("mine")
    with pytest.raises(UserError, match="exists already"):
        production.produce(tmp_path / "jets.root", 100, SMALL, 1)
    assert (tmp_path / "jets.root").read_text() == "mine"


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Not a directory"):
        production.produce(tmp_path / "file" / "jets.root", 10, SMALL, 1)


@pytest.mark.parametrize(("jets", "processes"), [(0, 1), (10, 0)])
def test_nonsense_numbers_are_refused(tmp_path, jets, processes):
    with pytest.raises(UserError, match="must be positive"):
        production.produce(tmp_path / "jets.root", jets, SMALL, processes)


@pytest.mark.parametrize("options", [{"seed": -1}, {"minimum_pthat": 1}, {"events_per_unit": 5}])
def test_nonsense_settings_are_refused(options):
    with pytest.raises(UserError):
        SimulationSettings(**options)


def test_stored_digits_are_enough():
    """Track parameters to 1/256 of their uncertainty, everything else to 6e-5, whole numbers and sentinels exactly."""
    unit = Simulation(SMALL).unit(0)
    jets, objects = precision.columns(unit)
    tracks = objects["track"]
    for name, values in (unit.jets | unit.tracks).items():
        stored = (jets | tracks)[name]
        if np.issubdtype(values.dtype, np.integer):
            np.testing.assert_array_equal(stored, values)
        elif name in ("D0", "Z0", "PHI", "THETA", "QOVERP"):
            assert (np.abs(stored - values) <= np.sqrt(unit.tracks[name + name]) / 256).all(), name
        else:
            np.testing.assert_allclose(stored, values, rtol=6.2e-5, err_msg=name)
            np.testing.assert_array_equal(np.isfinite(stored), np.isfinite(values))
    assert (jets["Jet_DeepCSV_flightDistance2dVal"] == -999).any()


def run(*options):
    """The script's exit code, stdout and stderr."""
    script = ROOT / "scripts" / "simulate.py"
    done = subprocess.run([sys.executable, script, *map(str, options)], capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout, done.stderr


def test_script_refuses_to_overwrite_in_one_sentence(produced):
    code, _, errors = run("--output", produced[0], "--jets", 10)
    assert code == 2
    assert len(errors.splitlines()) == 1
    assert "exists already" in errors


def test_script_validates_and_draws(produced, tmp_path):
    code, printed, errors = run("--validate", produced[0], "--figures", tmp_path / "figures")
    assert code == 0, errors
    assert "track_0_D0" in printed
    assert "median" in printed
    assert len(list((tmp_path / "figures").glob("*.png"))) == 2


def test_missing_fastjet_is_one_sentence(tmp_path):
    code = (
        "import runpy, sys; sys.modules['fastjet'] = None; sys.argv = ['simulate.py', '--output', sys.argv[1]]; "
        f"runpy.run_path({str(ROOT / 'scripts' / 'simulate.py')!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "jets.root"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "extra 'simulation'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_figures_need_a_file_to_draw(tmp_path):
    code, _, errors = run("--figures", tmp_path, "--output", tmp_path / "jets.root")
    assert code == 2
    assert "--validate" in errors
    assert not list(tmp_path.iterdir())


def test_validation_needs_a_file(tmp_path):
    code, _, errors = run("--validate", tmp_path / "none.root")
    assert code == 2
    assert "none.root" in errors


def test_moments_are_those_of_numpy_in_the_published_mix():
    """Weighted by hand: two flavours present as often as the third would make the mix."""
    rng = np.random.default_rng(0)
    label = rng.choice(3, 5000, p=[0.2, 0.3, 0.5])
    features = rng.normal(label[:, None], 1, (5000, 184)).astype(np.float32)
    features[::10, 3] = JET_FLAVOR.defaults[3]
    moments = validation.moments(features, label)
    expected = 0.12 * features[label == 1, 0].mean(dtype=float) + 0.487 * features[label == 2, 0].mean(dtype=float)
    expected += 0.393 * features[label == 0, 0].mean(dtype=float)
    assert moments[0].mean == pytest.approx(expected)
    assert moments[3].default_fraction == pytest.approx(0.1, abs=0.01)
    assert [row.name for row in moments] == list(JET_FLAVOR.names)
