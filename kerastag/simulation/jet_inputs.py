"""The 184 inputs of Jet Flavor 2016 from jets, tracks and vertices: jet branches and jagged track branches of a file.

Definitions follow the simulation that made the data set (dguest/delphes), oddities included. Significances of the second and
third track are unsigned, `vertex_significance` is ten times a significance, tracks that belong to two vertices count twice.

Reference: Guest et al., Phys. Rev. D 94 (2016) 112002, arXiv:1607.08633.
"""

import dataclasses

import numpy as np
from scipy import special

from kerastag.schema.jet_flavor import JET_PROBABILITY_CORES, JET_PROBABILITY_TAILS
from kerastag.simulation import helix, vertexing
from kerastag.simulation.association import Cones
from kerastag.simulation.calorimeter import CaloJets
from kerastag.simulation.groups import group_sum, rank_in_group
from kerastag.simulation.kinematics import eta_phi, mass, wrapped
from kerastag.simulation.lines import variance_along
from kerastag.simulation.settings import BEAM_SPOT
from kerastag.simulation.tracking import PION_MASS, Tracks

MINIMUM_PT = 0.5  # of tracks, GeV
# Largest |d0| of tracks for the inputs made of impact parameters, for secondary and for primary vertices, mm.
HIGH_LEVEL_D0, VERTEX_D0, PRIMARY_D0 = 2.0, 8.0, 1.0
PRIMARY_CUT = 3.0  # χ_c of the fit of the primary vertex
SECONDARY_CUT = 1.0  # χ_c of secondary vertices
PRIMARY_PRIOR = np.array(BEAM_SPOT)
PRIMARY_WEIGHT = 0.9  # weight above which a track belongs to the primary vertex
D0_THRESHOLD = 1.8  # standard deviations


@dataclasses.dataclass
class _Members:
    """Tracks in jets that belong to vertices.

    Attributes:
        cones: Pairs of a jet and a track.
        weight: float64 `(pairs,)`, of the track in the fit of its vertex.
        vertex: Properties of that vertex by name, `(pairs,)` each.
    """

    cones: Cones
    weight: np.ndarray
    vertex: dict[str, np.ndarray]


def primary_vertices(tracks: Tracks, events: int) -> vertexing.Vertices:
    """Fit the primary vertex of every event; `weight` is that of every track, 0 for those that the fit does not use."""
    used = np.flatnonzero((tracks.pt >= MINIMUM_PT) & (np.abs(tracks.d0) <= PRIMARY_D0))
    counts = np.bincount(tracks.event[used], minlength=events)
    fitted = vertexing.fit(
        tracks.parameters[used], tracks.covariance[used], tracks.pt[used], counts, PRIMARY_CUT, PRIMARY_PRIOR
    )
    weight = np.zeros(len(tracks))
    weight[used] = fitted.weight
    return dataclasses.replace(fitted, weight=weight)


