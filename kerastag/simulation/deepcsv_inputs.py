"""The 66 inputs of CMS's DeepCSV tagger under their names in PFNano, in cm and GeV; absent values are -999.

Left out is what smeared tracks cannot give: hits and χ² of a track, and particle identification (every track is a pion).
Tracks of a vertex are listed by descending pT, where CMS keeps the order of its candidate collection.

Reference: CMS, JINST 13 (2018) P05011, section 5.1; cmssw, RecoBTag/SecondaryVertex (`CombinedSVComputer`).
"""

import dataclasses

import numpy as np

from kerastag.schema.deepcsv import ABSENT, PREFIX, TRACK_SLOTS, VERTEX_TRACK_SLOTS
from kerastag.simulation.association import Cones
from kerastag.simulation.calorimeter import CaloJets
from kerastag.simulation.candidates import CM, Candidates, candidates_in_cones, rapidity_along
from kerastag.simulation.groups import Rows, all_pairs, group_sum, rank_in_run
from kerastag.simulation.impact import ImpactParameters
from kerastag.simulation.inclusive_vertices import InclusiveVertices, flight
from kerastag.simulation.kinematics import delta_r, eta_phi, mass, unit_vectors
from kerastag.simulation.lines import dot, unit
from kerastag.simulation.tracking import Tracks
from kerastag.simulation.vertexing import Vertices

RECO_VERTEX, PSEUDO_VERTEX, NO_VERTEX = 0, 1, 2

_TRACK_PT, _TRACK_DXY, _TRACK_DZ = 1.0, 0.2, 17.0  # GeV, cm
_DELTA_R, _AXIS_DISTANCE, _DECAY_LENGTH = 0.3, 0.07, 5.0  # cm
_PSEUDO_SIGNIFICANCE = 2.0
_CHARM_MASS = 1.5  # GeV
_KAON_MASS, _TRACK_KAON_WINDOW, _VERTEX_KAON_WINDOW = 0.497648, 0.03, 0.05  # GeV
_VERTEX_DELTA_R, _LIGHTEST, _HEAVIEST = 0.3, 0.3, 6.5  # GeV
_SHORTEST, _LONGEST, _VERTEX_SIGNIFICANCE = 0.01, 2.5, 2.0  # cm


@dataclasses.dataclass
class JetVertices(Rows):
    """Pairs of a jet and a secondary vertex in it, ordered by jet and then by ascending uncertainty of the flight distance.

    Attributes:
        jet: int64 `(pairs,)`.
        vertex: int64 `(pairs,)`, row in the vertices of the batch.
        flight: float64 `(pairs, 3)`, direction of flight.
        distances: float64 `(pairs, 4)`, flight distance and its significance, transverse and in space, cm.
        momentum: float64 `(pairs, 4)`, sum over the members.
        size: int64 `(pairs,)`, members.
    """

    jet: np.ndarray
    vertex: np.ndarray
    flight: np.ndarray
    distances: np.ndarray
    momentum: np.ndarray
    size: np.ndarray


@dataclasses.dataclass
class PseudoVertices:
    """Displaced tracks of each jet without a vertex, taken as one.

    Attributes:
        exists: bool `(jets,)`.
        momentum: float64 `(jets, 4)`, sum over the displaced tracks of any jet, GeV.
        size: int64 `(jets,)`, number of tracks, 0 without a pseudo-vertex.
        tracks: Those tracks.
    """

    exists: np.ndarray
    momentum: np.ndarray
    size: np.ndarray
    tracks: Candidates


