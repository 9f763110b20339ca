"""Example schemas of public formats, on small files with the branches and types that these formats have."""

import dataclasses

import awkward as ak
import numpy as np
import pytest
import uproot

from kerastag import schema as schemas
from kerastag.schema import toml
from tests.conftest import NTUPLE, run_command
from tfds_jets import reading

RNG = np.random.default_rng(11)
EVENTS, JETS = 20, 60
PER_JET = RNG.integers(0, 6, JETS)
# Every event has three jets, so that flat and nested columns can be compared.
FLAVOUR = np.tile([5, 4, 0], EVENTS)


def values(low, high, kind="f4"):
    return RNG.uniform(low, high, JETS).astype(kind)


def lists(low, high, kind="f4"):
    return ak.unflatten(RNG.uniform(low, high, PER_JET.sum()).astype(kind), PER_JET)


def in_events(column):
    return ak.unflatten(column, np.full(EVENTS, 3))


def nanoaod(flavour_type):
    """Version 9 has int32, versions 12 and 15 smaller types."""
    fractions = {f"Jet_{name}": values(0, 1) for name in ("rawFactor", "chEmEF", "chHEF", "neEmEF", "neHEF", "muEF")}
    counts = {f"Jet_n{name}": values(0, 9, flavour_type) for name in ("Constituents", "Electrons", "Muons")}
    jets = {"Jet_pt": values(21, 90), "Jet_eta": values(-2, 2), "Jet_mass": values(1, 9), "Jet_area": values(0.4, 0.6)}
    jets |= fractions | counts | {"Jet_hadronFlavour": FLAVOUR.astype(flavour_type)}
    jets["Jet_muEF"][:30] = 0
    of_events = {"event": np.arange(EVENTS, dtype="u8"), "genWeight": RNG.choice([-2.5, 2.5], EVENTS).astype("f4")}
    return {name: in_events(column) for name, column in jets.items()} | of_events


def pfnano():
    """Candidates of the event, of which some belong to no jet, and what a jet knows of its own."""
    columns = {name: column for name, column in nanoaod("i4").items() if "EF" not in name}
    links = np.repeat(np.arange(JETS), PER_JET)
    of_event = ak.num(ak.unflatten(links, PER_JET.reshape(EVENTS, 3).sum(axis=1)))
    columns["JetPFCands_jetIdx"] = ak.unflatten((links % 3).astype("i4"), of_event)
    columns["JetPFCands_pFCandsIdx"] = ak.values_astype(ak.local_index(columns["JetPFCands_jetIdx"])[:, ::-1], "i4")
    for name in ("pt", "btagSip3dVal", "btagSip3dSig", "btagJetDistVal", "btagEtaRel", "btagPtRatio", "btagPParRatio"):
        columns[f"JetPFCands_{name}"] = ak.unflatten(RNG.uniform(0, 9, len(links)).astype("f4"), of_event)
    for name, kind in (("d0", "f4"), ("d0Err", "f4"), ("dz", "f4"), ("dzErr", "f4"), ("charge", "i4")):
        drawn = RNG.integers(-1, 2, len(links) + EVENTS) if name == "charge" else RNG.uniform(0, 1, len(links) + EVENTS)
        drawn = np.where(drawn < 0.3, -1, drawn) if name == "d0Err" else drawn  # of those without a track
        columns[f"PFCands_{name}"] = ak.unflatten(drawn.astype(kind), of_event + 1)
    columns["JetSVs_jetIdx"] = ak.unflatten(np.tile(np.int32([2, 0]), EVENTS), np.full(EVENTS, 2))
    for name in ("mass", "pt", "ntracks", "d3d", "d3dsig", "enration", "deltaR"):
        numbers = RNG.uniform(*((-0.5, -0.1) if name == "deltaR" else (1, 9)), 2 * EVENTS).astype("f4")
        columns[f"JetSVs_{name}"] = ak.unflatten(np.rint(numbers) if name == "ntracks" else numbers, np.full(EVENTS, 2))
    return columns


