"""Candidates and vertices: one jet by hand, relations that hold in CMS's files, variations, and CMS's networks."""

import dataclasses
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot
from sklearn.metrics import roc_auc_score

from kerastag import data
from kerastag.data import read_simulated
from kerastag.schema import DEEPFLAVOUR, JET_FLAVOR, PARTICLE_TRANSFORMER_AK4
from kerastag.simulation import calorimeter, precision, production, tracking, vertexing
from kerastag.simulation.association import cones
from kerastag.simulation.candidate_inputs import candidate_inputs
from kerastag.simulation.energy_flow import Neutrals
from kerastag.simulation.impact import impact_parameters
from kerastag.simulation.inclusive_vertices import InclusiveVertices
from kerastag.simulation.settings import SimulationSettings
from kerastag.simulation.unit import Simulation
from kerastag.simulation.variation_files import missing, settings_of

WEIGHTS = Path(__file__).parents[3] / "shared" / "data" / "cms"
SETTINGS = SimulationSettings(seed=3, events_per_unit=1500, candidates=True)

# The jet by hand: pT, η, φ; tracks: d0 (mm, geometric sign), z0, φ, η, pT, charge; σ of d0 and z0, mm.
JET = (50.0, 0.3, 1.0)
TRACKS = np.array([[0.5, -0.2, 1.1, 0.35, 10.0, 1.0], [-0.02, 0.05, 0.9, 0.2, 4.0, -1.0]])
SIGMA = np.array([[0.02, 0.05], [0.03, 0.06]])
NEUTRAL = (8.0, 0.45, 0.8)  # energy, η, φ
VERTEX = np.array([1.63, 2.05, 0.65])  # mm, near both tracks
VERTEX_SIGMA = np.array([0.1, 0.1, 0.2])


@pytest.fixture(scope="module")
def by_hand():
    """Objects of the jet, whose primary vertex is the origin and without uncertainty."""
    d0, z0, phi, eta, pt, charge = TRACKS.T
    theta = 2 * np.arctan(np.exp(-eta))
    parameters = np.stack([d0, z0, phi, theta, charge / (pt * np.cosh(eta))], axis=1)
    covariance = np.zeros((2, 5, 5))
    covariance[:, 0, 0], covariance[:, 1, 1] = (SIGMA**2).T
    event = np.zeros(2, np.int64)
    tracks = tracking.Tracks(event, parameters, covariance, pt, eta)
    jets = calorimeter.CaloJets(*(np.array([value]) for value in (0, *JET, 42.0)))
    primary = vertexing.Vertices(np.zeros((1, 3)), np.zeros((1, 3, 3)), np.ones(1, bool), np.array([0.0, 0.9]))
    ip = impact_parameters(tracks, np.zeros((2, 3)), np.zeros((2, 3, 3)))
    energy, eta, phi = NEUTRAL
    neutrals = Neutrals(*(np.array([value]) for value in (0, energy, eta, phi, True)))
    vertices = InclusiveVertices(event[:1], VERTEX[None], np.diag(VERTEX_SIGMA**2)[None], event, np.array([0, 1]))
    return candidate_inputs(jets, tracks, neutrals, cones(jets, tracks, 1), primary, ip, vertices, 1)


def vector(pt: float, eta: float, phi: float) -> np.ndarray:
    return np.array([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)])


def sum_of_tracks() -> tuple[np.ndarray, float]:
    """Momentum and energy of both tracks as pions."""
    momenta = [vector(pt, eta, phi) for _, _, phi, eta, pt, _ in TRACKS]
    return sum(momenta), sum(np.sqrt(momentum @ momentum + 0.13957**2) for momentum in momenta)


def distance(eta: float, phi: float, other_eta: float, other_phi: float) -> float:
    return np.sqrt((eta - other_eta) ** 2 + (phi - other_phi) ** 2)


def distance_to_vertex(eta: float, phi: float) -> float:
    """Less 0.4; the direction of a vertex is that of its momentum."""
    (x, y, z), _ = sum_of_tracks()
    return min(distance(eta, phi, np.arcsinh(z / np.hypot(x, y)), np.arctan2(y, x)), 0.4) - 0.4


