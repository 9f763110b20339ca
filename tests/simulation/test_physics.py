"""What a right simulation must show: symmetries, lifetimes, masses, pulls, and the limits of the published data set."""

import copy
import dataclasses

import numpy as np
import pytest

from kerastag.simulation import association, calorimeter, generator, jet_inputs, tracking, truth, vertexing
from kerastag.simulation.changes import Detector
from kerastag.simulation.groups import all_pairs
from kerastag.simulation.kinematics import mass
from kerastag.simulation.settings import SimulationSettings
from kerastag.simulation.unit import Simulation, reconstructed
from tests.simulation.conftest import simulate

FLAVOURS = (5, 4, 0)
# Proper decay lengths cτ, mm: Particle Data Group, Review of Particle Physics.
PDG = {511: 0.4554, 521: 0.4911, 531: 0.4557, 5122: 0.441, 411: 0.3118, 421: 0.1229, 431: 0.151, 4122: 0.0607}


def significance(tracks: dict[str, np.ndarray]) -> np.ndarray:
    """|D0| over its uncertainty."""
    return np.abs(tracks["D0"]) / np.sqrt(tracks["D0D0"])


def lifetime_signed(tracks: dict[str, np.ndarray]) -> np.ndarray:
    """sign(D0·PHI)·|D0|/σ."""
    return np.sign(tracks["D0"] * tracks["PHI"]) * significance(tracks)


def asymmetry(values: np.ndarray, limit: float) -> tuple[float, float]:
    """(n₊ - n₋)/(n₊ + n₋) of values beyond ±limit, and its statistical uncertainty."""
    above, below = np.sum(values > limit), np.sum(values < -limit)
    return (above - below) / (above + below), 1 / np.sqrt(above + below)


def test_reconstruction_does_not_see_the_truth(batches):
    """After smearing everything true is replaced by noise; every measured value stays the same to the bit."""
    events = copy.deepcopy(batches["bottom"].events)
    rng = np.random.default_rng(11)
    jets = calorimeter.find_jets(events.final, events.count, rng)
    tracks, _, true = tracking.reconstruct(events.final, tracking.find(events.final, rng), False, Detector())
    noise = np.random.default_rng(0)
    for particles in (events.final, events.quarks, events.hadrons):
        for field in dataclasses.fields(particles):
            values = getattr(particles, field.name)
            values[...] = noise.permutation(values.ravel()).reshape(values.shape)
    for values in (events.origin, events.decay, events.lifetime, true):
        values[...] = noise.permutation(values.ravel()).reshape(values.shape)
    again, _ = reconstructed(jets, tracks, events.count)
    expected = batches["bottom"]
    for name, values in again.jets.items():
        np.testing.assert_array_equal(values, expected.jet[name], err_msg=name)
    for name, values in again.tracks.items():
        np.testing.assert_array_equal(values, expected.track[name], err_msg=name)
    labels = truth.jet_truth(jets, events)["jet_parton_flavour"]
    assert (labels != expected.jet["jet_parton_flavour"]).any(), "the truth was not scrambled"


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_d0_is_symmetric_for_every_flavour(sample, flavour):
    _, tracks = sample
    of_flavour = tracks["flavour"] == flavour
    difference, error = asymmetry(np.sign(tracks["D0"][of_flavour]) * significance(tracks)[of_flavour], 2)
    assert abs(difference) < 4 * error


def test_lifetime_sign_tells_b_jets_but_not_prompt_tracks(sample):
    _, tracks = sample
    signed = lifetime_signed(tracks)
    in_b, error = asymmetry(signed[tracks["flavour"] == 5], 3)
    assert in_b > 0.6 > 5 * error
    prompt, error = asymmetry(signed[tracks["origin"] == generator.PROMPT], 1.5)
    assert abs(prompt) < 4 * error


def test_far_tracks_of_light_jets_come_from_strange_hadrons(sample):
    """Beyond 5 σ hardly any are left without the daughters of K0s, Λ and hyperons (and of b and c hadrons nearby)."""
    _, tracks = sample
    light = tracks["flavour"] == 0
    far = significance(tracks)[light] > 5
    origin = tracks["origin"][light]
    assert far.sum() > 50
    assert np.mean(origin[far] == generator.PROMPT) < 0.02
    assert np.mean(origin[far] == generator.STRANGE) > 0.6


