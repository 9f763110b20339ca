"""Schemas that are drafted from files in the shapes that experiments use, and jets read through them."""

import awkward as ak
import h5py
import numpy as np
import pytest
import uproot

from kerastag import schema as schemas
from kerastag.errors import UserError
from kerastag.schema import Schema, toml
from tests.conftest import NTUPLE, run_command
from tfds_jets import inspection, reading
from tfds_jets.draft import draft

SHARED = NTUPLE.parent
JETS = 60
RNG = np.random.default_rng(3)
COUNTS = RNG.integers(1, 5, JETS)


def lists(low, high):
    return ak.unflatten(RNG.uniform(low, high, COUNTS.sum()).astype(np.float32), COUNTS)


def write(path, tree, columns):
    types = {
        name: ak.type(values).content if isinstance(values, ak.Array) else values.dtype for name, values in columns.items()
    }
    with uproot.recreate(path) as file:
        file.mktree(tree, types)
        file[tree].extend(columns)
    return path


def drafted(path, tree, tmp_path) -> Schema:
    """The schema of a draft, through a file as the user has it."""
    made = draft(inspection.columns(path, tree, iter), tree, "mine")
    toml.check(made.schema)
    (tmp_path / "mine.toml").write_text(toml.text(made.schema))
    return schemas.read(tmp_path / "mine.toml")


def read(path, schema):
    return next(iter(reading.read([reading.RootFile.of(path)], schema, "", reading.Cleaning.none(schema))))


FLAVOUR = RNG.choice([0, 4, 5], JETS).astype(np.int32)
SHAPES = {
    # The public flavour-tagging set, Zenodo 13350327: flat trees, jagged tracks.
    "flat": {
        "jet_pt": RNG.uniform(20, 200, JETS).astype(np.float32),
        "jet_eta": RNG.uniform(-2, 2, JETS).astype(np.float32),
        "HadronConeExclTruthLabelID": FLAVOUR,
        "track_d0": lists(-1, 1),
        "track_z0": lists(-3, 3),
        "eventNumber": np.arange(JETS),
    },
    # Delphes, with the short names that uproot takes.
    "delphes": {
        "Jet.PT": RNG.uniform(20, 200, JETS),
        "Jet.Eta": RNG.uniform(-2, 2, JETS),
        "Jet.Flavor": FLAVOUR,
        "Track.D0": lists(-1, 1),
    },
    # DeepNTuple: a flag for each class.
    "flags": {
        "jet_pt": RNG.uniform(20, 200, JETS),
        "jet_eta": RNG.uniform(-2, 2, JETS),
        "isB": (FLAVOUR == 5).astype(np.int32),
        "isC": (FLAVOUR == 4).astype(np.int32),
        "isUDSG": (FLAVOUR == 0).astype(np.int32),
        "Cpfcan_pt": lists(0.5, 20),
    },
}


@pytest.mark.parametrize("shape", SHAPES)
def test_jets_in_the_shapes_of_experiments_are_read_through_their_draft(shape, tmp_path):
    columns = SHAPES[shape]
    path = write(tmp_path / "a.root", "tree", columns)
    schema = drafted(path, "tree", tmp_path)
    jets = read(path, schema)
    assert schema.pt and schema.eta and len(jets) == JETS
    of_classes = np.array([{"b": 5, "c": 4}.get(name.lower(), 0) for name in schema.class_names])
    np.testing.assert_array_equal(of_classes[jets.label], FLAVOUR)
    np.testing.assert_array_equal(jets.features[:, schema.index(schema.pt)], np.float32(next(iter(columns.values()))))
    tracks = schema.largest_group
    assert tracks is not None and tracks.slots == 4
    first = next(values for values in columns.values() if isinstance(values, ak.Array))
    slot_0 = next(n for n, feature in enumerate(schema.features) if feature.slot == 0)
    np.testing.assert_array_equal(jets.features[:, slot_0], ak.to_numpy(first[:, 0]))


