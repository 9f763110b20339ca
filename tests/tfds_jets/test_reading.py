import dataclasses

import awkward as ak
import numpy as np
import pytest
import uproot

from kerastag.errors import UserError
from kerastag.schema import (
    DEEPCSV,
    DEEPFLAVOUR,
    DEEPNTUPLE,
    PARTICLE_TRANSFORMER_AK4,
    FlavourClass,
    Group,
    Schema,
    Spectator,
    Variable,
)
from tests.conftest import NTUPLE, needs_ntuple
from tfds_jets import reading, sources

PFNANO, RNTUPLE = (NTUPLE.with_name(name) for name in ("pfnano.root", "pfnano_rntuple.root"))
CLASSES = (FlavourClass("b", "flavour == 5", "b", "red"), FlavourClass("light", "flavour == 0", "light", "blue"))
TOY = Schema(
    name="toy",
    version="1",
    description="",
    tree="folder/jets",
    groups=(
        Group("jet", (Variable("pt", "jet_pt * (1 - raw)", valid_min=0.0), Variable("eta", "abs(jet_eta)", default=-3.0))),
        Group(
            "track",
            (
                Variable("track_{slot}_d0", "track_d0", default=(-9.0, -8.0)),
                Variable("track_{slot}_n", "track_n", default=-1.0, integer=True),
            ),
            slots=2,
            order="abs(track_d0)",
            select="track_d0 < 5",
        ),
        Group("flat", (Variable("flat_{slot}", "flat_{slot}", default=-999.0),), slots=2, count="n_flat"),
    ),
    classes=CLASSES,
    spectators=(Spectator("event", "event"), Spectator("generator_weight", "weight", default=1.0)),
    pt="pt",
    eta="eta",
)


def write(path, tree="folder/jets", **replaced):
    content = {
        "jet_pt": np.array([50.0, 60.0, 70.0, 80.0], np.float32),
        "raw": np.array([0.1, 0.0, 0.5, 2.0], np.float32),
        "jet_eta": np.array([-1.0, 2.0, np.nan, 0.0], np.float32),
        "flavour": np.array([5, 0, 0, 4], np.int32),
        "event": np.array([7, 7, 8, 9], np.int64),
        "n_flat": np.array([0, 1, 2, 2], np.int32),
        "flat_0": np.array([1e31, 1.0, 2.0, 3.0], np.float32),
        "flat_1": np.array([1e31, 1e31, 4.0, 5.0], np.float32),
        "track": ak.zip(
            {"d0": ak.Array([[0.1, -0.3, 0.2], [], [np.inf, 9.0, -0.5], [1.0]]), "n": [[1, 2, 3], [], [4, 5, 6], [7]]}
        ),
    } | replaced
    write_tree(path, tree, {name: values for name, values in content.items() if values is not None})
    return path


def write_tree(path, name, content, fill=True):
    types = {
        key: ak.type(values[:0]).content if isinstance(values, ak.Array) else values.dtype for key, values in content.items()
    }
    with uproot.recreate(path) as file:
        file.mktree(name, types)
        if fill:
            file[name].extend(content)


def read(folder, schema=TOY, selection=""):
    cleaning = reading.Cleaning.none(schema)
    jets = list(reading.read(reading.find_files(folder), schema, selection, cleaning))
    return jets[0] if jets else None, cleaning


def test_expressions_slots_and_defaults(tmp_path):
    write(tmp_path / "a.root")
    jets, cleaning = read(tmp_path)
    expected = [
        # pt, eta, d0 by |d0|, its n, flat
        [45.0, 1.0, -0.3, 0.2, 2, 3, -999.0, -999.0],
        [60.0, 2.0, -9.0, -8.0, -1, -1, 1.0, -999.0],
        [35.0, -3.0, -0.5, -8.0, 6, -1, 2.0, 4.0],
    ]
    np.testing.assert_allclose(jets.features, np.array(expected, np.float32), rtol=1e-6)
    assert jets.label.tolist() == [0, 1, 1]
    assert jets.spectators["event"].tolist() == [7, 7, 8]
    assert jets.spectators["entry"].tolist() == [0, 1, 2]
    assert jets.spectators["generator_weight"].tolist() == [1.0, 1.0, 1.0]
    assert (cleaning.read, cleaning.unknown_flavour) == (4, 1)
    assert cleaning.not_finite.tolist() == [0, 1, 0, 0, 0, 0, 0, 0]


