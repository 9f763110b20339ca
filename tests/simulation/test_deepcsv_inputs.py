"""DeepCSV's inputs: the relations that hold in CMS's own files, and CMS's network run on simulated jets."""

import json
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot
from sklearn.metrics import roc_auc_score

from kerastag.schema import DEEPCSV
from kerastag.simulation import association, deepcsv_inputs, impact, jet_inputs, kinematics
from kerastag.simulation.inclusive_vertices import inclusive_vertices

PFNANO = Path(__file__).parents[3] / "shared" / "data" / "pfnano.root"
WEIGHTS = Path(__file__).parents[3] / "shared" / "data" / "cms" / "DeepCSV_PhaseI.json"


@pytest.fixture(scope="module")
def inputs(sample):
    """DeepCSV's columns without their prefix, and the jets' own."""
    jets, _ = sample
    return {name.removeprefix("Jet_DeepCSV_"): values for name, values in jets.items()}


def test_all_branches_are_made(sample):
    jets, _ = sample
    names = {feature.branch for feature in DEEPCSV.features if feature.branch.startswith("Jet_DeepCSV_")}
    assert len(names) == 64
    assert names <= jets.keys()


def test_category_and_numbers_of_vertices_agree(inputs):
    category, size = inputs["vertexCategory"], inputs["vertexNTracks"]
    np.testing.assert_array_equal(category == 0, inputs["jetNSecondaryVertices"] >= 1)
    np.testing.assert_array_equal(inputs["jetNTracksEtaRel"], size)
    assert (size[category == 2] == 0).all()
    assert (size[(category == 0) | (category == 1)] >= 2).all()
    np.testing.assert_array_equal(inputs["flightDistance2dVal"] > -998, category == 0)
    np.testing.assert_array_equal(inputs["vertexMass"] > -998, (category == 0) | (category == 1))
    assert {0.0, 1.0, 2.0, -999.0} == set(category)


def test_tracks_are_ordered_by_the_2d_significance_alone(inputs):
    sip2d, sip3d = (np.stack([inputs[f"trackSip{d}dSig_{slot}"] for slot in range(6)], axis=1) for d in (2, 3))
    filled = (sip2d[:, 1:] > -998) & (sip2d[:, :-1] > -998)
    assert (np.diff(sip2d, axis=1)[filled] <= 0).all()
    assert (np.diff(sip3d, axis=1)[filled] > 0).any()


def test_slots_are_filled_from_the_front_up_to_the_number_of_tracks(inputs):
    number = np.minimum(inputs["jetNSelectedTracks"], 6)
    for name in ("trackSip2dSig", "trackJetDistVal", "trackPtRel"):
        filled = np.stack([inputs[f"{name}_{slot}"] > -998 for slot in range(6)], axis=1)
        np.testing.assert_array_equal(filled, np.arange(6) < number[:, None])


def test_ranges_are_those_of_the_selection(inputs):
    def present(name, slots=6):
        values = np.concatenate([inputs[f"{name}_{slot}"] for slot in range(slots)])
        return values[values > -998]

    assert present("trackJetDistVal").min() >= -0.07
    assert present("trackJetDistVal").max() <= 0
    assert present("trackDecayLenVal").max() <= 5
    assert present("trackDeltaR").max() < 0.3
    momentum = present("trackPtRel") / present("trackPtRatio")
    assert momentum.min() > 1


def test_sine_of_the_angle_agrees_with_delta_r(inputs):
    """For small angles the angle is ΔR over cosh η."""
    ratio = inputs["trackPtRatio_0"] * np.cosh(inputs["Jet_eta"]) / inputs["trackDeltaR_0"]
    ratio = ratio[inputs["trackSip2dSig_0"] > -998]
    assert np.median(ratio) == pytest.approx(1, abs=0.02)
    assert np.percentile(ratio, [1, 99]) == pytest.approx([0.9, 1.1], abs=0.1)


def test_flight_distances_agree_with_each_other(inputs):
    reco = inputs["vertexCategory"] == 0
    transverse, spatial = inputs["flightDistance2dVal"][reco], inputs["flightDistance3dVal"][reco]
    assert (spatial >= transverse).all()
    assert transverse.min() >= 0.01
    assert transverse.max() <= 2.5
    assert inputs["flightDistance2dSig"][reco].min() >= 2
    assert inputs["vertexJetDeltaR"][reco].max() < 0.3
    ratio = transverse * np.cosh(inputs["Jet_eta"][reco]) / spatial
    assert np.median(ratio) == pytest.approx(1, abs=0.03)
    significances = inputs["flightDistance3dSig"][reco] / inputs["flightDistance2dSig"][reco]
    assert np.median(significances) == pytest.approx(1, abs=0.03)


def test_above_charm_is_present_in_all_four_or_in_none(inputs):
    names = [f"trackSip{d}d{kind}AboveCharm" for d in (2, 3) for kind in ("Val", "Sig")]
    below = np.stack([inputs[name] == -1 for name in names])
    np.testing.assert_array_equal(below.all(axis=0), below.any(axis=0))
    absent = np.stack([inputs[name] == -999 for name in names])
    np.testing.assert_array_equal(absent, np.tile(inputs["vertexCategory"] == -999, (4, 1)))
    assert 0.2 < below[0].mean() < 0.8