def jet_inputs(
    jets: CaloJets, tracks: Tracks, cones: Cones, primary_weight: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Calculate all inputs.

    Args:
        jets: Jets.
        tracks: Tracks.
        cones: Tracks in the cones of the jets.
        primary_weight: `(tracks,)`, weight in the primary vertex.

    Returns:
        Jet branches, each `(jets,)`; track branches, each `(listed tracks,)`, ordered by jet; the jet and the
        row of each listed track. Values that do not exist are -1, NaN or infinite as in the published file.
    """
    near = cones.take(np.abs(tracks.d0[cones.track]) <= VERTEX_D0)
    energy = near.sum(tracks.momentum[near.track, 3])
    selected = near.take(tracks.pt[near.track] >= MINIMUM_PT)
    is_primary = primary_weight[selected.track] > PRIMARY_WEIGHT
    primary, displaced = selected.take(is_primary), selected.take(~is_primary)
    secondaries = vertexing.find_secondaries(
        tracks.parameters[displaced.track],
        tracks.covariance[displaced.track],
        tracks.pt[displaced.track],
        displaced.sum(),
        SECONDARY_CUT,
        SECONDARY_CUT,
    )
    vertices = _vertex_properties(jets, tracks, displaced, secondaries, energy)
    jet_columns = {"jet_pt": jets.pt, "jet_eta": jets.eta}
    jet_columns |= _impact_parameters(tracks, selected.take(np.abs(tracks.d0[selected.track]) <= HIGH_LEVEL_D0))
    jet_columns |= _vertex_summary(len(jets), secondaries.group, vertices)
    properties = _primary_properties(tracks, primary, energy)
    at_primary = {name: values[primary.jet] for name, values in properties.items()}
    track_columns, jet, track = _listed_tracks(
        jets,
        tracks,
        _Members(primary, primary_weight[primary.track], at_primary),
        _secondary_members(displaced, secondaries, vertices),
    )
    return jet_columns, track_columns, jet, track


def jet_probability(significance: np.ndarray) -> np.ndarray:
    """Probability that a prompt track lies farther out than its unsigned d0 significance, in the data set's parametrisation.

    Its Gaussian integrals lack a factor √2, so the probability of a track at 0 is 0.375 and not 1.

    Args:
        significance: `(tracks,)`, |d0| over its uncertainty.
    """
    cores = sum(weight * special.erfc(significance / (np.sqrt(2) * width)) for weight, width in JET_PROBABILITY_CORES)
    tails = sum(np.exp(-a - b * significance) / b for a, b in JET_PROBABILITY_TAILS)
    return np.sqrt(np.pi) / 2 * cores + tails


def _impact_parameters(tracks: Tracks, cones: Cones) -> dict[str, np.ndarray]:
    """Jet branches made of the tracks with pT >= 0.5 GeV and |d0| <= 2 mm."""
    count = cones.sum()
    track = cones.track
    d0_significance = np.abs(tracks.d0[track]) / np.sqrt(tracks.covariance[track, 0, 0])
    z0_significance = np.abs(tracks.z0[track]) / np.sqrt(tracks.covariance[track, 1, 1])
    rank = rank_in_group(cones.jet, np.abs(tracks.d0[track]))
    columns = {}
    for name, values in (("d0", d0_significance), ("z0", z0_significance)):
        for number in (2, 3):
            column = columns[f"track_{number}_{name}_significance"] = np.full(cones.jets, -np.inf)
            ranked = rank == number - 1
            column[cones.jet[ranked]] = values[ranked]
    over = cones.take(d0_significance > D0_THRESHOLD).sum()
    columns["n_tracks_over_d0_threshold"] = np.where(count >= 2, over, 0)
    # Σ_{k<n} (-ln P)^k / k! times P is the regularised upper incomplete gamma function.
    log_product = cones.sum(np.log(jet_probability(d0_significance)))
    columns["jet_prob"] = np.where(count > 0, special.gammaincc(np.maximum(count, 1), -log_product), -1.0)
    with np.errstate(invalid="ignore"):
        for name, delta in (("eta", cones.delta_eta), ("phi", cones.delta_phi)):
            width = np.sqrt(cones.sum(tracks.pt[track] * delta**2) / cones.sum(tracks.pt[track]))
            columns[f"jet_width_{name}"] = np.where(count > 0, width, -np.inf)
    return columns


def _vertex_properties(
    jets: CaloJets, tracks: Tracks, cones: Cones, secondaries: vertexing.Secondaries, energy: np.ndarray
) -> dict[str, np.ndarray]:
    """Properties of each secondary vertex, `(vertices,)`."""
    jet, vertices = secondaries.group, len(secondaries.group)
    members = np.bincount(secondaries.vertex, minlength=vertices)
    momentum = group_sum(secondaries.vertex, vertices, tracks.momentum[cones.track[secondaries.track]])
    displacement = np.linalg.norm(secondaries.position, axis=1)
    variance = variance_along(secondaries.position / displacement[:, None], secondaries.covariance)
    eta, phi = eta_phi(secondaries.position)
    return {
        "vertex_mass": mass(momentum),
        "vertex_displacement": displacement,
        "vertex_delta_eta_jet": eta - jets.eta[jet],
        "vertex_delta_phi_jet": wrapped(phi - jets.phi[jet]),
        "vertex_displacement_significance": displacement / np.sqrt(variance),
        "vertex_n_tracks": members,
        "vertex_energy_fraction": momentum[:, 3] / energy[jet],
    }


def _vertex_summary(jets: int, jet: np.ndarray, vertices: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Jet branches made of all secondary vertices."""
    count = np.bincount(jet, minlength=jets)
    exists = count > 0

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(jet, values, minlength=jets)

    members = vertices["vertex_n_tracks"]
    delta_r = np.hypot(vertices["vertex_delta_eta_jet"], vertices["vertex_delta_phi_jet"])
    length = vertices["vertex_displacement"]
    inverse_variance = (vertices["vertex_displacement_significance"] / length) ** 2
    with np.errstate(invalid="ignore"):
        # The data set has lengths in mm and variances in cm².
        significance = 10 * total(length * inverse_variance) / np.sqrt(total(inverse_variance))
        mean_delta_r = total(members * delta_r) / total(members)
    return {
        "vertex_significance": np.where(exists, significance, -1.0),
        "n_secondary_vertices": np.where(exists, count, -1),
        "n_secondary_vertex_tracks": np.where(exists, total(members), -1).astype(np.int64),
        "delta_r_vertex": np.where(exists, mean_delta_r, np.inf),
        "vertex_mass": np.where(exists, total(vertices["vertex_mass"]), -1.0),
        "vertex_energy_fraction": np.where(exists, total(vertices["vertex_energy_fraction"]), -np.inf),
    }


def _primary_properties(tracks: Tracks, cones: Cones, energy: np.ndarray) -> dict[str, np.ndarray]:
    """Properties of the primary tracks of each jet, under the names of those of a vertex, `(jets,)`."""
    momentum = cones.sum(tracks.momentum[cones.track])
    count = cones.sum()
    zero, undefined = np.zeros(cones.jets), np.full(cones.jets, np.nan)
    with np.errstate(invalid="ignore"):
        fraction = momentum[:, 3] / energy
    return {
        "vertex_mass": np.where(count == 1, PION_MASS, mass(momentum)),
        "vertex_displacement": zero,
        "vertex_delta_eta_jet": undefined,
        "vertex_delta_phi_jet": undefined,
        "vertex_displacement_significance": zero,
        "vertex_n_tracks": count,
        "vertex_energy_fraction": fraction,
    }


def _secondary_members(cones: Cones, secondaries: vertexing.Secondaries, vertices: dict[str, np.ndarray]) -> _Members:
    """Tracks of secondary vertices, each with the last vertex that contains it."""
    last = np.full(len(cones.track), -1)
    last[secondaries.track] = np.arange(len(secondaries.track))  # of repeated indices the last, which is the later vertex
    member = last[last >= 0]
    at_vertex = {name: values[secondaries.vertex[member]] for name, values in vertices.items()}
    return _Members(cones.take(last >= 0), secondaries.weight[member], at_vertex)


def _listed_tracks(
    jets: CaloJets, tracks: Tracks, primary: _Members, secondary: _Members
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Track branches, the jet and the row of each track: primary tracks of a jet first, each kind by ascending d0."""

    def both(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return np.concatenate([first, second])

    track, jet = both(primary.cones.track, secondary.cones.track), both(primary.cones.jet, secondary.cones.jet)
    is_secondary = np.arange(len(track)) >= len(primary.weight)
    columns = _track_parameters(tracks, track)
    columns["PHI"] = both(primary.cones.delta_phi, secondary.cones.delta_phi)
    columns["THETA"] -= 2 * np.arctan(np.exp(-jets.eta[jet]))
    columns["weight"] = both(primary.weight, secondary.weight)
    columns |= {name: both(values, secondary.vertex[name]) for name, values in primary.vertex.items()}
    order = np.lexsort((tracks.d0[track], is_secondary, jet))
    return {name: values[order] for name, values in columns.items()}, jet[order], track[order]


def _track_parameters(tracks: Tracks, track: np.ndarray) -> dict[str, np.ndarray]:
    """The five parameters and fifteen covariances under their names in the data set."""
    columns = {name: tracks.parameters[track, column] for column, name in enumerate(helix.PARAMETERS)}
    for row, first in enumerate(helix.PARAMETERS):
        for column, second in enumerate(helix.PARAMETERS[: row + 1]):
            columns[first + second] = tracks.covariance[track, row, column]
    return columns