def test_impossible_values_become_the_default_and_are_counted(tmp_path):
    write(tmp_path / "a.root", raw=np.array([3.0, 0, 0, 0], np.float32))
    jets, cleaning = read(tmp_path)
    assert jets.features[0, 0] == 0.0
    assert cleaning.out_of_range[0] == 1


def as_rntuple(source, target):
    """The trees of a ROOT file in the format of ROOT's future."""
    target.mkdir()
    with uproot.open(source) as old, uproot.recreate(target / source.name) as new:
        for name, tree in old.items(cycle=False, filter_classname="TTree"):
            arrays = tree.arrays(filter_name=lambda key: key != "ntrack")
            new.mkrntuple(name, {key: arrays[key] for key in arrays.fields})
    return target


@pytest.mark.parametrize("step", (sources.CHUNK, 2))
def test_an_rntuple_gives_the_same_jets_as_the_tree(tmp_path, monkeypatch, step):
    """uproot computes no expressions of an RNTuple: it called all but plain names missing."""
    write(tmp_path / "a.root", tree="jets")
    new = as_rntuple(tmp_path / "a.root", tmp_path / "new")
    schema = dataclasses.replace(TOY, tree="jets")
    expected, _ = read(tmp_path, schema, "jet_pt > 55")
    monkeypatch.setattr(sources, "CHUNK", step)
    chunks = list(reading.read(reading.find_files(new), schema, "jet_pt > 55", reading.Cleaning.none(schema)))
    np.testing.assert_array_equal(np.concatenate([chunk.features for chunk in chunks]), expected.features)
    assert [label for chunk in chunks for label in chunk.label] == expected.label.tolist()
    with pytest.raises(UserError, match=r"has no branch 'jet_weight' for .*; the nearest that exist are"):
        read(new, schema, "jet_weight > 1")


@pytest.mark.slow
@pytest.mark.skipif(not (RNTUPLE.is_file() and PFNANO.is_file()), reason="CMS' files are not part of the repository")
def test_the_same_file_of_cms_in_both_formats_gives_the_same_jets():
    tree, rntuple = (
        next(reading.read([reading.RootFile.of(path)], DEEPCSV, "", reading.Cleaning.none(DEEPCSV)))
        for path in (PFNANO, RNTUPLE)
    )
    assert tree.features.shape == (64, 66)
    np.testing.assert_array_equal(rntuple.features, tree.features)
    np.testing.assert_array_equal(rntuple.label, tree.label)


@pytest.mark.parametrize("flag", (2, -1, 0.5, np.nan))
def test_a_flag_that_is_neither_0_nor_1_is_refused(tmp_path, flag):
    write(tmp_path / "a.root", raw=np.array([1, 0, flag, 1], np.float32))
    schema = dataclasses.replace(TOY, classes=(FlavourClass("b", "raw", "b", "red"), CLASSES[1]))
    with pytest.raises(UserError, match=rf"'raw' must be 0 or 1 in every jet; 1 jets have other values, such as {flag:g}"):
        read(tmp_path, schema)
    with pytest.raises(UserError, match="'raw' must be 0 or 1"):
        read(tmp_path, selection="raw")


def test_one_value_where_a_list_is_needed_is_refused(tmp_path):
    """All slots would hold the same value."""
    flat = ak.Array([[1], [2], [3], [4]])
    schema = dataclasses.replace(TOY, groups=(TOY.groups[0], dataclasses.replace(TOY.groups[1], order=None, select=None)))
    write(tmp_path / "a.root", track=None, track_d0=np.array([0.1, 0.2, 0.3, 0.4]), track_n=np.array([1, 2, 3, 4]))
    with pytest.raises(UserError, match="'track_d0' has one value in each jet, but the 2 tracks of a jet are read from it"):
        read(tmp_path, schema)
    write(tmp_path / "a.root", track=ak.zip({"d0": ak.values_astype(flat, float)}), track_n=np.array([1, 2, 3, 4]))
    with pytest.raises(UserError, match="'track_n' has one value in each jet, but 'track_d0' a list of them"):
        read(tmp_path, schema)


