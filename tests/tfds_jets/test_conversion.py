import numpy as np
import pytest
import uproot

from kerastag.errors import UserError
from tests.conftest import jet_lines, write_lines
from tfds_jets.conversion import convert


def test_every_value_arrives(tmp_path):
    lines = jet_lines(60)
    assert convert(write_lines(lines, tmp_path / "a.json.gz"), tmp_path / "out", files=1) == 60
    tree = uproot.open(tmp_path / "out" / "jets_0000.root")["jets"]
    order = np.argsort(tree["jet_pt"].array(library="np"))
    by_pt = sorted(lines, key=lambda line: line[0])
    arrays = tree.arrays()[order]
    assert arrays["jet_parton_flavour"].to_list() == [line[2] for line in by_pt]
    assert arrays["jet_eta"].to_list() == pytest.approx([line[1] for line in by_pt])
    for jet, line in zip(arrays, by_pt, strict=True):
        assert jet["jet_width_phi"] == pytest.approx(line[3][7])
        assert jet["vertex_significance"] == pytest.approx(float(line[4][0]), nan_ok=True)
        assert jet["track_D0"].to_list() == pytest.approx([track[0][0] for track in line[5]])
        assert jet["track_QOVERPQOVERP"].to_list() == pytest.approx([track[1][14] for track in line[5]])
        assert jet["track_weight"].to_list() == pytest.approx([track[2][0] for track in line[5]])
        assert jet["track_vertex_delta_eta_jet"].to_list() == pytest.approx(
            [float(track[3][2]) for track in line[5]], nan_ok=True
        )


def test_flavours_are_scattered_over_files(tmp_path):
    convert(write_lines(jet_lines(900), tmp_path / "a.json.gz"), tmp_path / "out", files=3)
    for path in (tmp_path / "out").iterdir():
        flavour = uproot.open(path)["jets/jet_parton_flavour"].array(library="np")
        assert 250 < len(flavour) < 350
        for label in (0, 4, 5):
            assert 70 < (flavour == label).sum() < 130


def test_damaged_files_are_named(tmp_path):
    path = write_lines(jet_lines(50), tmp_path / "a.json.gz")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"a\.json\.gz.*truncated"):
        convert(path, tmp_path / "out")
    broken = jet_lines(3)
    broken[1][3].pop()
    with pytest.raises(UserError, match="Line 2 of"):
        convert(write_lines(broken, tmp_path / "b.json.gz"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_existing_folder_is_left_alone(tmp_path):
    with pytest.raises(UserError, match="exists already"):
        convert(write_lines(jet_lines(3), tmp_path / "a.json.gz"), tmp_path)
