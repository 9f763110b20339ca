"""Truth of jets: labels by quarks and by hadrons, and the heavy hadron in a jet. Reconstruction never sees it."""

import numpy as np

from kerastag.simulation.calorimeter import CaloJets
from kerastag.simulation.generator import BOTTOM, BOTTOM_HADRONS, CHARM, Events, Particles
from kerastag.simulation.groups import all_pairs
from kerastag.simulation.kinematics import delta_r

QUARK_CONE = 0.5
HADRON_CONE = 0.4
HADRON_PT = 1.0  # GeV
_CHARGED_LEPTONS = (11, 13)  # those that live long enough


def jet_truth(jets: CaloJets, events: Events) -> dict[str, np.ndarray]:
    """Make the truth branches of jets.

    Args:
        jets: Jets, ordered by event.
        events: Events of the jets.

    Returns:
        `jet_parton_flavour`: 5 if a b quark with pT > 1 GeV lies within ΔR <= 0.5, else 4 if a c quark does, else 0.
        `jet_hadron_flavour`: the same with weakly decaying hadrons of pT > 1 GeV and ΔR <= 0.4, each given to its nearest jet.
        `jet_hadron_pdg`, `jet_hadron_pt`: species and pT (GeV) of the leading hadron of that flavour, 0 if none.
        `jet_hadron_decay_length`, `jet_hadron_proper_time`: path (mm) and proper decay time (mm/c) of that hadron, 0 if none.
    """
    hadrons = events.hadrons
    jet, quark, _ = _matches(jets, events.quarks, events.count, QUARK_CONE)
    quark_flavour = _heaviest(jet, np.abs(events.quarks.pdg[quark]), len(jets))
    jet, hadron, distance = _matches(jets, hadrons, events.count, HADRON_CONE)
    matched = _nearest(hadron, distance) & (hadrons.pt[hadron] > HADRON_PT)
    jet, hadron = jet[matched], hadron[matched]
    flavour = np.where(np.isin(np.abs(hadrons.pdg), BOTTOM_HADRONS), BOTTOM, CHARM)
    columns = {"jet_parton_flavour": quark_flavour, "jet_hadron_flavour": _heaviest(jet, flavour[hadron], len(jets))}
    leading = np.full(len(jets), -1)
    order = np.lexsort((hadrons.pt[hadron], flavour[hadron], jet))
    leading[jet[order]] = hadron[order]  # of repeated indices the last: the heaviest flavour, then the highest pT
    exists = leading >= 0
    path = np.linalg.norm(events.decay - hadrons.vertex, axis=1)
    quantities = {"pdg": hadrons.pdg, "pt": hadrons.pt, "decay_length": path, "proper_time": events.lifetime}
    for name, values in quantities.items():
        column = columns[f"jet_hadron_{name}"] = np.zeros(len(jets), values.dtype)
        column[exists] = values[leading[exists]]
    return columns


def deepntuple_flags(jets: CaloJets, events: Events) -> dict[str, np.ndarray]:
    """Make the flags of CMS's DeepNTuples, of which one is 1 in each jet; they agree with `jet_hadron_flavour`.

    What the truth cannot tell stays 0: whether heavy hadrons come from one gluon, and whether a lepton comes from a c hadron
    among the products of a b hadron. All jets without heavy hadrons, those of gluons included, are `isUD`.

    Args:
        jets: Jets, ordered by event.
        events: Events of the jets.
    """
    hadrons, final = events.hadrons, events.final
    jet, hadron, distance = _matches(jets, hadrons, events.count, HADRON_CONE)
    matched = _nearest(hadron, distance) & (hadrons.pt[hadron] > HADRON_PT)
    jet, bottom = jet[matched], np.isin(np.abs(hadrons.pdg[hadron[matched]]), BOTTOM_HADRONS)
    bottoms, charms = np.bincount(jet[bottom], minlength=len(jets)), np.bincount(jet[~bottom], minlength=len(jets))
    leptons = final.take(np.isin(np.abs(final.pdg), _CHARGED_LEPTONS) & (events.origin == BOTTOM))
    jet, lepton, distance = _matches(jets, leptons, events.count, HADRON_CONE)
    leptonic = np.bincount(jet[_nearest(lepton, distance)], minlength=len(jets)) > 0
    only_charm = (bottoms == 0) & (charms > 0)
    flags = {
        "isB": (bottoms == 1) & ~leptonic,
        "isLeptonicB": (bottoms == 1) & leptonic,
        "isBB": bottoms > 1,
        "isC": only_charm & (charms == 1),
        "isCC": only_charm & (charms > 1),
        "isUD": (bottoms == 0) & (charms == 0),
    }
    unknown = dict.fromkeys(("isGBB", "isLeptonicB_C", "isGCC", "isS", "isG"), np.zeros(len(jets), bool))
    return {name: values.astype(np.int64) for name, values in (flags | unknown).items()}


def _matches(jets: CaloJets, particles: Particles, events: int, cone: float) -> tuple[np.ndarray, ...]:
    """Jets, particles and their distances for all pairs of an event within `cone`."""
    jet, particle = all_pairs(jets.event, particles.event, events)
    distance = delta_r(particles.eta[particle], particles.phi[particle], jets.eta[jet], jets.phi[jet])
    near = distance <= cone
    return jet[near], particle[near], distance[near]


def _nearest(particle: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Whether a pair is the closest one of its particle."""
    smallest = np.full(particle.max(initial=-1) + 1, np.inf)
    np.minimum.at(smallest, particle, distance)
    return distance == smallest[particle]


def _heaviest(jet: np.ndarray, flavour: np.ndarray, jets: int) -> np.ndarray:
    """Largest flavour among the matches of each jet, 0 without any."""
    heaviest = np.zeros(jets, np.int64)
    np.maximum.at(heaviest, jet, flavour)
    return heaviest
