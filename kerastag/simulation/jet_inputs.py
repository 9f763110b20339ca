"""The 184 inputs of Jet Flavor 2016 from jets, tracks and vertices: jet branches and jagged track branches of a file.

Definitions follow the simulation that made the data set (dguest/delphes), oddities included: significances of the second
and third track are unsigned, `vertex_significance` is ten times a significance, tracks that belong to two vertices count twice.

Reference: Guest et al., Phys. Rev. D 94 (2016) 112002, arXiv:1607.08633.
"""

import numpy as np
from scipy import special

from kerastag.simulation import helix, vertexing
from kerastag.simulation.association import Cones
from kerastag.simulation.calorimeter import CaloJets
from kerastag.simulation.groups import group_sum, rank_in_group
from kerastag.simulation.kinematics import directions, mass, wrapped
from kerastag.simulation.settings import BEAM_SPOT
from kerastag.simulation.tracking import PION_MASS, Tracks

MINIMUM_PT = 0.5  # GeV, of tracks
HIGH_LEVEL_D0 = 2.0  # mm
VERTEX_D0 = 8.0  # mm
PRIMARY_D0 = 1.0  # mm
PRIMARY_CUT = 3.0  # χ_c of the fit of the primary vertex
SECONDARY_CUT = 1.0  # χ_c of secondary vertices
PRIMARY_PRIOR = np.array(BEAM_SPOT)
PRIMARY_WEIGHT = 0.9  # above it a track belongs to the primary vertex
D0_THRESHOLD = 1.8  # standard deviations


def primary_vertices(tracks: Tracks, events: int) -> vertexing.Vertices:
    """Fit the primary vertex of every event; `weight` is that of every track, 0 for those that the fit does not use."""
    used = np.flatnonzero((tracks.pt >= MINIMUM_PT) & (np.abs(tracks.d0) <= PRIMARY_D0))
    counts = np.bincount(tracks.event[used], minlength=events)
    fitted = vertexing.fit(
        tracks.parameters[used], tracks.covariance[used], tracks.pt[used], counts, PRIMARY_CUT, PRIMARY_PRIOR
    )
    weight = np.zeros(len(tracks.pt))
    weight[used] = fitted.weight
    fitted.weight = weight
    return fitted


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
    primary, other = selected.take(is_primary), selected.take(~is_primary)
    secondaries = vertexing.find_secondaries(
        tracks.parameters[other.track],
        tracks.covariance[other.track],
        tracks.pt[other.track],
        np.bincount(other.jet, minlength=len(jets)),
        SECONDARY_CUT,
        SECONDARY_CUT,
    )
    jet_columns = {"jet_pt": jets.pt, "jet_eta": jets.eta}
    jet_columns |= _impact_parameters(tracks, selected.take(np.abs(tracks.d0[selected.track]) <= HIGH_LEVEL_D0))
    vertices = _vertex_properties(jets, tracks, other, secondaries, energy)
    jet_columns |= _vertex_summary(len(jets), secondaries.group, vertices)
    prompt = _primary_properties(tracks, primary, energy)
    track_columns, jet, track = _listed_tracks(
        jets, tracks, primary, prompt, primary_weight[primary.track], other, secondaries, vertices
    )
    return jet_columns, track_columns, jet, track