def test_selection_is_counted(tmp_path):
    write(tmp_path / "a.root")
    jets, cleaning = read(tmp_path, selection="jet_pt > 55")
    assert len(jets) == 2
    assert cleaning.not_selected == 1


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda path: write(path, jet_pt=None), r"has no branch 'jet_pt' for '.*'; the nearest that exist are 'jet_eta'"),
        (lambda path: write(path, tree="other"), r"has no tree 'folder/jets'; it holds 'other'"),
        (lambda path: path.write_text("hello"), r"a\.root' is not a ROOT file"),
        (lambda path: path.write_bytes(b""), r"a\.root' is not a ROOT file"),
    ],
)
def test_bad_files_get_one_sentence(tmp_path, damage, sentence):
    damage(tmp_path / "a.root")
    with pytest.raises(UserError, match=sentence) as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)


def test_truncated_file_is_named(tmp_path):
    path = write(tmp_path / "a.root", jet_pt=np.random.default_rng(0).random(4).astype(np.float32))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"a\.root' is truncated") as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_file_without_entries_is_counted_and_passed_over(tmp_path):
    """It was refused: "remove the file". NanoAOD of rare processes has such files; some of them lack branches."""
    write_tree(tmp_path / "empty.root", "folder/jets", {"jet_pt": np.zeros(0, np.float32)}, fill=False)
    write(tmp_path / "a.root")
    jets, cleaning = read(tmp_path)
    assert len(jets) == 3 and cleaning.empty_files == 1


def test_branches_of_different_length_are_refused(tmp_path):
    tracks = {"track_d0": ak.Array([[0.1], [], [0.2, 0.3], []]), "track_n": ak.Array([[1.0], [2.0], [3.0], []])}
    write(tmp_path / "a.root", track=None, **tracks)
    with pytest.raises(UserError, match=r"'track_n' and 'track_d0' differ .* the same tracks"):
        read(tmp_path)


def test_same_content_twice_is_refused(tmp_path):
    write(tmp_path / "a.root")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "b.root").write_bytes((tmp_path / "a.root").read_bytes())
    with pytest.raises(UserError, match="same content"):
        read(tmp_path)


def test_no_files_is_said(tmp_path):
    with pytest.raises(UserError, match=r"No \*\.root file below"):
        read(tmp_path)


@needs_ntuple
def test_lifetime_sign_of_the_ntuple_is_positive_in_b_jets_and_symmetric_in_light_ones(tmp_path):
    """Every candidate of CMS' file, through the schema: 81.6 % positive in b jets, 52.5 % in light ones."""
    signed, pt = _branches("signed_dxy", "pt")
    arrays = uproot.open(NTUPLE)[DEEPNTUPLE.tree].arrays([signed, pt, *(flavour.branch for flavour in DEEPNTUPLE.classes)])
    inside = (arrays[pt] > 1) & (abs(arrays[signed]) > 0.02) & (abs(arrays[signed]) < 0.2)
    positive = {
        flavour.name: float(ak.mean(ak.flatten((arrays[signed] > 0)[inside][arrays[flavour.branch]])))
        for flavour in DEEPNTUPLE.classes
    }
    assert positive["b"] == pytest.approx(0.816, abs=0.001)
    assert positive["light"] == pytest.approx(0.525, abs=0.001)


def _branches(*names):
    return [next(v.branch for v in DEEPNTUPLE.groups[1].variables if v.name == f"track_{{slot}}_{name}") for name in names]


NESTED = {
    "jet_pt": ak.Array([[50.0, 60.0], [], [70.0]]),
    "raw": ak.Array([[0.1, 0.0], [], [0.5]]),
    "jet_eta": ak.Array([[-1.0, 2.0], [], [0.5]]),
    "flavour": ak.Array([[5, 0], [], [4]]),
    "event": np.array([7, 8, 9], np.int64),
    "n_flat": ak.Array([[0, 1], [], [2]]),
    "flat_0": ak.Array([[1e31, 1.0], [], [2.0]]),
    "flat_1": ak.Array([[1e31, 1e31], [], [4.0]]),
}
EVENTS = dataclasses.replace(TOY, tree=("folder/jets", "Events"), groups=(TOY.groups[0], TOY.groups[2]))


