"""Resolutions, smearing and efficiency."""

import numpy as np
import pytest
from scipy import stats

from kerastag.simulation import helix, resolution, tracking
from kerastag.simulation.changes import Detector
from kerastag.simulation.generator import Particles


def pions(count: int, pt, eta, seed: int = 0, pdg: int = 211) -> Particles:
    """Particles of both charges from the origin, flat in azimuth."""
    rng = np.random.default_rng(seed)
    pt, eta = np.broadcast_to(pt, count), np.broadcast_to(eta, count)
    phi, charge = rng.uniform(-np.pi, np.pi, count), rng.choice([-1, 1], count)
    energy = np.hypot(pt * np.cosh(eta), 0.13957)
    momentum = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), energy], axis=1)
    return Particles(np.arange(count), np.full(count, pdg), momentum, np.zeros((count, 3)), charge)


def reconstruct(particles: Particles):
    """Tracks, the particle behind each and the true parameters, of the nominal detector."""
    return tracking.reconstruct(particles, tracking.find(particles, np.random.default_rng(2)), False, Detector())


@pytest.mark.parametrize("physical", [False, True])
def test_covariances_are_positive_definite(physical):
    assert np.linalg.eigvalsh(resolution.covariances(physical) / _scale(physical)).min() > 0


def _scale(physical):
    sigma = np.sqrt(np.einsum("...ii->...i", resolution.covariances(physical)))
    return sigma[..., :, None] * sigma[..., None, :]


def test_table_has_the_published_range():
    d0 = resolution.covariances()[..., 0, 0]
    assert len(np.unique(d0)) <= 72
    assert d0.max() == pytest.approx(0.00246, abs=5e-6)


def test_soft_tracks_have_twice_the_impact_parameter_uncertainty():
    (soft, hard), _ = resolution.bins(np.array([9.0, 11.0]), np.zeros(2))
    ratio = np.sqrt(np.einsum("eii->ei", resolution.covariances()[soft]) / np.einsum("eii->ei", resolution.covariances()[hard]))
    np.testing.assert_allclose(ratio, np.tile([2, 2, 1, 1, 1], (8, 1)), rtol=1e-6)


def test_data_set_reverses_the_eta_index():
    np.testing.assert_array_equal(resolution.covariances(True), resolution.covariances()[:, ::-1])
    longitudinal = resolution.covariances(True)[1, :, 1, 1]
    assert longitudinal[-1] > longitudinal[0]  # forward tracks of a detector have the larger z0 uncertainty


@pytest.mark.parametrize("pt", [0.7, 5.0, 15.0, 30.0, 70.0, 150.0, 300.0, 800.0])
def test_pulls_have_unit_width_and_chi2_is_flat(pt):
    """In every bin of pT, over all bins of |η|: the written covariance is that of the smearing."""
    particles = pions(20_000, pt, np.random.default_rng(1).uniform(-2.5, 2.5, 20_000))
    tracks, particle, true = reconstruct(particles)
    shift = tracks.parameters - true
    shift[:, 2] = (shift[:, 2] + np.pi) % (2 * np.pi) - np.pi
    sigma = np.sqrt(np.einsum("tii->ti", tracks.covariance))
    pulls = shift / sigma
    assert len(particle) > 10_000
    np.testing.assert_allclose(pulls.std(axis=0), 1, atol=0.03)
    np.testing.assert_allclose(pulls.mean(axis=0), 0, atol=0.04)
    normalised = tracks.covariance / (sigma[:, :, None] * sigma[:, None, :])
    chi2 = (pulls * np.linalg.solve(normalised, pulls[:, :, None])[:, :, 0]).sum(axis=1)
    assert stats.kstest(stats.chi2.sf(chi2, 5), "uniform").pvalue > 1e-3


def test_charges_survive():
    particles = pions(5000, 2.0, 0.3)
    tracks, particle, _ = reconstruct(particles)
    np.testing.assert_array_equal(tracks.charge, particles.charge[particle])


def test_transverse_momentum_is_that_of_the_smeared_curvature():
    particles = pions(5000, 2.0, 1.0)
    tracks, _, _ = reconstruct(particles)
    expected = 1 / np.abs(tracks.parameters[:, helix.PARAMETERS.index("QOVERP")]) / np.cosh(1.0)
    np.testing.assert_allclose(tracks.pt, expected)
    assert tracks.pt.std() > 0


@pytest.mark.parametrize(
    ("pdg", "pt", "eta", "expected"),
    [
        (211, 0.5, 0.0, 0.70),
        (211, 5.0, 0.0, 0.95),
        (211, 0.5, 2.0, 0.60),
        (211, 5.0, -2.0, 0.85),
        (11, 5.0, 2.0, 0.83),
        (11, 200.0, 2.0, 0.90),
        (13, 0.5, 1.0, 0.75),
        (13, 5.0, 2.0, 0.98),
        (211, 0.09, 0.0, 0.0),
        (211, 5.0, 2.6, 0.0),
    ],
)
def test_efficiency(pdg, pt, eta, expected):
    assert tracking.efficiency(pions(3, pt, eta, pdg=pdg)) == pytest.approx(expected)


def test_particles_made_outside_the_tracker_leave_no_track():
    particles = pions(2, 5.0, 0.0)
    particles.vertex[1] = [1200.0, 0.0, 0.0]
    assert tracking.efficiency(particles)[1] == 0