def btvnano(schema):
    """Jets of events with a branch for each slot; those beyond the number of objects hold 0, as the producers leave them."""
    names = ("Jet_pt", "Jet_eta", "Jet_hadronFlavour", "event", "genWeight")
    columns = {name: column for name, column in nanoaod("u1").items() if name in names}
    for group in schema.groups:
        filled = RNG.integers(0, group.slots + 1, JETS)
        stored = {variable.branch: variable.integer for variable in group.variables if "(" not in variable.branch}
        if group.name == "vertex":
            stored |= {f"Jet_DeepJet_sv_{name}_{{slot}}": False for name in ("eta", "phi")}
        for branch, whole in stored.items():
            for slot in range(group.slots):
                drawn = np.where(slot < filled, values(*((-0.4, -0.1) if "Extra" in branch else (0.5, 3))), 0)
                columns[branch.format(slot=slot)] = in_events(drawn.astype("i4" if whole else "f4"))
    return columns


def delphes():
    jets = {f"Jet.{name}": values(0, 1) for name in ("Mass", "DeltaEta", "DeltaPhi", "EhadOverEem")}
    jets |= {f"Jet.{name}": values(0, 9, "i4") for name in ("Charge", "NCharged", "NNeutrals")}
    jets |= {"Jet.PT": values(21, 90), "Jet.Eta": values(-2, 2), "Jet.Flavor": np.where(FLAVOUR, FLAVOUR, 21).astype("u4")}
    of_events = {"Event.Number": np.arange(EVENTS), "Event.Weight": np.full(EVENTS, -2.0, "f4")}
    return {name: in_events(column) for name, column in jets.items()} | {
        name: ak.unflatten(column, np.ones(EVENTS, int)) for name, column in of_events.items()
    }


def jetclass():
    names = schemas.get("jetclass").class_names
    kinds = {name: "f4" if name == "QCD" else "?" if name.startswith("H") else "i4" for name in names}
    columns = {f"label_{name}": (np.arange(JETS) % 10 == n).astype(kinds[name]) for n, name in enumerate(names)}
    columns |= {f"jet_{name}": values(500, 900, ">f4") for name in ("pt", "energy")}
    columns |= {"jet_eta": values(-2, 2, ">f4"), "jet_nparticles": PER_JET.astype("f4")}
    columns |= {f"part_{name}": lists(-9, 9) for name in ("px", "py", "deta", "dphi", "d0val", "dzval")}
    columns |= {f"part_{name}": lists(0, 9) for name in ("energy", "d0err", "dzerr")} | {"part_charge": lists(-1, 1, "i4")}
    flags = ("ChargedHadron", "NeutralHadron", "Photon", "Electron", "Muon")
    return columns | {f"part_is{name}": lists(0, 2, "i4") for name in flags}


def zenodo():
    columns = {"jet_pt": values(21, 90), "jet_M": values(1, 9), "jet_eta": values(-2, 2), "jet_phi": values(-3, 3)}
    columns |= {"jet_flav": FLAVOUR.astype("i4"), "n_trks": PER_JET.astype("i4")}
    columns |= {f"trk_{name}": lists(-2, 2) for name in ("d0", "z0", "phi", "ctgtheta", "eta")}
    columns |= {f"trk_{name}": lists(0.1, 1) for name in ("d0err", "z0err", "phierr", "ctgthetaerr", "pterr", "pt")}
    return columns | {"trk_charge": lists(-1, 1, "i4")}


def hbb_12102():
    """Jets with vectors of up to 100, 60 and 5 objects, half of them of each class."""
    kind = np.arange(JETS) % 2
    columns = {name: (kind == 0).astype("i4") for name in ("fj_isQCD", "sample_isQCD")}
    columns |= {name: (kind == 1).astype("i4") for name in ("fj_isH", "fj_isBB")}
    columns |= {"fj_pt": values(301, 1999), "fj_eta": values(-2, 2), "fj_sdmass": values(41, 199)}
    columns |= {"event_no": np.arange(JETS, dtype="u4"), "fj_jetNTracks": PER_JET.astype("f4")}
    jet, *groups = schemas.get("hbb_12102").groups
    columns |= {variable.branch: values(0, 1) for variable in jet.variables[1:]}
    for group, most in zip(groups, (100, 60, 5), strict=True):
        lengths = RNG.integers(0, most + 1, JETS)
        lengths[:3] = 0, 1, most
        for variable in group.variables:
            drawn = RNG.uniform(0.1, 1, lengths.sum()).astype("f4")
            columns[variable.branch] = ak.unflatten(np.rint(5 * drawn) if variable.integer else drawn, lengths)
    return columns