@pytest.mark.parametrize("species", PDG)
def test_mean_proper_decay_length_is_that_of_the_species(batches, species):
    """From the decay vertices: L·m/p."""
    lengths = []
    for batch in batches.values():
        of_species = np.abs(batch.events.hadrons.pdg) == species
        hadrons = batch.events.hadrons.take(of_species)
        path = np.linalg.norm(batch.events.decay[of_species] - hadrons.vertex, axis=1)
        lengths.append(path * mass(hadrons.momentum) / np.linalg.norm(hadrons.momentum[:, :3], axis=1))
    lengths = np.concatenate(lengths)
    assert len(lengths) > 100
    # Pythia's table differs from the newest averages by a few percent.
    assert lengths.mean() == pytest.approx(PDG[species], abs=4 * lengths.mean() / np.sqrt(len(lengths)) + 0.05 * PDG[species])


def test_kaons_have_their_mass(batches):
    """Vertices of two oppositely charged tracks, far from the beam line, with daughters of strange hadrons."""
    masses = []
    for batch in batches.values():
        far = (batch.track["vertex_n_tracks"] == 2) & (batch.track["vertex_displacement"] > 5)
        masses.append(batch.track["vertex_mass"][far & (batch.track["origin"] == generator.STRANGE)])
    masses = np.concatenate(masses)
    counts, edges = np.histogram(masses, bins=np.arange(0.28, 0.70, 0.02))
    peak = counts.argmax()
    assert edges[peak] <= 0.498 <= edges[peak + 1]
    assert counts[peak] > 4 * np.median(counts)


def test_limits_of_the_published_data_set(sample):
    jets, tracks = sample
    weight = tracks["weight"]
    assert not ((weight > 0.62247) & (weight < 0.9)).any()
    assert weight.max() <= 0.98902
    assert weight.min() > 1e-8
    secondary = tracks["vertex_displacement"] > 0
    np.testing.assert_array_equal(secondary, weight < 0.7)
    assert len(np.unique(tracks["D0D0"])) <= 72
    assert tracks["D0D0"].max() <= 0.00246
    assert np.abs(tracks["D0"]).max() <= 8
    assert np.abs(tracks["PHI"]).max() < 0.4
    assert np.abs(tracks["THETA"]).max() < 0.4
    assert np.abs(tracks["QOVERP"]).max() <= 2
    assert (jets["jet_pt"] >= np.sqrt(400 + 20 * (3 - 0.2 * np.abs(jets["jet_eta"])) ** 2) - 1e-9).all()
    assert jets["jet_prob"].max() < 0.47
    assert tracks["vertex_mass"].min() >= 0.13957 - 1e-9


def test_azimuths_fall_with_the_slot_while_those_of_vertices_rise(sample):
    """The geometric sign: sorted by D0/σ, slot 0 holds tracks to the left of the jet whose vertex lies to the right."""
    jets, tracks = sample
    order = np.lexsort((-tracks["D0"] / np.sqrt(tracks["D0D0"]), tracks["jet"]))
    slot = np.arange(len(order)) - np.repeat(np.cumsum(jets["counts"]) - jets["counts"], jets["counts"])
    flavour_weight = {5: 0.393, 4: 0.120, 0: 0.487}
    mix_weight = sum(w * (tracks["flavour"] == f) / np.mean(jets["jet_parton_flavour"] == f) for f, w in flavour_weight.items())

    def means(name):
        values, weight = tracks[name][order], mix_weight[order]
        present = np.isfinite(values)
        return np.array([np.average(values[present & (slot == s)], weights=weight[present & (slot == s)]) for s in range(6)])

    np.testing.assert_allclose(means("PHI"), [0.035, 0.011, -0.004, -0.017, -0.028, -0.040], atol=0.015)
    vertex = means("vertex_delta_phi_jet")
    assert vertex[0] < -0.05
    assert vertex[5] > 0.05
    np.testing.assert_allclose(means("D0"), [0.14, 0.03, -0.02, -0.06, -0.10, -0.14], atol=0.08)