def test_ten_classes_of_jet_class(tmp_path):
    names = ["QCD", "Hbb", "Hcc", "Hgg", "H4q", "Hqql", "Zqq", "Wqq", "Tbqq", "Tbl"]
    label = np.arange(JETS) % 10
    columns = {f"label_{name}": (label == number) for number, name in enumerate(names)}
    columns |= {"jet_pt": RNG.uniform(500, 1000, JETS), "jet_eta": RNG.uniform(-2, 2, JETS), "part_px": lists(-9, 9)}
    path = write(tmp_path / "a.root", "tree", columns)
    schema = drafted(path, "tree", tmp_path)
    assert sorted(schema.class_names) == sorted(names) and len(schema.discriminators) == 45
    found = [schema.class_names[number] for number in read(path, schema).label]
    assert found == [names[number] for number in label]


def test_hdf5_of_umami(tmp_path):
    jets = np.zeros(JETS, [("pt", "f4"), ("eta", "f4"), ("flavour_label", "i4")])
    jets["pt"], jets["eta"], jets["flavour_label"] = RNG.uniform(20, 99, JETS), RNG.uniform(-2, 2, JETS), FLAVOUR
    tracks = np.zeros((JETS, 3), [("d0", "f4"), ("valid", "?")])
    tracks["d0"], tracks["valid"] = RNG.normal(size=(JETS, 3)), RNG.random((JETS, 3)) < 0.7
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["jets"], file["tracks"] = jets, tracks
    schema = drafted(tmp_path / "a.h5", "", tmp_path)
    read_back = read(tmp_path / "a.h5", schema)
    slots = [n for n, feature in enumerate(schema.features) if feature.slot is not None]
    filled = read_back.features[:, slots] != schema.defaults[slots]
    np.testing.assert_array_equal(filled.sum(axis=1), tracks["valid"].sum(axis=1))
    assert schema.class_names == ("b", "c", "light")


@pytest.mark.parametrize(
    ("name", "tree", "jets", "classes"),
    [
        ("own_made_up_tree", "ftag/jets", 16_020, ("b", "c", "uds", "g", "tau")),
        pytest.param("nano_tt_v15", "Events", 1_636, ("b", "c", "light"), marks=pytest.mark.slow),
        pytest.param("pfnano_rntuple", "Events", 64, ("c", "light"), marks=pytest.mark.slow),
    ],
)
def test_public_files(name, tree, jets, classes, tmp_path):
    path = SHARED / f"{name}.root"
    if not path.is_file():
        pytest.skip(f"{path.name} is not part of the repository")
    schema = drafted(path, tree, tmp_path)
    assert schema.class_names == classes
    assert len(read(path, schema)) == jets


def test_what_could_not_be_told_is_said(tmp_path):
    columns = {"jet_pt": RNG.uniform(20, 99, JETS), "jet_eta": RNG.uniform(-2, 2, JETS), "jet_phi": RNG.uniform(-3, 3, JETS)}
    columns["jet_mass"] = np.where(np.arange(JETS) % 3, RNG.uniform(5, 9, JETS), -999.0)
    made = draft(inspection.columns(write(tmp_path / "a.root", "tree", columns), "tree", iter), "tree", "mine")
    said = " ".join(made.open_questions)
    for words in ("No branch tells the class", "'jet_phi'", "No branch numbers the events", "-999"):
        assert words in said
    (variable,) = [variable for variable in made.schema.groups[0].variables if variable.name == "jet_mass"]
    assert variable.sentinel == -999 and variable.default == 0


def test_files_without_jets_are_refused_in_one_sentence(tmp_path):
    path = write(tmp_path / "a.root", "tree", {"x": np.arange(5.0)})
    with pytest.raises(UserError, match="No branch looks like the transverse momentum"):
        draft(inspection.columns(path, "tree", iter), "tree", "mine")


@pytest.mark.parametrize("name", ["a.root", "a.parquet", "a.h5"])
def test_files_that_are_none_are_one_sentence(name, tmp_path):
    (tmp_path / name).write_bytes(b"root, but no more than that")
    result = run_command("inspect", tmp_path / name)
    assert result.code == 2 and result.err.startswith("error: ") and name in result.err