def test_jets_nested_in_events_are_read_like_jets(tmp_path):
    write_tree(tmp_path / "nano.root", "Events", NESTED)
    jets, cleaning = read(tmp_path, EVENTS)
    np.testing.assert_allclose(jets.features, [[45, 1, -999, -999], [60, 2, 1, -999]], rtol=1e-6)
    assert jets.label.tolist() == [0, 1]
    assert jets.spectators["event"].tolist() == [7, 7]
    assert jets.spectators["entry"].tolist() == [0, 1]
    assert (cleaning.read, cleaning.unknown_flavour) == (3, 1)


def test_nested_branches_must_agree_in_their_number_of_jets(tmp_path):
    write_tree(tmp_path / "nano.root", "Events", NESTED | {"raw": ak.Array([[0.1], [0.0], [0.5]])})
    with pytest.raises(UserError, match=r"cannot be computed|number of jets"):
        read(tmp_path, EVENTS)
    write_tree(tmp_path / "nano.root", "Events", NESTED | {"flavour": ak.Array([[5], [0], [4]])})
    with pytest.raises(UserError, match=r"'flavour == 5' and 'jet_pt .* differ in their number of jets"):
        read(tmp_path, EVENTS)


def test_first_tree_that_exists_is_read_and_all_are_named_if_none_does(tmp_path):
    write(tmp_path / "a.root")
    jets, _ = read(tmp_path, EVENTS)
    assert len(jets) == 3
    (tmp_path / "a.root").unlink()
    write(tmp_path / "b.root", tree="other")
    with pytest.raises(UserError, match="no tree 'folder/jets' or 'Events'; it holds 'other'"):
        read(tmp_path, EVENTS)


def test_deepflavour_reads_deepntuples_of_its_time(tmp_path):
    """A made-up file with every branch: slots in stored order, empty ones 0, and -999 where CMS has no tracks."""
    generator = np.random.default_rng(0)
    counts = {"charged candidate": [30, 0, 2], "neutral candidate": [1, 26, 0], "vertex": [0, 5, 1]}
    content = {name: np.zeros(3, np.int32) for name in ("isB", "isBB", "isGBB", "isLeptonicB", "isLeptonicB_C")}
    content |= {name: np.zeros(3, np.int32) for name in ("isC", "isCC", "isGCC", "isUD", "isS", "isG")}
    content["isLeptonicB"][0] = content["isGCC"][1] = content["isG"][2] = 1
    for group in DEEPFLAVOUR.groups:
        for variable in group.variables:
            if group.slots is None:
                content[variable.branch] = np.where([True, False, True], 3, -999).astype(np.float32)
            else:
                values = generator.normal(size=sum(counts[group.name])).astype(np.float32)
                content[variable.branch] = ak.unflatten(values, counts[group.name])
    write_tree(tmp_path / "ntuple.root", DEEPFLAVOUR.trees[0], content)
    jets, cleaning = read(tmp_path, DEEPFLAVOUR)
    assert jets.label.tolist() == [0, 1, 2]
    assert jets.features.shape == (3, 613)
    column = DEEPFLAVOUR.index("Cpfcan_BtagPf_trackSip2dSig_0")
    np.testing.assert_array_equal(jets.features[0, column : column + 25], content["Cpfcan_BtagPf_trackSip2dSig"][0][:25])
    assert not jets.features[1, column : column + 25].any()
    assert jets.features[2, column + 2 : column + 25].tolist() == [0] * 23
    assert jets.features[1, DEEPFLAVOUR.index("trackSumJetEtRatio")] == -999
    assert jets.features[1, DEEPFLAVOUR.index("trackSip3dSigAboveCharm")] == -1
    assert jets.features[1, DEEPFLAVOUR.index("jet_pt")] == 0  # below what is possible
    assert cleaning.out_of_range.sum() == 1


