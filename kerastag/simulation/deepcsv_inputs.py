"""The 66 inputs of CMS's DeepCSV tagger under their names in PFNano, in cm and GeV; absent values are -999.

What cannot be had from smeared tracks is left out: hits and χ² of a track, and particle identification (every track is a
pion). Tracks of a vertex are listed by descending pT, where CMS keeps the order of its candidate collection.

Reference: CMS, JINST 13 (2018) P05011, section 5.1; cmssw, RecoBTag/SecondaryVertex (`CombinedSVComputer`).
"""

import dataclasses

import numpy as np

from kerastag.schema.deepcsv import ABSENT, PREFIX, TRACK_SLOTS, VERTEX_TRACK_SLOTS
from kerastag.simulation.association import Cones
from kerastag.simulation.calorimeter import CaloJets
from kerastag.simulation.groups import Rows, all_pairs, group_sum
from kerastag.simulation.impact import ImpactParameters, impact_parameters
from kerastag.simulation.inclusive_vertices import InclusiveVertices, flight, inclusive_vertices
from kerastag.simulation.kinematics import directions, mass, wrapped
from kerastag.simulation.tracking import PION_MASS, Tracks
from kerastag.simulation.vertexing import Vertices

RECO_VERTEX, PSEUDO_VERTEX, NO_VERTEX = 0, 1, 2

_CM = 0.1  # in mm
_TRACK_PT, _TRACK_DXY, _TRACK_DZ = 1.0, 0.2, 17.0  # GeV, cm
_DELTA_R, _AXIS_DISTANCE, _DECAY_LENGTH = 0.3, 0.07, 5.0  # cm
_PSEUDO_SIGNIFICANCE = 2.0
_CHARM_MASS = 1.5  # GeV
_KAON_MASS, _TRACK_KAON_WINDOW, _VERTEX_KAON_WINDOW = 0.497648, 0.03, 0.05  # GeV
_VERTEX_DELTA_R, _LIGHTEST, _HEAVIEST = 0.3, 0.3, 6.5  # GeV
_SHORTEST, _LONGEST, _VERTEX_SIGNIFICANCE = 0.01, 2.5, 2.0  # cm


@dataclasses.dataclass
class Candidates(Rows):
    """Pairs of a jet and a track that may serve its tagging, ordered by jet and then by descending `sip2d_significance`.

    Attributes:
        jet: int64 `(pairs,)`.
        delta_r: float64 `(pairs,)`, between track and jet.
        sip2d, sip3d: float64 `(pairs,)`, signed impact parameters, cm.
        sip2d_significance, sip3d_significance: The same over their uncertainties.
        axis_distance: float64 `(pairs,)`, minus the distance between the track's line and the jet's, cm.
        decay_length: float64 `(pairs,)`, from the primary vertex to the track's point nearest to the jet's line, cm.
        momentum: float64 `(pairs, 4)`, px, py, pz, E, GeV.
        along: float64 `(pairs,)`, momentum along the jet axis, GeV.
        charge: float64 `(pairs,)`.
    """

    jet: np.ndarray
    delta_r: np.ndarray
    sip2d: np.ndarray
    sip2d_significance: np.ndarray
    sip3d: np.ndarray
    sip3d_significance: np.ndarray
    axis_distance: np.ndarray
    decay_length: np.ndarray
    momentum: np.ndarray
    along: np.ndarray
    charge: np.ndarray


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