def jet_probability(significance: np.ndarray) -> np.ndarray:
    """Probability that a prompt track lies farther out than its unsigned d0 significance, as the data set parametrises it.

    Its Gaussian integrals lack a factor √2, so a track at 0 has 0.375 and not 1.
    """
    cores = 0.32 * 0.56 * special.erfc(significance / (np.sqrt(2) * 0.56))
    cores += 0.19 * 0.89 * special.erfc(significance / (np.sqrt(2) * 0.89))
    tails = np.exp(-3.09 - 0.81 * significance) / 0.81 + np.exp(-6.07 - 0.23 * significance) / 0.23
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
            chosen = rank == number - 1
            column[cones.jet[chosen]] = values[chosen]
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
    vertices, jet = len(secondaries.group), secondaries.group
    members = np.bincount(secondaries.vertex, minlength=vertices)
    momentum = group_sum(secondaries.vertex, vertices, tracks.momentum[cones.track[secondaries.track]])
    displacement = np.linalg.norm(secondaries.position, axis=1)
    flight = secondaries.position / displacement[:, None]
    variance = np.einsum("vi,vij,vj->v", flight, secondaries.covariance, flight)
    eta, phi = directions(secondaries.position)
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
    some = count > 0

    def total(values):
        return np.bincount(jet, values, minlength=jets)

    members = vertices["vertex_n_tracks"]
    delta_r = np.hypot(vertices["vertex_delta_eta_jet"], vertices["vertex_delta_phi_jet"])
    length, sigmas = vertices["vertex_displacement"], vertices["vertex_displacement_significance"]
    inverse_variance = (sigmas / length) ** 2
    with np.errstate(invalid="ignore"):
        # The data set has lengths in mm and variances in cm².
        significance = 10 * total(length * inverse_variance) / np.sqrt(total(inverse_variance))
        mean_delta_r = total(members * delta_r) / total(members)
    return {
        "vertex_significance": np.where(some, significance, -1.0),
        "n_secondary_vertices": np.where(some, count, -1),
        "n_secondary_vertex_tracks": np.where(some, total(members), -1).astype(np.int64),
        "delta_r_vertex": np.where(some, mean_delta_r, np.inf),
        "vertex_mass": np.where(some, total(vertices["vertex_mass"]), -1.0),
        "vertex_energy_fraction": np.where(some, total(vertices["vertex_energy_fraction"]), -np.inf),
    }


def _primary_properties(tracks: Tracks, cones: Cones, energy: np.ndarray) -> dict[str, np.ndarray]:
    """The same properties for the primary tracks of each jet, `(jets,)`."""
    momentum = cones.sum(tracks.momentum[cones.track])
    count = cones.sum()
    nothing = np.zeros(cones.jets)
    with np.errstate(invalid="ignore"):
        fraction = momentum[:, 3] / energy
    return {
        "vertex_mass": np.where(count == 1, PION_MASS, mass(momentum)),
        "vertex_displacement": nothing,
        "vertex_delta_eta_jet": nothing + np.nan,
        "vertex_delta_phi_jet": nothing + np.nan,
        "vertex_displacement_significance": nothing,
        "vertex_n_tracks": count,
        "vertex_energy_fraction": fraction,
    }


def _listed_tracks(jets, tracks, primary, prompt, primary_weight, other, secondaries, vertices):
    """Track branches: primary tracks, then those of secondary vertices, each with the last vertex that contains it."""
    last = np.full(len(other.track), -1)
    last[secondaries.track] = np.arange(len(secondaries.track))  # of repeated indices the last, which is the later vertex
    member = last[last >= 0]
    at_vertex = other.take(last >= 0)
    track = np.concatenate([primary.track, at_vertex.track])
    jet = np.concatenate([primary.jet, at_vertex.jet])
    secondary = np.arange(len(track)) >= len(primary.track)
    order = np.lexsort((tracks.d0[track], secondary, jet))
    columns = _track_parameters(tracks, track)
    columns["PHI"] = np.concatenate([primary.delta_phi, at_vertex.delta_phi])
    columns["THETA"] -= 2 * np.arctan(np.exp(-jets.eta[jet]))
    columns["weight"] = np.concatenate([primary_weight, secondaries.weight[member]])
    for name in vertices:
        columns[name] = np.concatenate([prompt[name][primary.jet], vertices[name][secondaries.vertex[member]]])
    return {name: values[order] for name, values in columns.items()}, jet[order], track[order]


def _track_parameters(tracks: Tracks, track: np.ndarray) -> dict[str, np.ndarray]:
    """The five parameters and fifteen covariances under their names in the data set."""
    columns = {name: tracks.parameters[track, number] for number, name in enumerate(helix.PARAMETERS)}
    for row, first in enumerate(helix.PARAMETERS):
        for column, second in enumerate(helix.PARAMETERS[: row + 1]):
            columns[first + second] = tracks.covariance[track, row, column]
    return columns