def line_of_track(d0: float, z0: float, phi: float, eta: float) -> tuple[np.ndarray, np.ndarray]:
    """Perigee, cm, and direction."""
    return np.array([d0 * np.sin(phi), -d0 * np.cos(phi), z0]) / 10, vector(1, eta, phi) / np.cosh(eta)


def miss(d0: float, z0: float, phi: float, eta: float) -> float:
    """Smallest distance of a straight track from the origin, cm."""
    point, direction = line_of_track(d0, z0, phi, eta)
    return float(np.linalg.norm(np.cross(point, direction)))


@pytest.mark.parametrize("place", [0, 1])
def test_a_charged_candidate_by_hand(by_hand, place):
    """The first track passes behind the jet's start: its lifetime sign is positive, that of the second negative or small."""
    columns = by_hand["Cpfcan"].columns
    signs = [np.sign(line_of_track(*track[:4])[0][:2] @ vector(*JET)[:2]) for track in TRACKS]
    significances = [sign * abs(track[0]) / sigma[0] for sign, track, sigma in zip(signs, TRACKS, SIGMA, strict=True)]
    number = np.argsort(significances)[::-1][place]
    d0, z0, phi, eta, pt, _ = TRACKS[number]
    point, direction = line_of_track(d0, z0, phi, eta)
    axis = vector(*JET) / np.linalg.norm(vector(*JET))
    momentum = pt * np.cosh(eta)
    along = momentum * direction @ axis
    closest = point - (point @ direction) * direction
    sign_3d = np.sign(closest @ axis)
    # Uncertainty in space by moving d0 and z0.
    slopes = [
        (miss(d0 + 1e-5, z0, phi, eta) - miss(d0 - 1e-5, z0, phi, eta)) / 2e-5,
        (miss(d0, z0 + 1e-5, phi, eta) - miss(d0, z0 - 1e-5, phi, eta)) / 2e-5,
    ]
    error_3d = np.hypot(*(np.array(slopes) * SIGMA[number]))
    normal = np.cross(direction, axis)
    expected = {
        "BtagPf_trackEtaRel": 0.5 * np.log((np.hypot(momentum, 0.13957) + along) / (np.hypot(momentum, 0.13957) - along)),
        "BtagPf_trackPtRel": np.sqrt(momentum**2 - along**2),
        "BtagPf_trackPPar": along,
        "BtagPf_trackDeltaR": distance(eta, phi, *JET[1:]),
        "BtagPf_trackPParRatio": along / momentum,
        "BtagPf_trackSip2dVal": signs[number] * abs(d0) / 10,
        "BtagPf_trackSip2dSig": max(significances[number], -1),
        "BtagPf_trackSip3dVal": sign_3d * miss(d0, z0, phi, eta),
        "BtagPf_trackSip3dSig": max(sign_3d * miss(d0, z0, phi, eta) / error_3d, -1),
        "BtagPf_trackJetDistVal": -abs(point @ normal) / np.linalg.norm(normal),
        "ptrel": pt / JET[0] - 1,
        "drminsv": distance_to_vertex(eta, phi),
        "VTX_ass": [5, 7][number],
        "puppiw": 1,
        "quality": 5,
        "pt": pt,
        "eta": eta,
        "phi": phi,
        "e": np.hypot(momentum, 0.13957),
    }
    for name, value in expected.items():
        assert columns[name][place] == pytest.approx(value, rel=1e-4, abs=1e-6), name
    assert columns.keys() == expected.keys() | {"chi2"}
    assert columns["chi2"][place] in range(4)


def test_a_neutral_candidate_by_hand(by_hand):
    energy, eta, phi = NEUTRAL
    expected = {
        "ptrel": energy / np.cosh(eta) / JET[0] - 1,
        "etarel": abs(eta - JET[1]) - 0.5,
        "phirel": abs(phi - JET[2]) - 0.5,
        "deltaR": distance(eta, phi, *JET[1:]) - 0.6,
        "isGamma": 1,
        "HadFrac": 0,
        "drminsv": distance_to_vertex(eta, phi),
        "puppiw": 1,
        "pt": energy / np.cosh(eta),
        "eta": eta,
        "phi": phi,
        "e": energy,
    }
    columns = by_hand["Npfcan"].columns
    assert columns.keys() == expected.keys()
    for name, value in expected.items():
        assert columns[name] == pytest.approx([value], rel=1e-4), name