def deepcsv_inputs(jets: CaloJets, tracks: Tracks, cones: Cones, primary: Vertices, events: int) -> dict[str, np.ndarray]:
    """Calculate all inputs of DeepCSV and the jet branches that go with them.

    Args:
        jets: Jets; DeepCSV refers to their momentum before calibration.
        tracks: Tracks.
        cones: Tracks in the cones of the jets.
        primary: The primary vertex of each event.
        events: Number of events.

    Returns:
        `Jet_pt`, `Jet_rawFactor`, `Jet_eta`, `Jet_phi` and `Jet_DeepCSV_*`, each `(jets,)`.
    """
    axis = _unit(jets.eta, jets.phi)
    ip = impact_parameters(tracks, primary.position[tracks.event], primary.covariance[tracks.event])
    candidates = select_candidates(tracks, cones, ip, axis)
    # With fewer than two tracks CMS gives up before it looks at anything else.
    tagged = np.bincount(candidates.jet, minlength=len(jets)) >= 2
    candidates = candidates.take(tagged[candidates.jet])
    close = (candidates.axis_distance >= -_AXIS_DISTANCE) & (candidates.decay_length <= _DECAY_LENGTH)
    selected = candidates.take(close & (candidates.delta_r < _DELTA_R))
    vertices = inclusive_vertices(tracks, primary, ip, events)
    inside = _vertices_in_jets(jets, tracks, vertices, primary, events)
    inside = inside.take(tagged[inside.jet])
    columns = {"jetNSecondaryVertices": np.bincount(inside.jet, minlength=len(jets))}
    columns |= _sums(jets, selected, tagged)
    columns |= _track_slots(len(jets), selected.take(~_kaon_legs(selected, len(jets))))
    columns |= _above_charm(len(jets), candidates.take(close), tagged)
    columns |= _vertex_columns(jets, axis, tracks, selected, vertices, inside, tagged)
    columns = {PREFIX + name: values for name, values in columns.items()}
    own = {"Jet_pt": jets.pt, "Jet_rawFactor": 1 - jets.raw_pt / jets.pt, "Jet_eta": jets.eta, "Jet_phi": jets.phi}
    return own | columns


def select_candidates(tracks: Tracks, cones: Cones, ip: ImpactParameters, axis: np.ndarray) -> Candidates:
    """Tracks in cones that pass the basic selection, with their quantities relative to the jet axis `(jets, 3)`."""
    good = (tracks.pt > _TRACK_PT) & (ip.value_2d * _CM < _TRACK_DXY) & (np.abs(ip.point[:, 2]) * _CM < _TRACK_DZ)
    cones = cones.take(good[cones.track])
    track, jet = cones.track, axis[cones.jet]
    point, direction = ip.point[track] * _CM, ip.direction[track]
    sign_2d = np.where((point[:, :2] * jet[:, :2]).sum(axis=1) >= 0, 1, -1)
    sign_3d = np.where((ip.displacement[track] * jet).sum(axis=1) >= 0, 1, -1)
    normal = np.cross(direction, jet)
    sine = np.linalg.norm(normal, axis=1)
    cosine = (direction * jet).sum(axis=1)
    along_track, along_jet = (point * direction).sum(axis=1), (point * jet).sum(axis=1)
    nearest = point - ((along_track - along_jet * cosine) / sine**2)[:, None] * direction
    momentum = tracks.momentum[track]
    sip2d_significance = sign_2d * ip.value_2d[track] / ip.error_2d[track]
    found = Candidates(
        jet=cones.jet,
        delta_r=cones.delta_r,
        sip2d=sign_2d * ip.value_2d[track] * _CM,
        sip2d_significance=sip2d_significance,
        sip3d=sign_3d * ip.value_3d[track] * _CM,
        sip3d_significance=sign_3d * ip.value_3d[track] / ip.error_3d[track],
        axis_distance=-np.abs((point * normal).sum(axis=1)) / sine,
        decay_length=np.linalg.norm(nearest, axis=1),
        momentum=momentum,
        along=(momentum[:, :3] * jet).sum(axis=1),
        charge=tracks.charge[track],
    )
    return found.take(np.lexsort((-sip2d_significance, cones.jet)))


def _kaon_legs(selected: Candidates, jets: int) -> np.ndarray:
    """Whether a track makes, with any other of its jet, a pair of the K0s mass and not of equal charge, bool `(pairs,)`."""
    one, two = all_pairs(selected.jet, selected.jet, jets)
    near = np.abs(mass(selected.momentum[one] + selected.momentum[two]) - _KAON_MASS) < _TRACK_KAON_WINDOW
    near &= (one != two) & (selected.charge[one] * selected.charge[two] <= 0)
    return np.bincount(one, near, minlength=len(selected.jet)) > 0