def written(path, tree, columns):
    types = {name: ak.type(c).content if isinstance(c, ak.Array) else c.dtype.newbyteorder("=") for name, c in columns.items()}
    with uproot.recreate(path) as file:
        file.mktree(tree, types)
        file[tree].extend(columns)


def read(path, schema):
    files, cleaning = [reading.RootFile.of(path)], reading.Cleaning.none(schema)
    return next(iter(reading.read(files, schema, schema.selection, cleaning)))


def column(jets, schema, name):
    return jets.features[:, schema.index(name)]


SHAPES = {
    "btvnano": [],  # of a thousand branches, so it has a test of its own with fewer slots
    "nanoaod": [nanoaod("i4"), nanoaod("u1")],
    "pfnano": [pfnano()],
    "delphes": [delphes()],
    "jetclass": [jetclass()],
    "zenodo_13350327": [zenodo()],
    "hbb_12102": [hbb_12102()],
}


def test_every_example_is_tested_and_can_be_edited():
    assert set(SHAPES) == set(schemas.EXAMPLES)
    for name in schemas.EXAMPLES:
        done = run_command("schema", name, "--toml")
        assert done.out == toml.text(schemas.get(name)) and schemas.with_data(name).name == name


@pytest.mark.parametrize(("name", "columns"), [(name, columns) for name, some in SHAPES.items() for columns in some])
def test_classes_and_momenta_are_those_of_the_file(name, columns, tmp_path):
    schema = schemas.get(name)
    written(tmp_path / "a.root", schema.tree, columns)
    jets = read(tmp_path / "a.root", schema)
    expected = np.arange(JETS) % len(schema.classes)
    np.testing.assert_array_equal(jets.label, expected)
    pt = next(c for key, c in columns.items() if key.lower() in ("jet_pt", "jet.pt", "fj_pt"))
    flat = ak.to_numpy(ak.flatten(pt)) if isinstance(pt, ak.Array) else pt
    np.testing.assert_array_equal(column(jets, schema, "pt") if schema.pt else jets.spectators["pt"], flat)


def test_candidates_of_pfnano_are_charged_and_sorted_by_their_significance(tmp_path):
    schema, columns = schemas.get("pfnano"), SHAPES["pfnano"][0]
    written(tmp_path / "a.root", schema.tree, columns)
    jets = read(tmp_path / "a.root", schema)
    for number in range(JETS):
        event, in_event = divmod(number, 3)
        mine = np.flatnonzero(columns["JetPFCands_jetIdx"][event] == in_event)
        pointed = columns["JetPFCands_pFCandsIdx"][event].to_numpy()[mine]
        with_track = columns["PFCands_d0Err"][event].to_numpy()[pointed] > 0
        charged = mine[(columns["PFCands_charge"][event].to_numpy()[pointed] != 0) & with_track]
        significance = columns["JetPFCands_btagSip3dSig"][event].to_numpy()
        charged = charged[np.argsort(-significance[charged])]
        for slot in range(3):
            got = column(jets, schema, f"candidate_{slot}_ip3d_significance")[number]
            assert got == (significance[charged[slot]] if slot < len(charged) else -999)
            if slot < len(charged):
                dxy = columns["PFCands_d0"][event][columns["JetPFCands_pFCandsIdx"][event][charged[slot]]]
                assert column(jets, schema, f"candidate_{slot}_dxy")[number] == dxy
        with_vertex = {2: 0, 0: 1}.get(in_event)
        mass = -1 if with_vertex is None else columns["JetSVs_mass"][event][with_vertex]
        assert column(jets, schema, "vertex_0_mass")[number] == mass


