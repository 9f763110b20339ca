"""Parquet and HDF5 give the jets that ROOT gives."""

import dataclasses

import awkward as ak
import h5py
import numpy as np
import pytest
import uproot

from kerastag.errors import UserError
from kerastag.schema import FlavourClass, Group, Schema, Spectator, Variable
from tfds_jets import reading

PT, FLAVOUR = np.array([50.0, 60.0, 70.0], np.float32), np.array([5, 0, 5], np.int32)
EVENT, PHI = np.array([2**53 + 1, 7, 8]), np.array([0.123456789012, -3.0, 1.0])
D0 = ak.values_astype(ak.Array([[0.1, -0.3], [], [0.5]]), np.float32)


def schema_of(jets="", tracks=""):
    return Schema(
        name="toy",
        groups=(
            Group("jet", (Variable("pt", f"{jets}pt"),)),
            Group("track", (Variable("track_{slot}_d0", f"{tracks}d0", default=-9.0),), slots=2, order=f"abs({tracks}d0)"),
        ),
        classes=(FlavourClass("b", f"{jets}flavour == 5", "", ""), FlavourClass("light", f"{jets}flavour == 0", "", "")),
        tree="jets",
        spectators=(Spectator("event", f"{jets}event"), Spectator("phi", f"{jets}phi", real=True)),
    )


def with_padding(schema):
    """Slots of padding hold -9, so they are told from objects."""
    jet, track = schema.groups
    return dataclasses.replace(schema, groups=(jet, dataclasses.replace(track, select="d0 > -9")))


def read(folder, schema, selection=""):
    return list(reading.read(reading.find_files(folder), schema, selection, reading.Cleaning.none(schema)))


def write_root(path):
    with uproot.recreate(path) as file:
        file.mktree("jets", {"pt": "f4", "flavour": "i4", "event": "i8", "phi": "f8", "d0": "var * float32"})
        file["jets"].extend({"pt": PT, "flavour": FLAVOUR, "event": EVENT, "phi": PHI, "d0": D0})
    return path


def write_parquet(path):
    columns = {"pt": PT, "flavour": FLAVOUR, "event": EVENT, "phi": PHI, "d0": D0}
    ak.to_parquet(ak.zip(columns, depth_limit=1), path)
    return path


def write_hdf5(path):
    jets = np.zeros(3, [("pt", "f4"), ("flavour", "i4"), ("event", "i8"), ("phi", "f8")])
    for name, values in (("pt", PT), ("flavour", FLAVOUR), ("event", EVENT), ("phi", PHI)):
        jets[name] = values
    tracks = np.zeros((3, 4), [("d0", "f4"), ("valid", "?")])
    # An invalid slot may stand anywhere, and holds anything.
    tracks["d0"] = [[0.1, 99, -0.3, 99], [99] * 4, [99, 99, 99, 0.5]]
    tracks["valid"] = tracks["d0"] < 99
    with h5py.File(path, "w") as file:
        file["jets"], file["tracks"] = jets, tracks
    return path


def write_plain_hdf5(path):
    """An array for each column, in the other byte order, padded where there are several values; and others of no use."""
    padded = ak.to_numpy(ak.fill_none(ak.pad_none(D0, 5, clip=True), -9))
    with h5py.File(path, "w") as file:
        for name, values in (("pt", PT), ("flavour", FLAVOUR), ("event", EVENT), ("phi", PHI), ("d0", padded)):
            file[name] = values.astype(values.dtype.newbyteorder(">"))
        file["images"], file["names"] = np.zeros((3, 2, 2)), [b"a", b"b", b"c"]
    return path