def deepcsv_inputs(
    jets: CaloJets,
    tracks: Tracks,
    cones: Cones,
    primary: Vertices,
    ip: ImpactParameters,
    vertices: InclusiveVertices,
    events: int,
) -> dict[str, np.ndarray]:
    """Calculate all inputs of DeepCSV and the jet branches that go with them.

    Args:
        jets: Jets; DeepCSV refers to their momentum before calibration.
        tracks: Tracks.
        cones: Tracks in the cones of the jets.
        primary: The primary vertex of each event.
        ip: Impact parameters of the tracks with respect to it.
        vertices: Secondary vertices.
        events: Number of events.

    Returns:
        `Jet_pt`, `Jet_rawFactor`, `Jet_eta`, `Jet_phi` and `Jet_DeepCSV_*`, each `(jets,)`.
    """
    axis = unit_vectors(jets.eta, jets.phi)
    candidates = select_candidates(tracks, cones, ip, axis)
    # With fewer than two tracks CMS gives up before it looks at anything else.
    tagged = np.bincount(candidates.jet, minlength=len(jets)) >= 2
    candidates = candidates.take(tagged[candidates.jet])
    close = (candidates.axis_distance >= -_AXIS_DISTANCE) & (candidates.decay_length <= _DECAY_LENGTH)
    selected = candidates.take(close & (candidates.delta_r < _DELTA_R))
    jet_vertices = _vertices_in_jets(jets, tracks, vertices, primary, events)
    jet_vertices = jet_vertices.take(tagged[jet_vertices.jet])
    pseudo = _pseudo_vertices(len(jets), selected, jet_vertices)
    columns = {"jetNSecondaryVertices": np.bincount(jet_vertices.jet, minlength=len(jets))}
    columns |= _sums(jets, selected, tagged)
    columns |= _track_slots(len(jets), selected.take(~_kaon_legs(selected, len(jets))))
    columns |= _above_charm(len(jets), candidates.take(close), tagged)
    columns |= _vertex_columns(jets, selected, jet_vertices, pseudo, tagged)
    columns |= _eta_rel(axis, tracks, vertices, jet_vertices, pseudo.tracks)
    columns = {PREFIX + name: values for name, values in columns.items()}
    kinematics = {"Jet_pt": jets.pt, "Jet_rawFactor": 1 - jets.raw_pt / jets.pt, "Jet_eta": jets.eta, "Jet_phi": jets.phi}
    return kinematics | columns


def select_candidates(tracks: Tracks, cones: Cones, ip: ImpactParameters, axis: np.ndarray) -> Candidates:
    """The tracks in cones that may serve the tagging of their jet.

    Args:
        tracks: Tracks.
        cones: Tracks in the cones of the jets.
        ip: Impact parameters of the tracks with respect to the primary vertex.
        axis: `(jets, 3)`, unit vectors of the jets.
    """
    good = (tracks.pt > _TRACK_PT) & (ip.value_2d * CM < _TRACK_DXY) & (np.abs(ip.point[:, 2]) * CM < _TRACK_DZ)
    return candidates_in_cones(tracks, cones.take(good[cones.track]), ip, axis)


def _kaon_legs(selected: Candidates, jets: int) -> np.ndarray:
    """Whether a track makes, with any other of its jet, a pair of the K0s mass and not of equal charge, bool `(pairs,)`."""
    first, second = all_pairs(selected.jet, selected.jet, jets)
    near = _near_kaon(mass(selected.momentum[first] + selected.momentum[second]), _TRACK_KAON_WINDOW)
    near &= (first != second) & (selected.charge[first] * selected.charge[second] <= 0)
    return np.bincount(first, near, minlength=len(selected)) > 0


def _is_kaon(size: np.ndarray, charge: np.ndarray, masses: np.ndarray) -> np.ndarray:
    """Whether vertices look like a K0s: two tracks of opposite charge and the right mass."""
    return (size == 2) & (charge == 0) & _near_kaon(masses, _VERTEX_KAON_WINDOW)


def _near_kaon(masses: np.ndarray, window: float) -> np.ndarray:
    return np.abs(masses - _KAON_MASS) < window


def _sums(jets: CaloJets, selected: Candidates, tagged: np.ndarray) -> dict[str, np.ndarray]:
    """Transverse energy and direction of the sum of all selected tracks, relative to the jet."""
    total = group_sum(selected.jet, len(jets), selected.momentum)
    has_tracks = np.bincount(selected.jet, minlength=len(jets)) > 0
    eta, phi = eta_phi(np.where(has_tracks[:, None], total[:, :3], [1.0, 0.0, 0.0]))
    # The sum over no track has direction (0, 0) in CMS's software, and no energy.
    et = np.where(has_tracks, total[:, 3] / np.cosh(eta), 0.0)
    return {
        "trackSumJetEtRatio": np.where(tagged, et / jets.raw_pt, ABSENT),
        "trackSumJetDeltaR": np.where(tagged, delta_r(eta, phi, jets.eta, jets.phi), ABSENT),
    }