def test_jets_with_fewer_than_two_tracks_have_nothing(inputs):
    untagged = inputs["vertexCategory"] == -999
    assert 0.03 < untagged.mean() < 0.2
    for name in ("trackSumJetEtRatio", "trackSumJetDeltaR", "vertexMass", "trackSip2dSig_0", "trackEtaRel_0"):
        assert (inputs[name][untagged] == -999).all()
    assert not inputs["jetNSelectedTracks"][untagged].any()
    assert not inputs["jetNSecondaryVertices"][untagged].any()


def test_a_sum_over_no_track_points_to_the_origin_of_eta_and_phi(batches):
    batch = batches["light"]
    empty = batch.jet["Jet_DeepCSV_trackSumJetEtRatio"] == 0
    assert empty.any()
    expected = np.hypot(batch.jets.eta, batch.jets.phi)[empty]
    np.testing.assert_allclose(batch.jet["Jet_DeepCSV_trackSumJetDeltaR"][empty], expected)


def test_jet_momentum_is_that_before_calibration(batches):
    batch = batches["light"]
    np.testing.assert_allclose(batch.jet["Jet_pt"] * (1 - batch.jet["Jet_rawFactor"]), batch.jets.raw_pt)


@pytest.fixture(scope="module")
def candidates(batches):
    """Candidates of the charm batch with what they were made of."""
    batch = batches["charm"]
    primary = jet_inputs.primary_vertices(batch.tracks, batch.events.count)
    event = batch.tracks.event
    ip = impact.impact_parameters(batch.tracks, primary.position[event], primary.covariance[event])
    near = association.cones(batch.jets, batch.tracks, batch.events.count)
    axis = kinematics.unit_vectors(batch.jets.eta, batch.jets.phi)
    return deepcsv_inputs.select_candidates(batch.tracks, near, ip, axis), axis


def test_above_charm_agrees_with_a_loop(batches, candidates):
    batch, (tracks, _) = batches["charm"], candidates
    close = (tracks.axis_distance >= -0.07) & (tracks.decay_length <= 5)
    for number in range(0, len(batch.jets), 5):
        rows = np.flatnonzero(tracks.jet == number)
        if len(rows) < 2:
            continue
        for kind in ("2d", "3d"):
            significance = getattr(tracks, f"sip{kind}_significance")
            total, expected = np.zeros(4), (-1.0, -1.0)
            for row in sorted(rows[close[rows]], key=lambda row: -significance[row]):
                total = total + tracks.momentum[row]
                if np.sqrt(total[3] ** 2 - total[:3] @ total[:3]) > 1.5:
                    expected = (getattr(tracks, f"sip{kind}")[row], significance[row])
                    break
            columns = [f"Jet_DeepCSV_trackSip{kind}{part}AboveCharm" for part in ("Val", "Sig")]
            assert [batch.jet[column][number] for column in columns] == pytest.approx(expected)


def test_track_sums_and_kaon_veto_agree_with_a_loop(batches, candidates):
    batch, (tracks, _) = batches["charm"], candidates
    for number in range(0, len(batch.jets), 5):
        rows = np.flatnonzero(tracks.jet == number)
        if len(rows) < 2:
            continue
        close = (tracks.delta_r[rows] < 0.3) & (tracks.axis_distance[rows] >= -0.07) & (tracks.decay_length[rows] <= 5)
        rows = rows[close]
        legs = set()
        for leg in rows:
            for partner in rows:
                total = tracks.momentum[leg] + tracks.momentum[partner]
                pair_mass = np.sqrt(total[3] ** 2 - total[:3] @ total[:3])
                if leg != partner and tracks.charge[leg] * tracks.charge[partner] <= 0 and abs(pair_mass - 0.497648) < 0.03:
                    legs.add(leg)
        assert batch.jet["Jet_DeepCSV_jetNSelectedTracks"][number] == len(rows) - len(legs)
        total = tracks.momentum[rows].sum(axis=0)
        et = total[3] * np.hypot(*total[:2]) / np.linalg.norm(total[:3]) if len(rows) else 0
        assert batch.jet["Jet_DeepCSV_trackSumJetEtRatio"][number] == pytest.approx(et / batch.jets.raw_pt[number])


def test_impact_parameters_agree_with_a_search_along_the_line(batches):
    """Distances in the plane and in space, found by walking along a straight track."""
    batch = batches["bottom"]
    tracks = batch.tracks.take(np.arange(50))
    points = np.random.default_rng(0).normal(0, 1, (50, 3))
    ip = impact.impact_parameters(tracks, points, np.zeros((50, 3, 3)))
    steps = np.linspace(-60, 60, 400_001)
    for number in range(50):
        path = ip.point[number] + steps[:, None] * ip.direction[number]
        assert np.linalg.norm(path, axis=1).min() == pytest.approx(ip.value_3d[number], abs=1e-4)
        assert np.hypot(*path[:, :2].T).min() == pytest.approx(ip.value_2d[number], abs=1e-4)
        assert ip.displacement[number] @ ip.direction[number] == pytest.approx(0, abs=1e-9)