def test_primary_vertices_lie_at_the_origin_within_their_uncertainty(batches):
    """A point source under a prior of 15 µm: pulls in x and y are narrower than 1."""
    batch = batches["light"]
    fitted = jet_inputs.primary_vertices(batch.tracks, batch.events.count)
    pulls = fitted.position[fitted.valid] / np.sqrt(np.einsum("vii->vi", fitted.covariance[fitted.valid]))
    widths = [width(pull) for pull in pulls.T]
    assert all(0.5 < core < 1 for core in widths[:2])
    assert widths[2] == pytest.approx(1, abs=0.1)
    np.testing.assert_allclose(np.median(pulls, axis=0), 0, atol=0.08)


def width(values: np.ndarray) -> float:
    """Half the central 68 %."""
    return np.diff(np.percentile(values, [15.87, 84.13]))[0] / 2


def test_secondary_vertices_lie_at_decays_within_their_uncertainty(batches):
    """Along the flight and across it, to the nearest decay of a b or c hadron; a cascade b → c lies between two of these.

    Core widths are about 0.8 mm along and 0.044 mm across, of pulls 1.07: weights below 0.63 inflate the uncertainty, tracks
    of the other decay of a cascade do the opposite.
    """
    batch = batches["bottom"]
    primary = jet_inputs.primary_vertices(batch.tracks, batch.events.count)
    near = association.cones(batch.jets, batch.tracks, batch.events.count)
    track = batch.tracks.take(near.track)
    near = near.take((np.abs(track.d0) <= 8) & (track.pt >= 0.5) & (primary.weight[near.track] <= 0.9))
    track = batch.tracks.take(near.track)
    counts = np.bincount(near.jet, minlength=len(batch.jets))
    vertices = vertexing.find_secondaries(track.parameters, track.covariance, track.pt, counts, 1.0, 1.0)
    event = batch.jets.event[vertices.group]
    vertex, hadron = all_pairs(event, batch.events.hadrons.event, batch.events.count)
    order = np.argsort(-np.linalg.norm(batch.events.decay[hadron] - vertices.position[vertex], axis=1))
    nearest = np.zeros(len(event), int)
    nearest[vertex[order]] = hadron[order]  # of repeated indices the last, which is the nearest
    good = np.bincount(vertices.vertex, vertices.weight > 0.3, minlength=len(event)) >= 2
    gap = (vertices.position - batch.events.decay[nearest])[good]
    flight = vertices.position[good] / np.linalg.norm(vertices.position[good], axis=1)[:, None]
    across = np.cross(flight, [0.0, 0.0, 1.0])
    across /= np.linalg.norm(across, axis=1)[:, None]
    for direction, core in ((flight, 1.5), (across, 0.08)):
        residual = (gap * direction).sum(axis=1)
        sigma = np.sqrt(np.einsum("vi,vij,vj->v", direction, vertices.covariance[good], direction))
        assert width(residual) < core
        assert 0.6 < width(residual / sigma) < 1.3


def test_a_tenth_of_prompt_tracks_fails_the_primary_vertex(batches):
    batch = batches["light"]
    fitted = jet_inputs.primary_vertices(batch.tracks, batch.events.count)
    used = (batch.tracks.pt >= 0.5) & (np.abs(batch.tracks.d0) <= 1) & (batch.events.origin[batch.particle] == generator.PROMPT)
    assert np.mean(fitted.weight[used] > 0.9) == pytest.approx(0.9, abs=0.01)


def test_rates_by_flavour_are_those_of_the_check_simulation(sample):
    """Secondary-vertex efficiency, fake rate and tracks per jet; statistics and details of the fit allow a tenth."""
    jets, _ = sample
    listed = jets["counts"] > 0
    for flavour, (rate, tracks) in zip(FLAVOURS, ((0.72, 4.4), (0.31, 3.7), (0.10, 4.2)), strict=True):
        of_flavour = listed & (jets["jet_parton_flavour"] == flavour)
        assert np.mean(jets["n_secondary_vertices"][of_flavour] > 0) == pytest.approx(rate, rel=0.12, abs=0.02)
        assert jets["counts"][of_flavour].mean() == pytest.approx(tracks, rel=0.06)


