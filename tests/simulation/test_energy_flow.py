"""Neutral particles from towers and tracks."""

import numpy as np
import pytest

from kerastag.simulation import calorimeter, helix, tracking
from kerastag.simulation.energy_flow import energy_flow
from kerastag.simulation.generator import Particles

PION, ELECTRON, MUON, PHOTON, KLONG = 211, 11, 13, 22, 130


def event(*particles: tuple[int, int, float]) -> tuple[Particles, tracking.Tracks]:
    """Particles of one event, given as species, charge and energy in GeV, all in one direction, and their tracks unsmeared."""
    pdg, charge, energy = (np.array(column) for column in zip(*particles, strict=True))
    pt = energy / np.cosh(0.05)
    momentum = np.stack([pt * np.cos(0.3), pt * np.sin(0.3), pt * np.sinh(0.05), energy], axis=1)
    found = charge != 0
    number = np.zeros(len(pdg), np.int64)
    every = Particles(number, pdg, momentum, np.zeros((len(pdg), 3)), charge)
    parameters = helix.perigee(np.full((found.sum(), 3), 1e-9), momentum[found, :3], charge[found])
    tracks = tracking.Tracks(number[found], parameters, np.zeros((found.sum(), 5, 5)), pt[found], np.full(found.sum(), 0.05))
    return every, tracks


def neutrals(*particles: tuple[int, int, float], lost: int = 0):
    """Photons and neutral hadrons of an event whose last `lost` tracks are not found; energies fluctuate by nothing."""
    every, tracks = event(*particles)
    species = np.array([pdg for pdg, charge, _ in particles if charge])[: len(tracks) - lost]
    towers = calorimeter.fill_towers(every)
    noise = np.tile([0.0, 0.0, 0.5, 0.5], (len(towers), 1))
    return energy_flow(towers, noise, tracks.take(np.arange(len(species))), species == ELECTRON, species == MUON)


def test_a_photon_beside_a_pion_is_a_photon():
    found = neutrals((PION, 1, 100.0), (PHOTON, 0, 30.0))
    assert found.photon.tolist() == [True]
    assert found.energy == pytest.approx([30], rel=0.01)
    assert found.pt == pytest.approx(found.energy / np.cosh(0.05))
    assert (found.eta[0], found.phi[0]) == pytest.approx((0.05, np.radians(15)))


def test_a_neutral_hadron_is_what_exceeds_the_charged_ones():
    found = neutrals((PION, 1, 100.0), (KLONG, 0, 60.0))
    assert found.photon.tolist() == [False]
    assert found.energy == pytest.approx([60], rel=0.02)


def test_an_excess_below_the_resolution_of_the_charged_energy_is_lost():
    """At 100 GeV it is 6.2 GeV, 0.52·√100 and 3.0 and 1.6 added in squares."""
    assert not len(neutrals((PION, 1, 100.0), (KLONG, 0, 5.0)))
    assert len(neutrals((PION, 1, 100.0), (KLONG, 0, 8.0))) == 1
    assert len(neutrals((KLONG, 0, 5.0))) == 1


def test_a_pion_without_track_looks_neutral():
    assert not len(neutrals((PION, 1, 20.0)))
    assert neutrals((PION, 1, 20.0), lost=1).photon.tolist() == [False]


@pytest.mark.parametrize("charge", [-1, 1])
def test_electrons_leave_no_photon_and_muons_nothing(charge):
    assert not len(neutrals((ELECTRON, charge, 20.0)))
    assert neutrals((ELECTRON, charge, 20.0), lost=1).photon.tolist() == [True]
    assert not len(neutrals((MUON, charge, 20.0)))
    assert neutrals((MUON, charge, 20.0), (KLONG, 0, 15.0)).energy == pytest.approx([15], rel=0.1)


def test_tracks_meet_the_towers_of_their_particles(batches):
    """Unsmeared tracks of particles from the middle that reach the calorimeter, which leave energy there."""
    batch = batches["light"]
    particles = batch.events.final.take(batch.particle)
    prompt = (np.abs(particles.vertex).max(axis=1) < 0.1) & (np.abs(particles.pdg) != MUON) & (particles.pt > 1)
    towers = calorimeter.fill_towers(batch.events.final)
    angle = np.arcsin(calorimeter.bend(particles.charge[prompt], particles.pt[prompt]))
    phi = particles.phi[prompt] - angle
    phi = (phi + np.pi) % (2 * np.pi) - np.pi
    row = calorimeter.entered(towers, particles.event[prompt], particles.eta[prompt], phi)
    assert (row >= 0).all()
    energy = particles.momentum[prompt, 3]
    assert (towers.electromagnetic[row] + towers.hadronic[row] >= energy * (1 - 1e-9)).all()


def test_energy_of_jets_is_that_of_tracks_and_neutrals(batches):
    """Charged and neutral energy together are that of all visible particles, some per cent short of it."""
    batch = batches["light"]
    final, particle = batch.events.final, batch.particle
    towers = calorimeter.fill_towers(final)
    noise = calorimeter.draw(len(towers), np.random.default_rng(1))
    species = np.abs(final.pdg[particle])
    found = energy_flow(towers, noise, batch.tracks, species == ELECTRON, species == MUON)
    assert (np.diff(found.event) >= 0).all()
    visible = (np.abs(final.eta) < 2.4) & ~np.isin(np.abs(final.pdg), (12, 14, 16)) & calorimeter.in_tracker(final)
    measured = batch.tracks.momentum[np.abs(batch.tracks.eta) < 2.4, 3].sum() + found.energy[np.abs(found.eta) < 2.4].sum()
    assert measured / final.momentum[visible, 3].sum() == pytest.approx(0.95, abs=0.07)