@pytest.mark.parametrize(
    ("write", "name", "schema"),
    [
        (write_parquet, "a.parquet", schema_of()),
        (write_hdf5, "a.h5", schema_of("jets.", "tracks.")),
        (write_hdf5, "a.hdf5", schema_of("jets.", "tracks.")),
        (write_plain_hdf5, "a.h5", with_padding(schema_of())),
    ],
    ids=["parquet", "h5", "hdf5", "plain"],
)
def test_gives_the_jets_of_the_root_file(tmp_path, write, name, schema):
    (tmp_path / "root").mkdir()
    write_root(tmp_path / "root" / "a.root")
    write(tmp_path / name).rename(tmp_path / "root" / name)
    (expected,) = read_only(tmp_path / "root" / "a.root", schema_of())
    (jets,) = read_only(tmp_path / "root" / name, schema)
    np.testing.assert_array_equal(jets.features, expected.features)
    np.testing.assert_array_equal(jets.features[:, 1:], np.float32([[-0.3, 0.1], [-9, -9], [0.5, -9]]))
    assert jets.label.tolist() == [0, 1, 0]
    for name in ("event", "phi"):
        np.testing.assert_array_equal(jets.spectators[name], expected.spectators[name])


def read_only(path, schema):
    return list(reading.read([reading.RootFile.of(path)], schema, "", reading.Cleaning.none(schema)))


def test_spectators_keep_their_type(tmp_path):
    """φ was rounded to a whole number."""
    (jets,) = read_only(write_root(tmp_path / "a.root"), schema_of())
    assert jets.spectators["event"].tolist() == EVENT.tolist() and jets.spectators["phi"].tolist() == PHI.tolist()


def test_all_kinds_are_found_in_a_folder(tmp_path):
    write_root(tmp_path / "a.root")
    write_parquet(tmp_path / "b.parquet")
    assert sum(len(jets) for jets in read(tmp_path, schema_of())) == 6


def test_a_missing_value_of_parquet_is_not_finite_and_a_missing_list_empty(tmp_path):
    columns = {
        "pt": ak.Array([50.0, None, 70.0]),
        "flavour": FLAVOUR,
        "event": EVENT,
        "phi": PHI,
        "d0": ak.Array([[0.1], None, [0.5]]),
    }
    ak.to_parquet(ak.zip(columns, depth_limit=1), tmp_path / "a.parquet")
    schema = schema_of()
    cleaning = reading.Cleaning.none(schema)
    (jets,) = reading.read(reading.find_files(tmp_path), schema, "", cleaning)
    assert jets.features[1].tolist() == [0.0, -9.0, -9.0] and cleaning.not_finite.tolist() == [1, 0, 0]


def test_hdf5_is_not_followed_into_other_files(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    write_hdf5(tmp_path / "elsewhere" / "secret.h5")
    (tmp_path / "jets").mkdir()
    with h5py.File(tmp_path / "jets" / "a.h5", "w") as file:
        file["jets"] = h5py.ExternalLink("../elsewhere/secret.h5", "jets")
    with pytest.raises(UserError, match="holds no arrays of jets"):
        read(tmp_path / "jets", schema_of("jets.", "tracks."))


def test_files_that_do_not_fit_get_one_sentence(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"], file["names"] = np.zeros((3, 2, 2)), [b"a", b"b", b"c"]
    with pytest.raises(UserError, match="holds no arrays of jets"):
        read(tmp_path, schema_of())
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["pt"], file["d0"] = PT, np.zeros((2, 4))
    with pytest.raises(UserError, match=r"differ in their number of jets: \[2, 3\]"):
        read(tmp_path, schema_of())
    (tmp_path / "a.h5").write_bytes(b"no HDF5")
    with pytest.raises(UserError, match="cannot be read, it may be damaged"):
        read(tmp_path, schema_of())
    (tmp_path / "a.h5").unlink()
    (tmp_path / "a.parquet").write_bytes(b"no Parquet")
    with pytest.raises(UserError, match="cannot be read, it may be damaged"):
        read(tmp_path, schema_of())
    write_parquet(tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"'.*a\.parquet' has no branch 'ptt'; the nearest that exist are 'pt'"):
        read(tmp_path, dataclasses.replace(schema_of(), groups=(Group("jet", (Variable("pt", "ptt"),)),)))


def test_trees_are_named_where_the_schema_names_none(tmp_path):
    write_root(tmp_path / "a.root")
    schema = dataclasses.replace(schema_of(), tree=())
    with pytest.raises(UserError, match="has no tree that the schema names; it holds 'jets'"):
        read(tmp_path, schema)