def test_a_vertex_by_hand(by_hand):
    momentum, energy = sum_of_tracks()
    eta, phi = np.arcsinh(momentum[2] / np.hypot(*momentum[:2])), np.arctan2(momentum[1], momentum[0])
    length, transverse = np.linalg.norm(VERTEX), np.hypot(*VERTEX[:2])
    expected = {
        "pt": np.hypot(*momentum[:2]),
        "deltaR": distance(eta, phi, *JET[1:]) - 0.5,
        "mass": np.sqrt(energy**2 - momentum @ momentum),
        "etarel": abs(eta - JET[1]) - 0.5,
        "phirel": abs(phi - JET[2]) - 0.5,
        "ntracks": 2,
        "dxy": transverse / 10,
        "dxysig": transverse / 0.1,
        "d3d": length / 10,
        "d3dsig": length / np.sqrt((VERTEX / length) ** 2 @ VERTEX_SIGMA**2),
        "costhetasvpv": momentum @ VERTEX / np.linalg.norm(momentum) / length,
        "enratio": energy / (JET[0] * np.cosh(JET[1])),
        "eta": eta,
        "phi": phi,
        "e": energy,
    }
    columns = by_hand["sv"].columns
    assert columns.keys() == expected.keys() | {"chi2", "normchi2"}
    for name, value in expected.items():
        assert columns[name] == pytest.approx([value], rel=1e-4), name


def test_chi2_of_a_vertex_agrees_with_a_search_along_the_lines(by_hand):
    """Distances in the plane and along the beam from where a circle comes nearest; weights are those at χ_c = 3."""
    chi2, weights = [], []
    for (d0, z0, phi, eta, pt, charge), sigma in zip(TRACKS, SIGMA, strict=True):
        turn = np.linspace(0, 8, 800_001) * (0.299792458e-3 * 2 * charge / pt)
        radius = pt / (0.299792458e-3 * 2 * charge)
        x = d0 * np.sin(phi) + radius * (np.sin(phi) - np.sin(phi - turn))
        y = -d0 * np.cos(phi) + radius * (np.cos(phi - turn) - np.cos(phi))
        nearest = np.argmin(np.hypot(x - VERTEX[0], y - VERTEX[1]))
        across = np.hypot(x[nearest] - VERTEX[0], y[nearest] - VERTEX[1])
        along = z0 + np.linspace(0, 8, 800_001)[nearest] * np.sinh(eta) - VERTEX[2]
        chi2.append((across / sigma[0]) ** 2 + (along / sigma[1]) ** 2)
        weights.append(1 / (1 + np.exp(min((chi2[-1] - 9) / 2, 500))))
    total, ndf = np.dot(weights, chi2), 2 * sum(weights) - 3
    assert total > 1
    assert by_hand["sv"].columns["chi2"] == pytest.approx([total], rel=1e-3, abs=1e-9)
    assert by_hand["sv"].columns["normchi2"] == pytest.approx([total / ndf], rel=1e-3, abs=1e-9)


@pytest.fixture(scope="module")
def unit():
    """A unit of jets with candidates."""
    return Simulation(SETTINGS).unit(0)


def test_candidates_are_in_the_order_of_cms(unit):
    for kind, keys in (
        ("Cpfcan", [("BtagPf_trackSip2dSig", -1)]),
        ("Npfcan", [("drminsv", 1), ("pt", -1)]),
        ("sv", [("dxysig", -1)]),
    ):
        of_kind = unit.objects[kind]
        jet = np.repeat(np.arange(len(of_kind.counts)), of_kind.counts)
        order = np.lexsort([*(sign * of_kind.columns[name] for name, sign in reversed(keys)), jet])
        for name, _ in keys:
            np.testing.assert_array_equal(of_kind.columns[name][order], of_kind.columns[name])