def _track_slots(jets: int, selected: Candidates) -> dict[str, np.ndarray]:
    """Quantities of the leading tracks, and their number."""
    momentum = np.linalg.norm(selected.momentum[:, :3], axis=1)
    transverse = np.sqrt(np.maximum(momentum**2 - selected.along**2, 0.0))
    columns = {"jetNSelectedTracks": np.bincount(selected.jet, minlength=jets)}
    for name, values in (
        ("trackSip2dSig", selected.sip2d_significance),
        ("trackSip3dSig", selected.sip3d_significance),
        ("trackJetDistVal", selected.axis_distance),
        ("trackDecayLenVal", selected.decay_length),
        ("trackPtRel", transverse),
        ("trackPtRatio", transverse / momentum),
        ("trackDeltaR", selected.delta_r),
    ):
        columns |= _slots(name, jets, selected.jet, values, TRACK_SLOTS)
    return columns


def _above_charm(jets: int, candidates: Candidates, tagged: np.ndarray) -> dict[str, np.ndarray]:
    """Impact parameters of the track that lifts the mass above that of charm; -1 where none does."""
    columns = {}
    for name, values, significance in (
        ("Sip2d", candidates.sip2d, candidates.sip2d_significance),
        ("Sip3d", candidates.sip3d, candidates.sip3d_significance),
    ):
        order = np.lexsort((-significance, candidates.jet))
        jet = candidates.jet[order]
        total = np.cumsum(candidates.momentum[order], axis=0)
        first = np.searchsorted(jet, jet)
        total -= total[first] - candidates.momentum[order][first]
        above = np.flatnonzero(mass(total) > _CHARM_MASS)
        crossing, position = np.unique(jet[above], return_index=True)
        track = order[above[position]]
        for kind, quantity in (("Val", values), ("Sig", significance)):
            column = columns[f"track{name}{kind}AboveCharm"] = np.where(tagged, -1.0, ABSENT)
            column[crossing] = quantity[track]
    return columns


def _vertices_in_jets(
    jets: CaloJets, tracks: Tracks, vertices: InclusiveVertices, primary: Vertices, events: int
) -> JetVertices:
    """Vertices that fly along a jet and pass its cuts."""
    path = flight(vertices.position, vertices.covariance, primary, vertices.event)
    eta, phi = eta_phi(path.vector)
    momentum = group_sum(vertices.vertex, len(vertices), tracks.momentum[vertices.track])
    charge = group_sum(vertices.vertex, len(vertices), tracks.charge[vertices.track])
    size, masses = vertices.size, mass(momentum)
    transverse, significance = path.transverse * CM, path.transverse / path.transverse_error
    good = (masses >= _LIGHTEST) & (masses <= _HEAVIEST) & ~_is_kaon(size, charge, masses)
    good &= (transverse >= _SHORTEST) & (transverse <= _LONGEST) & (significance >= _VERTEX_SIGNIFICANCE)
    jet, vertex = all_pairs(jets.event, vertices.event, events)
    inside = good[vertex] & (delta_r(eta[vertex], phi[vertex], jets.eta[jet], jets.phi[jet]) < _VERTEX_DELTA_R)
    jet, vertex = jet[inside], vertex[inside]
    order = np.lexsort((path.error[vertex], jet))
    jet, vertex = jet[order], vertex[order]
    distances = np.stack([transverse, significance, path.length * CM, path.length / path.error], axis=1)
    return JetVertices(jet, vertex, path.vector[vertex], distances[vertex], momentum[vertex], size[vertex])


def _pseudo_vertices(jets: int, selected: Candidates, jet_vertices: JetVertices) -> PseudoVertices:
    """Displaced tracks of jets without a vertex, at least two of them and not the daughters of a K0s."""
    displaced = selected.take(selected.sip2d_significance >= _PSEUDO_SIGNIFICANCE)
    momentum = group_sum(displaced.jet, jets, displaced.momentum)
    size, charge = np.bincount(displaced.jet, minlength=jets), group_sum(displaced.jet, jets, displaced.charge)
    has_vertex = np.bincount(jet_vertices.jet, minlength=jets) > 0
    exists = ~has_vertex & (size >= 2) & ~_is_kaon(size, charge, mass(momentum))
    return PseudoVertices(exists, momentum, np.where(exists, size, 0), displaced.take(exists[displaced.jet]))


