"""Towers and jets."""

import dataclasses

import numpy as np
import pytest

from kerastag.simulation import calorimeter
from kerastag.simulation.generator import Particles


def shower(pdg: int, charge: int, energy: float, eta: float, phi: float, count: int) -> Particles:
    """One particle of this kind in each of `count` events."""
    pt = energy / np.cosh(eta)
    momentum = np.tile([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), energy], (count, 1))
    return Particles(np.arange(count), np.full(count, pdg), momentum, np.zeros((count, 3)), np.full(count, charge))


def measured(particles):
    """Event, energy, η and φ of the towers that see some particles."""
    towers = calorimeter.fill_towers(particles)
    return calorimeter.measure(towers, calorimeter.draw(len(towers), np.random.default_rng(0)))


@pytest.mark.parametrize(
    ("pdg", "eta", "sigma"),
    [
        (22, 0.52, lambda e: np.sqrt((0.0017 * e) ** 2 + 0.101**2 * e)),
        (130, 0.52, lambda e: np.sqrt((0.0302 * e) ** 2 + 0.5205**2 * e + 1.59**2)),
        (130, 2.03, lambda e: np.sqrt((0.05 * e) ** 2 + 0.706**2 * e)),
    ],
)
def test_towers_measure_energy_with_the_stated_resolution(pdg, eta, sigma):
    _, energy, _, _ = measured(shower(pdg, 0, 100.0, eta, 1.0, 20_000))
    assert energy.mean() == pytest.approx(100, abs=0.5)
    assert energy.std() == pytest.approx(sigma(100.0), rel=0.03)


def test_direction_is_uniform_within_the_tower():
    _, _, eta, phi = measured(shower(22, 0, 50.0, 0.52, np.radians(25), 5000))
    assert (eta.min(), eta.max()) == pytest.approx((0.5, 0.6), abs=1e-3)
    assert np.degrees([phi.min(), phi.max()]) == pytest.approx([20, 30], abs=0.1)


@pytest.mark.parametrize("charge", [-1, 1])
def test_charged_particles_bend_before_they_arrive(charge):
    """A pion of pT 2 GeV arrives asin(0.345/2) off its direction, a positive one clockwise."""
    energy = 2 * np.cosh(0.05)
    particles = shower(211, charge, energy, 0.05, 0.0, 4000)
    _, _, _, phi = measured(particles)
    low = np.floor(np.degrees(-charge * np.arcsin(0.345 / 2)) / 10) * 10
    assert low <= np.degrees(phi).min()
    assert np.degrees(phi).max() <= low + 10


@pytest.mark.parametrize(("pdg", "charge"), [(13, -1), (12, 0), (211, 1)])
def test_muons_neutrinos_and_curling_pions_leave_nothing(pdg, charge):
    energy = 0.3 if pdg == 211 else 50.0
    event, *_ = measured(shower(pdg, charge, energy, 0.0, 0.0, 100))
    assert len(event) == 0


def test_jets_are_calibrated_and_inside_the_acceptance():
    """A single tower is a jet of its own energy, 20 GeV before calibration at least."""
    jets = calorimeter.find_jets(shower(22, 0, 40.0, 0.52, 1.0, 500), 500, np.random.default_rng(3))
    assert len(jets) == 500
    np.testing.assert_allclose(jets.pt, jets.raw_pt * np.sqrt((3 - 0.2 * np.abs(jets.eta)) ** 2 / jets.raw_pt + 1))
    assert not len(calorimeter.find_jets(shower(22, 0, 15.0, 0.0, 1.0, 100), 100, np.random.default_rng(3)))
    assert not len(calorimeter.find_jets(shower(22, 0, 400.0, 2.7, 1.0, 100), 100, np.random.default_rng(3)))


def test_two_near_towers_are_one_jet_and_distant_ones_two():
    first, near, far = (shower(22, 0, 40.0, 0.05, phi, 1) for phi in (0.1, 0.35, 1.5))
    for second, expected in ((near, 1), (far, 2)):
        names = (field.name for field in dataclasses.fields(Particles))
        both = Particles(*(np.concatenate([getattr(first, name), getattr(second, name)]) for name in names))
        assert len(calorimeter.find_jets(both, 1, np.random.default_rng(0))) == expected