def test_candidates_of_a_jet_make_up_its_momentum(unit):
    """Most of it: those below 0.95 GeV are missing, and the jet's momentum is calibrated."""
    share = np.zeros(len(unit.counts))
    for kind in ("Cpfcan", "Npfcan"):
        jet = np.repeat(np.arange(len(unit.counts)), unit.objects[kind].counts)
        share += np.bincount(jet, unit.objects[kind].columns["ptrel"] + 1, minlength=len(share))
    assert np.median(share) == pytest.approx(0.95, abs=0.1)
    low, high = np.quantile(share, [0.05, 0.95])
    assert 0.6 < low < high < 1.5


def test_masses_are_those_of_the_stored_four_vectors(unit):
    """After rounding as well: pions, massless neutrals, and vertices as heavy as they say."""
    _, objects = precision.columns(unit)
    for kind in ("Cpfcan", "Npfcan", "sv"):
        columns = {name: values.astype(float) for name, values in objects[kind].items()}
        squared = columns["e"] ** 2 - (columns["pt"] * np.cosh(columns["eta"])) ** 2
        expected = {"Cpfcan": 0.13957, "Npfcan": 0.0, "sv": columns.get("mass", 0.0)}[kind]
        np.testing.assert_allclose(squared, np.broadcast_to(expected, squared.shape) ** 2, atol=2e-7 * columns["e"].max() ** 2)


def test_numbers_and_flags_agree_with_the_rest(unit):
    jets = unit.jets
    np.testing.assert_array_equal(jets["nCpfcand"], unit.objects["Cpfcan"].counts)
    np.testing.assert_array_equal(jets["nNpfcand"], unit.objects["Npfcan"].counts)
    np.testing.assert_array_equal(jets["event_no"], jets["event"])
    flags = {name: jets[name] for name in jets if name.startswith("is")}
    np.testing.assert_array_equal(sum(flags.values()), 1)
    np.testing.assert_array_equal(jets["isB"] + jets["isBB"] + jets["isLeptonicB"], jets["Jet_hadronFlavour"] == 5)
    np.testing.assert_array_equal(jets["isC"] + jets["isCC"], jets["Jet_hadronFlavour"] == 4)
    # A fifth of b hadrons decays to an electron or a muon, as does a fifth of the c hadrons from them.
    assert 0.25 < jets["isLeptonicB"].sum() / (jets["isB"] + jets["isLeptonicB"]).sum() < 0.45


def test_the_jets_are_the_same_without(unit):
    plain = Simulation(dataclasses.replace(SETTINGS, candidates=False)).unit(0)
    assert not plain.objects
    for ours, theirs in ((plain.jets, unit.jets), (plain.tracks, unit.tracks)):
        for name, values in ours.items():
            np.testing.assert_array_equal(values, theirs[name], err_msg=name)
    assert not any(name.startswith(("is", "TagVarCSV")) for name in plain.jets)


def test_a_bias_of_d0_moves_charged_candidates_alone(unit):
    biased = Simulation(SETTINGS).units(0, [dataclasses.replace(SETTINGS, variations=("d0_bias_10um",))])
    unlike, alike = next(biased).objects, unit.objects
    if len(unlike["Npfcan"].counts) == len(alike["Npfcan"].counts):
        for name in ("pt", "eta", "phi", "e", "ptrel", "deltaR", "isGamma"):
            ours, theirs = (np.sort(objects["Npfcan"].columns[name]) for objects in (unlike, alike))
            np.testing.assert_array_equal(ours, theirs, err_msg=name)
        ours, theirs = (np.sort(objects["Cpfcan"].columns["chi2"]) for objects in (unlike, alike))
        np.testing.assert_array_equal(ours, theirs)
    assert not np.array_equal(unlike["Cpfcan"].columns["BtagPf_trackSip2dVal"], alike["Cpfcan"].columns["BtagPf_trackSip2dVal"])