def _vertex_columns(
    jets: CaloJets, selected: Candidates, jet_vertices: JetVertices, pseudo: PseudoVertices, tagged: np.ndarray
) -> dict[str, np.ndarray]:
    """Category, and quantities of the secondary vertices or, without any, of the pseudo-vertex."""
    number, jet = len(jets), jet_vertices.jet
    reco = np.bincount(jet, minlength=number) > 0
    leading = jet_vertices.take(rank_in_run(jet) == 0)
    momentum = np.where(reco[:, None], group_sum(jet, number, jet_vertices.momentum), pseudo.momentum)
    size = np.where(reco, group_sum(jet, number, jet_vertices.size), pseudo.size).astype(int)
    direction = np.where(pseudo.exists[:, None], pseudo.momentum[:, :3], 0.0)
    direction[reco] = leading.flight
    eta, phi = eta_phi(direction)
    exists = reco | pseudo.exists
    corrected_mass = np.where(reco, _corrected_mass(momentum, direction), mass(pseudo.momentum))
    columns = {
        "vertexCategory": np.select([~tagged, reco, pseudo.exists], [ABSENT, RECO_VERTEX, PSEUDO_VERTEX], NO_VERTEX),
        "vertexNTracks": size,
        "jetNTracksEtaRel": size,
        "vertexMass": np.where(exists, corrected_mass, ABSENT),
        "vertexEnergyRatio": np.where(exists, _energy_ratio(momentum, selected, number), ABSENT),
        "vertexJetDeltaR": np.where(exists, delta_r(eta, phi, jets.eta, jets.phi), ABSENT),
    }
    for column, name in enumerate(("2dVal", "2dSig", "3dVal", "3dSig")):
        values = columns[f"flightDistance{name}"] = np.full(number, ABSENT)
        values[reco] = leading.distances[:, column]
    return columns


def _corrected_mass(momentum: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Mass with the momentum that is missing across the flight: sqrt(M² + pT²) + pT, `(n,)`, GeV."""
    along = dot(momentum[:, :3], unit(direction))
    transverse = np.sqrt(np.maximum((momentum[:, :3] ** 2).sum(axis=1) - along**2, 0.0))
    return np.hypot(mass(momentum), transverse) + transverse


def _energy_ratio(momentum: np.ndarray, selected: Candidates, jets: int) -> np.ndarray:
    """Energy of the vertices over that of all selected tracks; 1 where there are none."""
    energy = group_sum(selected.jet, jets, selected.momentum[:, 3])
    return np.where(energy > 0, momentum[:, 3] / np.maximum(energy, 1e-9), 1.0)


def _eta_rel(
    axis: np.ndarray, tracks: Tracks, vertices: InclusiveVertices, jet_vertices: JetVertices, pseudo: Candidates
) -> dict[str, np.ndarray]:
    """Rapidity along the jet axis of the leading tracks of the vertices, or of the pseudo-vertex."""
    pair, member = all_pairs(jet_vertices.vertex, vertices.vertex, len(vertices))
    track = vertices.track[member]
    order = np.lexsort((-tracks.pt[track], pair))
    jet, momentum = jet_vertices.jet[pair[order]], tracks.momentum[track[order], :3]
    along = np.concatenate([dot(momentum, axis[jet]), pseudo.along])
    jet = np.concatenate([jet, pseudo.jet])
    rapidity = rapidity_along(along, np.concatenate([momentum, pseudo.momentum[:, :3]]))
    # A jet has tracks of one kind only, so a stable sort by jet keeps their order.
    order = np.argsort(jet, kind="stable")
    return _slots("trackEtaRel", len(axis), jet[order], rapidity[order], VERTEX_TRACK_SLOTS)


def _slots(name: str, jets: int, jet: np.ndarray, values: np.ndarray, slots: int) -> dict[str, np.ndarray]:
    """Branches `name_0`, `name_1`, … of the leading values of each jet; `jet` is ascending."""
    rank = rank_in_run(jet)
    columns = {}
    for slot in range(slots):
        column = columns[f"{name}_{slot}"] = np.full(jets, ABSENT)
        column[jet[rank == slot]] = values[rank == slot]
    return columns