def test_labels_by_quarks_and_by_hadrons_mostly_agree(sample):
    jets, _ = sample
    assert np.mean(jets["jet_parton_flavour"] == jets["jet_hadron_flavour"]) > 0.95
    species = np.abs(jets["jet_hadron_pdg"])
    assert set(np.unique(species[jets["jet_hadron_flavour"] == 5])) <= set(generator.BOTTOM_HADRONS)
    assert set(np.unique(species[jets["jet_hadron_flavour"] == 4])) <= set(generator.CHARM_HADRONS)
    assert not species[jets["jet_hadron_flavour"] == 0].any()


def test_options_change_what_they_say():
    """Spread vertices, physical resolutions and hadron labels."""
    spread = simulate("light", 400, SimulationSettings(beam_spot=True))
    fitted = jet_inputs.primary_vertices(spread.tracks, 400)
    first = np.unique(spread.events.final.event, return_index=True)[1]
    # Most particles of an event start at its vertex.
    true = np.array([np.median(part) for part in np.split(spread.events.final.vertex[:, 2], first[1:])])
    assert true.std() == pytest.approx(46, rel=0.2)
    assert np.median(np.abs(fitted.position[:, 2] - true)) < 0.2
    unit = Simulation(SimulationSettings(hadron_labels=True, events_per_unit=2000)).unit(0)
    np.testing.assert_array_equal(unit.jets["jet_parton_flavour"], unit.jets["jet_hadron_flavour"])
    quarks = Simulation(SimulationSettings(events_per_unit=2000)).unit(0)
    np.testing.assert_array_equal(quarks.jets["jet_hadron_flavour"], unit.jets["jet_hadron_flavour"])
    assert (quarks.jets["jet_parton_flavour"] != unit.jets["jet_hadron_flavour"]).any()
    for physical in (False, True):
        tracks = simulate("light", 100, SimulationSettings(physical_resolution=physical)).tracks
        sigma = np.sqrt(tracks.covariance[:, 0, 0])
        # A detector's centre measures d0 best far from its ends; the data set has it the other way round.
        assert (sigma[np.abs(tracks.eta) < 0.3].mean() < sigma[np.abs(tracks.eta) > 2.3].mean()) == physical


def test_multiparton_interactions_add_particles():
    without, with_them = (simulate("light", 60, SimulationSettings(mpi=mpi)) for mpi in (False, True))
    assert len(with_them.events.final.pdg) > 2 * len(without.events.final.pdg)


def test_a_unit_depends_on_settings_and_number_alone():
    settings = SimulationSettings(seed=5, events_per_unit=300)
    simulation = Simulation(settings)
    first, second = simulation.unit(0), simulation.unit(1)
    again = Simulation(settings).unit(1)
    for name in second.jets:
        np.testing.assert_array_equal(second.jets[name], again.jets[name], err_msg=name)
    for name in second.tracks:
        np.testing.assert_array_equal(second.tracks[name], again.tracks[name], err_msg=name)
    assert not set(first.jets["event"]) & set(second.jets["event"])
    assert (np.diff(first.jets["event"]) >= 0).all()
    reseeded = Simulation(SimulationSettings(seed=6, events_per_unit=300)).unit(0)
    assert len(reseeded.counts) != len(first.counts) or (reseeded.jets["jet_pt"] != first.jets["jet_pt"]).any()
    assert first.counts.sum() == len(first.tracks["D0"])
    assert first.counts.min() >= 1


def test_units_with_hardly_any_jets_are_made_without_a_warning():
    """Ten events: some processes give no jet, no track near one, no vertex."""
    simulation = Simulation(SimulationSettings(events_per_unit=10))
    counts = [len(simulation.unit(number).counts) for number in range(20)]
    assert min(counts) < 5
    assert sum(counts) > 50