def _sums(jets: CaloJets, selected: Candidates, tagged: np.ndarray) -> dict[str, np.ndarray]:
    """Transverse energy and direction of the sum of all selected tracks, relative to the jet."""
    total = group_sum(selected.jet, len(jets), selected.momentum)
    some = np.bincount(selected.jet, minlength=len(jets)) > 0
    eta, phi = directions(np.where(some[:, None], total[:, :3], [1.0, 0.0, 0.0]))
    # The sum over no track has direction (0, 0) in CMS's software, and no energy.
    et = np.where(some, total[:, 3] / np.cosh(eta), 0.0)
    ratio = et / jets.raw_pt
    distance = np.hypot(eta - jets.eta, wrapped(phi - jets.phi))
    return {
        "trackSumJetEtRatio": np.where(tagged, ratio, ABSENT),
        "trackSumJetDeltaR": np.where(tagged, distance, ABSENT),
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
    eta, phi = directions(path.vector)
    count = len(vertices.event)
    size = np.bincount(vertices.vertex, minlength=count)
    momentum = group_sum(vertices.vertex, count, tracks.momentum[vertices.track])
    charge = group_sum(vertices.vertex, count, tracks.charge[vertices.track])
    masses = mass(momentum)
    kaon = (size == 2) & (charge == 0) & (np.abs(masses - _KAON_MASS) < _VERTEX_KAON_WINDOW)
    transverse, significance = path.transverse * _CM, path.transverse / path.transverse_error
    good = (masses >= _LIGHTEST) & (masses <= _HEAVIEST) & ~kaon
    good &= (transverse >= _SHORTEST) & (transverse <= _LONGEST) & (significance >= _VERTEX_SIGNIFICANCE)
    jet, vertex = all_pairs(jets.event, vertices.event, events)
    near = np.hypot(eta[vertex] - jets.eta[jet], wrapped(phi[vertex] - jets.phi[jet])) < _VERTEX_DELTA_R
    jet, vertex = jet[near & good[vertex]], vertex[near & good[vertex]]
    order = np.lexsort((path.error[vertex], jet))
    jet, vertex = jet[order], vertex[order]
    distances = np.stack([transverse, significance, path.length * _CM, path.length / path.error], axis=1)
    return JetVertices(jet, vertex, path.vector[vertex], distances[vertex], momentum[vertex], size[vertex])


def _vertex_columns(
    jets: CaloJets,
    axis: np.ndarray,
    tracks: Tracks,
    selected: Candidates,
    vertices: InclusiveVertices,
    inside: JetVertices,
    tagged: np.ndarray,
) -> dict[str, np.ndarray]:
    """Category and everything that belongs to secondary vertices or, without any, to displaced tracks as a pseudo-vertex."""
    number = len(jets)
    reco = np.bincount(inside.jet, minlength=number) > 0
    pseudo = selected.take(selected.sip2d_significance >= _PSEUDO_SIGNIFICANCE)
    pseudo_momentum = group_sum(pseudo.jet, number, pseudo.momentum)
    pseudo_size, pseudo_mass = np.bincount(pseudo.jet, minlength=number), mass(pseudo_momentum)
    kaon = (pseudo_size == 2) & (group_sum(pseudo.jet, number, pseudo.charge) == 0)
    kaon &= np.abs(pseudo_mass - _KAON_MASS) < _VERTEX_KAON_WINDOW
    is_pseudo = ~reco & (pseudo_size >= 2) & ~kaon
    category = np.select([~tagged, reco, is_pseudo], [ABSENT, RECO_VERTEX, PSEUDO_VERTEX], NO_VERTEX)
    # Of repeated indices the last counts, so reversed the first vertex of each jet.
    first = np.zeros(number, np.int64)
    first[inside.jet[::-1]] = np.arange(len(inside.jet))[::-1]
    leading = inside.take(first[reco])
    total = np.where(reco[:, None], group_sum(inside.jet, number, inside.momentum), pseudo_momentum)
    size = np.where(reco, group_sum(inside.jet, number, inside.size), np.where(is_pseudo, pseudo_size, 0)).astype(int)
    reference = np.where(is_pseudo[:, None], pseudo_momentum[:, :3], 0.0)
    reference[reco] = leading.flight
    exists = reco | is_pseudo
    eta, phi = directions(reference)
    columns = {
        "vertexCategory": category,
        "vertexNTracks": size,
        "jetNTracksEtaRel": size,
        "vertexMass": np.where(reco, _corrected_mass(total, reference), pseudo_mass),
        "vertexEnergyRatio": _energy_ratio(total, selected, number),
        "vertexJetDeltaR": np.hypot(eta - jets.eta, wrapped(phi - jets.phi)),
    }
    for name in ("vertexMass", "vertexEnergyRatio", "vertexJetDeltaR"):
        columns[name] = np.where(exists, columns[name], ABSENT)
    for column, name in enumerate(("2dVal", "2dSig", "3dVal", "3dSig")):
        values = columns[f"flightDistance{name}"] = np.full(number, ABSENT)
        values[reco] = leading.distances[:, column]
    return columns | _eta_rel(axis, tracks, vertices, inside, pseudo.take(is_pseudo[pseudo.jet]))


def _corrected_mass(momentum: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Mass with the momentum that is missing across the flight: sqrt(M² + pT²) + pT, `(n,)`, GeV."""
    with np.errstate(invalid="ignore"):
        unit = direction / np.linalg.norm(direction, axis=1)[:, None]
    along = (momentum[:, :3] * unit).sum(axis=1)
    transverse = np.sqrt(np.maximum((momentum[:, :3] ** 2).sum(axis=1) - along**2, 0.0))
    return np.hypot(mass(momentum), transverse) + transverse


def _energy_ratio(momentum: np.ndarray, selected: Candidates, jets: int) -> np.ndarray:
    """Energy of the vertices over that of all selected tracks; 1 where there are none."""
    energy = group_sum(selected.jet, jets, selected.momentum[:, 3])
    return np.where(energy > 0, momentum[:, 3] / np.maximum(energy, 1e-9), 1.0)


def _eta_rel(
    axis: np.ndarray, tracks: Tracks, vertices: InclusiveVertices, inside: JetVertices, pseudo: Candidates
) -> dict[str, np.ndarray]:
    """Rapidity along the jet axis of the leading tracks of the vertices, or of the pseudo-vertex."""
    pair, member = all_pairs(inside.vertex, vertices.vertex, len(vertices.event))
    track = vertices.track[member]
    order = np.lexsort((-tracks.pt[track], pair))
    jet, momentum = inside.jet[pair[order]], tracks.momentum[track[order]]
    jet = np.concatenate([jet, pseudo.jet])
    along = np.concatenate([(momentum[:, :3] * axis[jet[: len(momentum)]]).sum(axis=1), pseudo.along])
    momentum = np.linalg.norm(np.concatenate([momentum, pseudo.momentum])[:, :3], axis=1)
    rapidity = np.arctanh(along / np.hypot(momentum, PION_MASS))
    # A jet has tracks of one kind only, so a stable sort by jet keeps their order.
    order = np.argsort(jet, kind="stable")
    return _slots("trackEtaRel", len(axis), jet[order], rapidity[order], VERTEX_TRACK_SLOTS)


def _slots(name: str, jets: int, jet: np.ndarray, values: np.ndarray, slots: int) -> dict[str, np.ndarray]:
    """Branches `name_0`, `name_1`, … of the leading values of each jet; `jet` is ascending."""
    rank = np.arange(len(jet)) - np.searchsorted(jet, jet)
    columns = {}
    for slot in range(slots):
        column = columns[f"{name}_{slot}"] = np.full(jets, ABSENT)
        column[jet[rank == slot]] = values[rank == slot]
    return columns


def _unit(eta: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """Unit vectors `(n, 3)`."""
    return np.stack([np.cos(phi), np.sin(phi), np.sinh(eta)], axis=1) / np.cosh(eta)[:, None]