def test_slots_of_btvnano_are_its_branches_and_vertices_get_four_vectors(tmp_path):
    schema = schemas.get("btvnano").restricted(["charged candidate:2", "neutral candidate:1", "vertex:2"])
    columns = btvnano(schema)
    written(tmp_path / "a.root", schema.tree, columns)
    jets = read(tmp_path / "a.root", schema)

    def stored(name):
        return ak.to_numpy(ak.flatten(columns[f"Jet_{name}"]))

    for feature, branch in (
        ("Cpfcan_BtagPf_trackSip3dSig_1", "DeepJet_Cpfcan_BtagPf_trackSip3dSig_1"),
        ("Cpfcan_VTX_ass_1", "DeepJet_Cpfcan_VTX_ass_1"),
        ("Cpfcan_px_0", "DeepJet_Cpfcan_px_0"),
        ("Npfcan_phirel_0", "DeepJetExtra_Npfcan_phirel_0"),
        ("sv_etarel_1", "DeepJetExtra_sv_etarel_1"),
        ("sv_ntracks_1", "DeepJet_sv_ntracks_1"),
    ):
        np.testing.assert_array_equal(column(jets, schema, feature), stored(branch))
    pt, eta, phi, mass = (stored(f"DeepJet_sv_{name}_1").astype("f8") for name in ("pt", "eta", "phi", "mass"))
    expected = [pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), np.sqrt((pt * np.cosh(eta)) ** 2 + mass**2)]
    for name, of_vertex in zip(("px", "py", "pz", "e"), expected, strict=True):
        np.testing.assert_allclose(column(jets, schema, f"sv_{name}_1"), of_vertex, rtol=1e-5, atol=1e-5)
    assert (pt == 0).any() and (pt > 0).any()
    np.testing.assert_array_equal(jets.label, np.arange(JETS) % 3)
    np.testing.assert_array_equal(jets.spectators["jet_pt"], stored("pt"))
    np.testing.assert_array_equal(jets.spectators["event"], np.repeat(np.arange(EVENTS), 3))


def test_btvnano_has_the_features_of_the_tagger_in_its_order():
    schema, of_tagger = schemas.get("btvnano"), schemas.PARTICLE_TRANSFORMER_AK4
    facts = [[dataclasses.replace(feature, branch="") for feature in one.features] for one in (schema, of_tagger)]
    assert facts[0] == facts[1] and schema.class_names == of_tagger.class_names
    assert schema.ties == of_tagger.ties and schema.kinematics == of_tagger.kinematics


def test_jets_of_delphes_know_their_event(tmp_path):
    schema = schemas.get("delphes")
    written(tmp_path / "a.root", schema.tree, SHAPES["delphes"][0])
    jets = read(tmp_path / "a.root", schema)
    np.testing.assert_array_equal(jets.spectators["event"], np.repeat(np.arange(EVENTS), 3))
    assert (jets.weights == -2).all()


def test_directions_around_the_beam_are_relative_to_the_jet(tmp_path):
    schema, columns = schemas.get("zenodo_13350327"), SHAPES["zenodo_13350327"][0]
    written(tmp_path / "a.root", schema.tree, columns)
    jets = read(tmp_path / "a.root", schema)
    delta = column(jets, schema, "track_0_delta_phi")
    present = PER_JET > 0
    assert (abs(delta[present]) <= np.float32(np.pi)).all() and (delta[~present] == -9).all()
    first = ak.argmax(abs(columns["trk_d0"] / columns["trk_d0err"]), axis=1, keepdims=True)
    expected = ak.to_numpy(ak.flatten((columns["trk_phi"] - columns["jet_phi"])[first][present]))
    np.testing.assert_allclose(np.exp(1j * delta[present]), np.exp(1j * expected), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("nanoaod", "nano_tt_v15"),
        ("pfnano", "pfnano"),
        pytest.param("pfnano", "pfnano_rntuple", marks=pytest.mark.slow),
    ],
)
def test_real_files_are_read(name, file):
    path = NTUPLE.parent / f"{file}.root"
    if not path.is_file():
        pytest.skip(f"{path.name} is not part of the repository")
    schema = schemas.get(name)
    jets = read(path, schema)
    with uproot.open(path) as root:
        raw = root["Events"].arrays(["Jet_pt", "Jet_eta", "Jet_hadronFlavour"])
    kept = ak.flatten((raw["Jet_pt"] > 20) & (abs(raw["Jet_eta"]) < 2.5))
    flavour = ak.to_numpy(ak.flatten(raw["Jet_hadronFlavour"]))[ak.to_numpy(kept)]
    np.testing.assert_array_equal(jets.label, [{5: 0, 4: 1, 0: 2}[int(value)] for value in flavour])
    if name == "pfnano":
        assert all(len(np.unique(values)) > 1 for values in jets.features.T)
        leading = column(jets, schema, "candidate_0_ip3d_significance")
        assert (leading[leading != -999] > -20).all() and (leading != -999).mean() > 0.7
