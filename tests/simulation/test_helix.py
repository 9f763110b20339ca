"""Helices against a numerical integration of the Lorentz force."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import minimize_scalar

from kerastag.simulation import helix


def particles(count: int, seed: int, spread: float):
    """Random production points (mm), momenta (GeV) and charges."""
    rng = np.random.default_rng(seed)
    pt, phi = rng.uniform(0.5, 5, count), rng.uniform(-np.pi, np.pi, count)
    momentum = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(rng.uniform(-2, 2, count))], axis=1)
    return rng.normal(0, spread, (count, 3)), momentum, rng.choice([-1.0, 1.0], count)


def integrated(vertex, momentum, charge):
    """Position (mm) and momentum (GeV) as functions of the path: dp/ds = q·0.2998·(p̂ x B), s in m."""

    def force(_, state):
        unit = state[3:] / np.linalg.norm(state[3:])
        field = np.array([0.0, 0.0, helix.FIELD])
        return np.concatenate([1000 * unit, charge * 0.299792458 * np.cross(unit, field)])

    solutions = [
        solve_ivp(force, (0, end), np.concatenate([vertex, momentum]), rtol=1e-11, atol=1e-9, dense_output=True).sol
        for end in (-0.3, 0.3)
    ]
    return lambda path: solutions[int(path > 0)](path)


@pytest.mark.parametrize("number", range(8))
def test_perigee_is_where_integration_comes_closest_to_the_beam_line(number):
    vertex, momentum, charge = (values[number] for values in particles(8, 3, 10))
    state = integrated(vertex, momentum, charge)
    closest = minimize_scalar(lambda s: np.hypot(*state(s)[:2]), bounds=(-0.3, 0.3), method="bounded", options={"xatol": 1e-10})
    x, y, _, px, py, pz = state(closest.x)
    parameters = helix.perigee(vertex[None], momentum[None], np.array([charge]))[0]
    assert parameters[0] == pytest.approx((x * py - y * px) / np.hypot(px, py), abs=1e-5)
    assert parameters[2] == pytest.approx(np.arctan2(py, px), abs=1e-6)
    assert parameters[3] == pytest.approx(np.arctan2(np.hypot(px, py), pz), abs=1e-9)
    assert parameters[4] == pytest.approx(charge / np.linalg.norm(momentum), rel=1e-9)


def test_z0_is_that_of_the_beam_line_for_particles_from_it():
    vertex, momentum, charge = particles(50, 4, 0.0)
    vertex[:, 2] = np.linspace(-40, 40, 50)
    assert helix.perigee(vertex, momentum, charge)[:, 1] == pytest.approx(vertex[:, 2])


def test_d0_of_a_displaced_particle_has_the_geometric_sign():
    phi, flight, length = 0.7, 0.4, 3.0
    vertex = length * np.array([[np.cos(flight), np.sin(flight), 0]])
    momentum = 1e6 * np.array([[np.cos(phi), np.sin(phi), 0]])  # practically straight
    parameters = helix.perigee(vertex, momentum, np.array([1.0]))[0]
    assert parameters[0] == pytest.approx(length * np.sin(phi - flight), rel=1e-4)


def test_positive_charges_turn_clockwise():
    """Looking against the field, along which z points, the azimuth of a positive particle falls along its path."""
    parameters = helix.perigee(np.zeros((1, 3)), np.array([[1.0, 0, 0]]), np.array([1.0]))
    _, _, phi, path = helix.closest_approach(parameters, np.array([[100.0, -3, 0]]))
    assert path[0] > 0
    assert phi[0] < 0


def test_closest_approach_agrees_with_integration():
    vertex, momentum, charge = particles(6, 5, 5)
    parameters = helix.perigee(vertex, momentum, charge)
    point = vertex + np.random.default_rng(1).normal(0, 20, (6, 3))
    transverse, longitudinal, phi, path = helix.closest_approach(parameters, point)
    for number in range(6):
        d0, z0, azimuth, theta, _ = parameters[number]
        start = np.array([d0 * np.sin(azimuth), -d0 * np.cos(azimuth), z0])
        size = np.linalg.norm(momentum[number])
        direction = size * np.array([np.sin(theta) * np.cos(azimuth), np.sin(theta) * np.sin(azimuth), np.cos(theta)])
        state = integrated(start, direction, charge[number])
        gap = lambda s: np.hypot(*(state(s)[:2] - point[number, :2]))  # noqa: B023, E731
        closest = minimize_scalar(gap, bounds=(-0.29, 0.29), method="bounded", options={"xatol": 1e-10})
        x, y, z, px, py, _ = state(closest.x)
        offset = np.array([x, y]) - point[number, :2]
        assert transverse[number] == pytest.approx((offset[0] * py - offset[1] * px) / np.hypot(px, py), abs=1e-4)
        assert longitudinal[number] == pytest.approx(z - point[number, 2], abs=1e-3)
        assert phi[number] == pytest.approx(np.arctan2(py, px), abs=1e-6)
        assert path[number] == pytest.approx(1000 * closest.x * np.sin(theta), abs=1e-3)