def test_lost_tracks_become_neutral_energy(unit):
    fewer = next(Simulation(SETTINGS).units(0, [dataclasses.replace(SETTINGS, variations=("track_efficiency_down_5",))]))
    charged, neutral = (
        fewer.objects[kind].columns["e"].sum() / unit.objects[kind].columns["e"].sum() for kind in ("Cpfcan", "Npfcan")
    )
    assert charged == pytest.approx(0.95, abs=0.02)
    assert neutral > 1.02


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Folder with a small file and a variation of it."""
    folder = tmp_path_factory.mktemp("candidates")
    settings = dataclasses.replace(SETTINGS, events_per_unit=600)
    names = {"nominal": (), "fakes": ("fakes_5",)}
    samples = {folder / f"{name}.root": dataclasses.replace(settings, variations=varied) for name, varied in names.items()}
    list(production.produce_all(samples, production.Size(last_event=599), 1))
    return folder


@pytest.mark.parametrize("schema", [PARTICLE_TRANSFORMER_AK4, DEEPFLAVOUR], ids=lambda schema: schema.name)
def test_files_are_read_by_both_schemas_and_their_variations_paired(files, schema):
    nominal, varied = (read_simulated(files / f"{name}.root", schema) for name in ("nominal", "fakes"))
    plain = read_simulated(files / "nominal.root", JET_FLAVOR)
    assert len(nominal) == len(plain)
    np.testing.assert_array_equal(nominal.spectators["event"], plain.spectators["event"])
    here, there = data.paired(nominal, varied)
    assert len(here) > 0.97 * len(nominal)
    column = schema.index("Npfcan_deltaR_0")
    same = nominal.features[here, column] == varied.features[there, column]
    assert same.mean() > 0.8


def test_features_are_the_leading_objects(files):
    jets = read_simulated(files / "nominal.root", PARTICLE_TRANSFORMER_AK4)
    with uproot.open(files / "nominal.root") as file:
        stored = file["jets"].arrays(["Cpfcan_ptrel", "Npfcan_pt", "Npfcan_phi", "sv_mass", "isB"])
    np.testing.assert_array_equal(jets.label == 0, ak.to_numpy(stored.isB == 1) | (jets.spectators["hadron_flavour"] == 5))
    for name, values in (
        ("Cpfcan_ptrel_1", stored.Cpfcan_ptrel),
        ("Npfcan_px_1", stored.Npfcan_pt * np.cos(stored.Npfcan_phi)),
        ("sv_mass_1", stored.sv_mass),
    ):
        expected = ak.to_numpy(ak.fill_none(ak.pad_none(values, 2, clip=True), 0))[:, 1]
        np.testing.assert_allclose(jets.features[:, PARTICLE_TRANSFORMER_AK4.index(name)], expected, rtol=1e-6)


def test_files_say_whether_they_have_candidates(files):
    content = production.file_description(SETTINGS, production.Size(last_event=9))
    assert settings_of(content) == SETTINGS
    assert "candidates" not in production.description(dataclasses.replace(SETTINGS, candidates=False))["settings"]
    settings = dataclasses.replace(SETTINGS, events_per_unit=600)
    assert not missing({files / "nominal.root": settings}, production.Size(last_event=599))
    assert data.sample_of(files / "nominal.root") == data.sample_of(files / "fakes.root")


@pytest.mark.slow
@pytest.mark.skipif(not WEIGHTS.is_dir(), reason="CMS's weights are not part of the repository")
@pytest.mark.parametrize(
    ("name", "b_light", "c_light"),
    [("RobustParTAK4-nominal", 0.93, 0.74), ("RobustParTAK4-ngm", 0.93, 0.74), ("DeepFlavour", 0.93, 0.73)],
)
def test_the_networks_of_cms_tell_simulated_jets_apart(unit, tmp_path, name, b_light, c_light):
    """Their jets came from another detector, so areas only show that every input means what CMS means by it."""
    from kerastag import legacy

    path = tmp_path / "jets.root"
    production.produce(path, 2000, SETTINGS, 1)
    tagger = legacy.TAGGERS[name]
    jets = read_simulated(path, tagger.schema)
    logits = np.asarray(legacy.load(name, WEIGHTS).predict(jets.features, batch_size=250, verbose=0))
    probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
    b, c, light = probabilities[:, :3].sum(axis=1), probabilities[:, 3], probabilities[:, 4:].sum(axis=1)
    for label, signal, expected in ((0, b / light, b_light), (1, c / light, c_light)):
        pair = np.isin(jets.label, [label, 2])
        assert roc_auc_score(jets.label[pair] == label, signal[pair]) > expected