def test_particle_transformer_ak4_makes_four_vectors_of_what_deepntuples_hold(tmp_path):
    """A made-up file: pT, η, φ and e of each object beside its variables; jet pT and η are spectators."""
    generator = np.random.default_rng(0)
    schema = PARTICLE_TRANSFORMER_AK4
    prefixes = {"charged candidate": "Cpfcan_", "neutral candidate": "Npfcan_", "vertex": "sv_"}
    counts = {"charged candidate": [30, 0], "neutral candidate": [1, 26], "vertex": [0, 13]}
    flags = ("isB", "isBB", "isGBB", "isLeptonicB", "isLeptonicB_C", "isC", "isCC", "isGCC", "isUD", "isS")
    content = dict.fromkeys(flags, np.array([0, 0]))
    content |= {"isG": np.array([1, 1]), "jet_pt": np.array([50.0, 70.0]), "jet_eta": np.array([0.5, -1.0])}
    for group in schema.groups:
        prefix = prefixes[group.name]
        names = {variable.branch for variable in group.variables[:-4]} | {prefix + name for name in ("pt", "eta", "phi", "e")}
        for name in sorted(names):
            values = generator.uniform(-0.5, 0, sum(counts[group.name])).astype(np.float32)
            content[name] = ak.unflatten(abs(values) if name in (f"{prefix}pt", f"{prefix}e") else values, counts[group.name])
    write_tree(tmp_path / "ntuple.root", schema.trees[0], content)
    jets, cleaning = read(tmp_path, schema)
    assert jets.features.shape == (2, 1016)
    assert cleaning.out_of_range.sum() == 0
    pt, eta, phi, energy = (np.asarray(content[f"sv_{name}"][1][2]) for name in ("pt", "eta", "phi", "e"))
    found = [jets.features[1, schema.index(f"sv_{name}_2")] for name in ("px", "py", "pz", "e")]
    np.testing.assert_allclose(found, [pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), energy], rtol=1e-5)
    assert not jets.features[1, schema.index("Cpfcan_px_0") : schema.index("Cpfcan_px_24") + 1].any()
    assert jets.features[0, schema.index("Npfcan_etarel_0")] == content["Npfcan_etarel"][0][0]
    assert jets.spectators["jet_pt"].tolist() == [50, 70]


def test_objects_of_the_event_go_to_the_jets_that_they_name(tmp_path):
    """NanoAOD keeps candidates of all jets of an event in one list, with the number of their jet, -1 for none."""
    content = NESTED | {
        "cand_jet": ak.values_astype(ak.Array([[0, 1, 0, -1], [], [0]]), np.int32),
        "cand_pf": ak.values_astype(ak.Array([[2, 0, 1, 0], [], [0]]), np.int32),
        "pf_pt": ak.values_astype(ak.Array([[10.0, 11.0, 12.0], [13.0], [14.0]]), np.float32),
    }
    write_tree(tmp_path / "nano.root", "Events", content)
    candidate = Variable("cand_{slot}_pt", "pf_pt[cand_pf]", default=-1.0)
    group = Group("cand", (candidate,), slots=2, index="cand_jet", order="pf_pt[cand_pf]")
    schema = dataclasses.replace(TOY, tree="Events", groups=(TOY.groups[0], group))
    jets, _ = read(tmp_path, schema)
    np.testing.assert_allclose(jets.features, [[45, 1, 12, 11], [60, 2, 10, -1]], rtol=1e-6)
    wrong = content | {"cand_jet": ak.values_astype(ak.Array([[0, 9, 0, -1], [], [0]]), np.int32)}
    write_tree(tmp_path / "nano.root", "Events", wrong)
    with pytest.raises(UserError, match="'cand_jet' names jets that their event does not have, for 1 objects"):
        read(tmp_path, schema)


def test_an_index_where_entries_are_jets_is_refused(tmp_path):
    """It was passed over, and each jet took the objects of its own entry."""
    write(tmp_path / "a.root")
    jet, track, _ = TOY.groups
    with pytest.raises(UserError, match="'track' has an index, but entries are jets, not events"):
        read(tmp_path, dataclasses.replace(TOY, groups=(jet, dataclasses.replace(track, index="track_n"))))
