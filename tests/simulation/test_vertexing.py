"""Adaptive fits against SciPy and against the truth of toy vertices."""

import numpy as np
import pytest
from scipy.optimize import least_squares

from kerastag.simulation import helix, resolution, vertexing
from kerastag.simulation.groups import rank_in_group
from kerastag.simulation.linearised import propagated


def toy(vertices: np.ndarray, tracks: int, seed: int = 0):
    """Smeared tracks of 1-9 GeV from each of `vertices` `(n, 3)` within a narrow cone: parameters, covariances, pT."""
    rng = np.random.default_rng(seed)
    count = len(vertices) * tracks
    origin = np.repeat(vertices, tracks, axis=0)
    pt, phi, eta = rng.uniform(1, 9, count), rng.normal(0.5, 0.2, count), rng.normal(0.3, 0.2, count)
    momentum = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=1)
    parameters = helix.perigee(origin, momentum, rng.choice([-1.0, 1.0], count))
    # The exact longitudinal parameter; the data set's approximation would bias the fit.
    _, longitudinal, _, _ = helix.closest_approach(parameters, origin)
    parameters[:, 1] -= longitudinal
    covariance = resolution.covariances()[resolution.bins(pt, eta)]
    noise = np.einsum("tij,tj->ti", np.linalg.cholesky(covariance), rng.standard_normal((count, 5)))
    return parameters + noise, covariance, pt


def whitened(parameters, covariance, position):
    """Residuals of tracks with respect to a vertex in units of their uncertainty, `(tracks, 2)`."""
    transverse, longitudinal, _, path = helix.closest_approach(parameters, np.tile(position, (len(parameters), 1)))
    dd, dz, zz = propagated(parameters, covariance, path)
    matrix = np.moveaxis(np.array([[dd, dz], [dz, zz]]), 2, 0)
    residual = np.stack([transverse, longitudinal], axis=1)
    return np.linalg.solve(np.linalg.cholesky(matrix), residual[:, :, None])[:, :, 0]


def test_a_fit_with_equal_weights_is_the_least_squares_solution():
    """A cut far away gives every track the same weight."""
    parameters, covariance, pt = toy(np.array([[2.0, 1.0, 0.7]]), 4)
    fitted = vertexing.fit(parameters, covariance, pt, np.array([4]), cut=100.0)
    expected = least_squares(lambda v: whitened(parameters, covariance, v).ravel(), np.array([2.0, 1.0, 0.7]), xtol=1e-12)
    np.testing.assert_allclose(fitted.weight, 1, atol=1e-6)
    np.testing.assert_allclose(fitted.position[0], expected.x, atol=2e-3)
    np.testing.assert_allclose(fitted.covariance[0], np.linalg.inv(expected.jac.T @ expected.jac), rtol=0.05, atol=1e-6)


def test_weights_belong_to_chi2_against_the_vertex_of_the_others():
    """Refit without each track with SciPy; its χ² includes that vertex' own uncertainty."""
    cut = 3.0
    parameters, covariance, pt = toy(np.array([[2.0, 1.0, 0.7]]), 5, seed=2)
    fitted = vertexing.fit(parameters, covariance, pt, np.array([5]), cut)
    for track in range(5):
        others = np.arange(5) != track
        weights = np.sqrt(fitted.weight[others])[:, None]

        def residuals(v, others=others, weights=weights):
            return (weights * whitened(parameters[others], covariance[others], v)).ravel()

        without = least_squares(residuals, fitted.position[0], xtol=1e-12)
        vertex_covariance = np.linalg.inv(without.jac.T @ without.jac)
        residual = whitened(parameters[[track]], covariance[[track]], without.x)[0]
        step = 1e-4 * np.eye(3)
        moved = [whitened(parameters[[track]], covariance[[track]], without.x + shift)[0] for shift in step]
        slope = (np.array(moved) - residual).T / 1e-4
        chi2 = residual @ np.linalg.solve(np.eye(2) + slope @ vertex_covariance @ slope.T, residual)
        assert fitted.weight[track] == pytest.approx(1 / (1 + np.exp((chi2 - cut**2) / 2)), rel=0.02, abs=0.01)