def test_impact_parameter_significances_of_prompt_tracks_are_standard(batches):
    """With respect to the true vertex, the origin, and with the uncertainty of the track alone."""
    batch = batches["light"]
    prompt = batch.tracks.take(batch.events.origin[batch.particle] == 0)
    count = len(prompt.pt)
    ip = impact.impact_parameters(prompt, np.zeros((count, 3)), np.zeros((count, 3, 3)))
    assert np.mean(ip.value_2d < ip.error_2d) == pytest.approx(0.683, abs=0.01)


def test_vertices_point_to_decays(batches):
    """Most vertices that fly along jets with b hadrons lie near a true decay, and their distances are not biased."""
    batch = batches["bottom"]
    primary = jet_inputs.primary_vertices(batch.tracks, batch.events.count)
    event = batch.tracks.event
    ip = impact.impact_parameters(batch.tracks, primary.position[event], primary.covariance[event])
    vertices = inclusive_vertices(batch.tracks, primary, ip, batch.events.count)
    origin = batch.events.origin[batch.particle[vertices.track]]
    assert np.mean(origin == 5) > 0.8
    assert np.bincount(vertices.vertex).min() >= 2
    pairs = np.unique(np.stack([vertices.vertex, vertices.track]), axis=1)
    assert pairs.shape[1] == len(vertices.track), "a track is listed twice at a vertex"
    members = [tuple(vertices.track[vertices.vertex == vertex]) for vertex in range(len(vertices.event))]
    assert len(set(members)) == len(members), "two vertices have the same members"


@pytest.mark.skipif(not WEIGHTS.is_file(), reason="CMS's weights are not part of the repository")
def test_the_network_of_cms_tells_simulated_jets_apart(inputs):
    """Its training jets came from another detector, so its areas only show that every input means what CMS means by it."""
    content = json.loads(WEIGHTS.read_text())
    columns = []
    for entry in content["inputs"]:
        name = entry["name"].replace("trackJetDist_", "trackJetDistVal_")
        raw = {"jetPt": inputs["Jet_pt"] * (1 - inputs["Jet_rawFactor"]), "jetAbsEta": np.abs(inputs["Jet_eta"])}
        values = raw[name] if name in raw else inputs[name]
        columns.append((np.where(values < -998, 0, values) + entry["offset"]) * entry["scale"])
    x = np.stack(columns, axis=1)
    for layer in content["layers"]:
        x = x @ np.array(layer["weights"]).reshape(-1, x.shape[1]).T + np.array(layer["bias"])
        x = np.maximum(x, 0) if layer["activation"] == "rectified" else np.exp(x - x.max(axis=1, keepdims=True))
    score = dict(zip(content["outputs"], x.T, strict=True))
    flavour, answered = inputs["jet_hadron_flavour"], inputs["jetNSelectedTracks"] > 0
    for signal, background, numerator, denominator, expected in (
        (5, 0, "probb", "probudsg", 0.92),
        (4, 0, "probc", "probudsg", 0.72),
        (4, 5, "probc", "probb", 0.78),
    ):
        pair = answered & np.isin(flavour, [signal, background])
        assert roc_auc_score(flavour[pair] == signal, (score[numerator] / score[denominator])[pair]) > expected


@pytest.mark.skipif(not PFNANO.is_file(), reason="CMS's jets are not part of the repository")
@pytest.mark.parametrize(
    "name",
    [
        "trackSip2dSig_0",
        "trackJetDistVal_0",
        "trackDecayLenVal_0",
        "trackPtRel_0",
        "trackPtRatio_0",
        "trackDeltaR_0",
        "trackSumJetEtRatio",
        "trackSumJetDeltaR",
        "vertexJetDeltaR",
        "vertexMass",
        "vertexEnergyRatio",
        "flightDistance2dVal",
        "flightDistance2dSig",
        "flightDistance3dVal",
        "trackEtaRel_0",
        "jetNSelectedTracks",
    ],
)
def test_values_are_of_the_size_of_real_ones(inputs, name):
    """Medians of 64 jets of another detector and momentum: a wrong unit or sign would be off by ten or more."""
    with uproot.open(PFNANO) as file:
        real = ak.to_numpy(ak.flatten(file["Events"][f"Jet_DeepCSV_{name}"].array()))
        first = ak.to_numpy(ak.flatten(file["Events"]["Jet_DeepCSV_jetNSelectedTracks"].array())) > 0
    real = real[(real > -998) & (first | ("_0" not in name))]  # unused slots hold garbage
    simulated = inputs[name][inputs[name] > -998]
    ratio = np.median(simulated) / np.median(real)
    assert 0.25 < ratio < 4


def test_slots_count_from_the_front_of_each_jet():
    columns = deepcsv_inputs._slots("x", 3, np.array([0, 0, 2]), np.array([1.0, 2.0, 3.0]), 2)
    np.testing.assert_array_equal(columns["x_0"], [1, -999, 3])
    np.testing.assert_array_equal(columns["x_1"], [2, -999, -999])