def test_pulls_of_fitted_vertices_have_unit_width():
    """Without outliers and with a cut at three standard deviations nearly all weights are 1."""
    vertices = np.random.default_rng(3).normal(0, [2, 2, 20], (1500, 3))
    parameters, covariance, pt = toy(vertices, 6, seed=4)
    fitted = vertexing.fit(parameters, covariance, pt, np.full(1500, 6), cut=3.0)
    pulls = (fitted.position - vertices) / np.sqrt(np.einsum("vii->vi", fitted.covariance))
    assert fitted.valid.all()
    width = np.diff(np.percentile(pulls, [15.87, 84.13], axis=0), axis=0)[0] / 2
    np.testing.assert_allclose(width, 1, atol=0.08)


def test_a_constraint_pulls_the_vertex_and_an_unused_fit_stays_at_the_origin():
    parameters, covariance, pt = toy(np.array([[0.0, 0.0, 10.0]]), 5)
    prior = np.array([0.015, 0.015, 46.0])
    fitted = vertexing.fit(parameters, covariance, pt, np.array([5, 0]), 3.0, prior)
    assert np.abs(fitted.position[0, :2]).max() < 0.03
    assert fitted.position[0, 2] == pytest.approx(10, abs=0.7)
    assert not fitted.valid[1]
    np.testing.assert_array_equal(fitted.position[1], 0)


def test_an_outlier_loses_its_weight_and_the_vertex_stays():
    parameters, covariance, pt = toy(np.array([[0.0, 0.0, 0.0]]), 6)
    parameters[3, 0] += 1.0
    fitted = vertexing.fit(parameters, covariance, pt, np.array([6]), 3.0, np.array([0.015, 0.015, 46.0]))
    assert fitted.weight[3] < 1e-6
    assert np.linalg.norm(fitted.position[0, :2]) < 0.03


@pytest.mark.parametrize(("cut", "largest"), [(3.0, 0.98901), (1.0, 0.62246)])
def test_no_weight_exceeds_that_of_chi2_zero(cut, largest):
    parameters, covariance, pt = toy(np.zeros((300, 3)), 4)
    weight = vertexing.fit(parameters, covariance, pt, np.full(300, 4), cut).weight
    # The last temperature is a little above 1.
    assert largest - 0.02 < weight.max() <= largest + 1e-5


def test_tracks_that_never_meet_make_no_vertex():
    parameters, covariance, pt = toy(np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 400.0]]), 1)
    assert not vertexing.fit(parameters, covariance, pt, np.array([2]), 1.0).valid[0]


def test_fits_do_not_depend_on_their_neighbours():
    parameters, covariance, pt = toy(np.random.default_rng(0).normal(0, 1, (20, 3)), 4)
    together = vertexing.fit(parameters, covariance, pt, np.full(20, 4), 1.0)
    alone = vertexing.fit(parameters[8:12], covariance[8:12], pt[8:12], np.array([4]), 1.0)
    np.testing.assert_allclose(alone.position[0], together.position[2], atol=1e-9)
    np.testing.assert_allclose(alone.weight, together.weight[8:12], atol=1e-9)


def test_the_search_finds_two_vertices_in_a_jet():
    """Of six tracks each, in a line with the origin; with a cut at one standard deviation not every search can succeed."""
    places = np.array([[3.0, 1.5, 1.0], [12.0, 6.0, 4.0]])
    jets = 100
    parameters, covariance, pt = toy(np.tile(places, (jets, 1)), 6, seed=6)
    secondaries = vertexing.find_secondaries(parameters, covariance, pt, np.full(jets, 12), 1.0, 1.0)
    near = np.linalg.norm(secondaries.position[:, None] - places, axis=2) < 1.5
    for place in (0, 1):
        assert len(np.unique(secondaries.group[near[:, place]])) > 0.8 * jets
    assert (np.diff(secondaries.vertex) >= 0).all()
    heavy = secondaries.weight > vertexing.LEAVES
    assert len(np.unique(secondaries.track[heavy])) == heavy.sum(), "a track that left the pool came back"


def test_rank_counts_from_the_largest_within_each_group():
    group, key = np.array([1, 0, 1, 1, 0]), np.array([5.0, 1.0, 9.0, 7.0, 2.0])
    np.testing.assert_array_equal(rank_in_group(group, key), [2, 1, 0, 1, 0])
