"""Secondary vertices of whole events, found as CMS's inclusive vertex finder does.

Clusters around displaced seeds, adaptive fits, merging, arbitration of tracks, merging again. Lengths are mm, as everywhere in
the simulation.

Reference: CMS, "Identification of heavy-flavour jets with the CMS detector in pp collisions at 13 TeV", JINST 13 (2018)
P05011, section 5.1; cuts from cmssw, RecoVertex/AdaptiveVertexFinder.
"""

import dataclasses

import numpy as np

from kerastag.simulation import vertexing
from kerastag.simulation.groups import all_pairs, group_sum, starts
from kerastag.simulation.impact import ImpactParameters, impact_parameters
from kerastag.simulation.kinematics import directions, wrapped
from kerastag.simulation.tracking import Tracks

TRACK_PT, TRACK_DZ = 0.8, 3.0  # GeV, mm
SEED_IP, SEED_SIGNIFICANCE = 0.05, 1.2  # mm, standard deviations
CLUSTER_DISTANCE, CLUSTER_SIGNIFICANCE, CLUSTER_RATIO, CLUSTER_COSINE = 0.5, 4.5, 20.0, 0.5
FIRST_CUT, CUT = 1.0, 3.0  # χ_c of the first vertex of a cluster and of all others
MOST_TRACKS = 30
LENGTH_SIGNIFICANCE, TRANSVERSE_SIGNIFICANCE, POINTING = 0.5, 2.5, 0.95
ARBITER_PT, ARBITER_DELTA_R = 0.4, 0.4
ARBITER_DISTANCE, ARBITER_FRACTION, ARBITER_SIGNIFICANCE = 0.4, 1 / 3, 5.0
MEMBER = 0.5  # weight of a member


@dataclasses.dataclass
class InclusiveVertices:
    """Vertices of many events and their members.

    Attributes:
        event: int64 `(vertices,)`, ascending.
        position: float64 `(vertices, 3)`, mm.
        covariance: float64 `(vertices, 3, 3)`, mm².
        vertex: int64 `(members,)`, ascending.
        track: int64 `(members,)`.
    """

    event: np.ndarray
    position: np.ndarray
    covariance: np.ndarray
    vertex: np.ndarray
    track: np.ndarray

    def take(self, keep: np.ndarray) -> "InclusiveVertices":
        """The vertices where `keep` is true, numbered anew."""
        number = np.cumsum(keep) - 1
        members = keep[self.vertex]
        return InclusiveVertices(
            self.event[keep],
            self.position[keep],
            self.covariance[keep],
            number[self.vertex[members]],
            self.track[members],
        )


@dataclasses.dataclass
class Flight:
    """Paths from primary to secondary vertices, mm; uncertainties are those of both vertices.

    Attributes:
        vector: float64 `(vertices, 3)`.
        length, error: float64 `(vertices,)`, in space.
        transverse, transverse_error: float64 `(vertices,)`, in the transverse plane.
    """

    vector: np.ndarray
    length: np.ndarray
    error: np.ndarray
    transverse: np.ndarray
    transverse_error: np.ndarray


def flight(position: np.ndarray, covariance: np.ndarray, primary: vertexing.Vertices, event: np.ndarray) -> Flight:
    """Paths to vertices at `position` `(vertices, 3)` from the primary vertices of their events."""
    vector = position - primary.position[event]
    total = covariance + primary.covariance[event]
    length, transverse = np.linalg.norm(vector, axis=1), np.hypot(vector[:, 0], vector[:, 1])
    unit, plane = vector / length[:, None], vector[:, :2] / transverse[:, None]
    error = np.sqrt(np.einsum("vi,vij,vj->v", unit, total, unit))
    transverse_error = np.sqrt(np.einsum("vi,vij,vj->v", plane, total[:, :2, :2], plane))
    return Flight(vector, length, error, transverse, transverse_error)


def inclusive_vertices(tracks: Tracks, primary: vertexing.Vertices, ip: ImpactParameters, events: int) -> InclusiveVertices:
    """Find the vertices of all events.

    Args:
        tracks: Tracks, ordered by event.
        primary: The primary vertex of each event.
        ip: Impact parameters of the tracks with respect to it.
        events: Number of events.
    """
    found = _candidates(tracks, primary, ip, events)
    found = _merged(found, most_shared=0.7, significance=2.0)
    found = _arbitrated(found, tracks, primary, ip, events)
    return _merged(found, most_shared=0.2, significance=10.0)


def _candidates(tracks, primary, ip, events) -> InclusiveVertices:
    """Vertices of every cluster by the adaptive search and by one direct fit, those that look like a decay in flight."""
    cluster, member = _clusters(tracks, primary, ip, events)
    sizes = np.bincount(cluster)
    usable = (sizes >= 2) & (sizes <= MOST_TRACKS)
    member, counts = member[usable[cluster]], sizes[usable]
    cluster = np.repeat(np.arange(len(counts)), counts)
    event = tracks.event[member[starts(counts)]]
    given = tracks.parameters[member], tracks.covariance[member], tracks.pt[member], counts
    several = vertexing.find_secondaries(*given, FIRST_CUT, CUT)
    direct = vertexing.fit(*given, CUT)
    heavy, joins = several.weight >= MEMBER, direct.weight >= MEMBER
    found = _gathered(
        np.concatenate([event[several.group], event]),
        np.concatenate([several.position, direct.position]),
        np.concatenate([several.covariance, direct.covariance]),
        np.concatenate([several.vertex[heavy], cluster[joins] + len(several.group)]),
        np.concatenate([member[several.track[heavy]], member[joins]]),
    )
    path = flight(found.position, found.covariance, primary, found.event)
    good = (path.length > LENGTH_SIGNIFICANCE * path.error) & (path.length < vertexing.FARTHEST)
    good &= path.transverse > TRANSVERSE_SIGNIFICANCE * path.transverse_error
    return found.take(good & (_pointing(found, tracks, path.vector) > POINTING))


def _clusters(tracks, primary, ip, events) -> tuple[np.ndarray, np.ndarray]:
    """Number of the seed and member, ordered by seed: tracks that pass close to it, away from the primary vertex."""
    usable = np.flatnonzero((tracks.pt > TRACK_PT) & (np.abs(ip.point[:, 2]) < TRACK_DZ))
    seeds = usable[(ip.value_3d[usable] >= SEED_IP) & (ip.value_3d[usable] >= SEED_SIGNIFICANCE * ip.error_3d[usable])]
    cluster, partner = all_pairs(tracks.event[seeds], tracks.event[usable], events)
    seed, member = seeds[cluster], usable[partner]
    itself = seed == member
    between = ip.point[member] - ip.point[seed]
    one, two = ip.direction[seed], ip.direction[member]
    normal = np.cross(one, two)
    sine = np.maximum(np.linalg.norm(normal, axis=1), 1e-9)
    normal /= sine[:, None]
    distance = np.abs((between * normal).sum(axis=1))
    error = np.sqrt(ip.variance_along(normal, seed) + ip.variance_along(normal, member))
    along, across = (between * one).sum(axis=1), (between * two).sum(axis=1)
    cosine = (one * two).sum(axis=1)
    on_seed = ip.point[seed] + ((along - cosine * across) / sine**2)[:, None] * one
    on_member = ip.point[member] + ((cosine * along - across) / sine**2)[:, None] * two
    away = (on_seed + on_member) / 2
    length = np.linalg.norm(away, axis=1)
    near = (distance < CLUSTER_DISTANCE) & (distance < CLUSTER_SIGNIFICANCE * error) & (distance * CLUSTER_RATIO < length)
    near &= ((away * one).sum(axis=1) > CLUSTER_COSINE * length) & ((away * two).sum(axis=1) > CLUSTER_COSINE * length)
    keep = near | itself
    return cluster[keep], member[keep]


def _gathered(event, position, covariance, vertex, track) -> InclusiveVertices:
    """Vertices with at least two members, ordered by event."""
    order = np.argsort(event, kind="stable")
    number = np.empty(len(order), np.int64)
    number[order] = np.arange(len(order))
    members = np.lexsort((track, number[vertex]))
    vertex = number[vertex][members]
    found = InclusiveVertices(event[order], position[order], covariance[order], vertex, track[members])
    return found.take(np.bincount(vertex, minlength=len(order)) >= 2)


def _pointing(found: InclusiveVertices, tracks: Tracks, vector: np.ndarray) -> np.ndarray:
    """Cosine between the flight and the sum of the unit directions of the members."""
    momentum = tracks.momentum[found.track, :3]
    unit = momentum / np.linalg.norm(momentum, axis=1)[:, None]
    total = group_sum(found.vertex, len(vector), unit)
    return (total * vector).sum(axis=1) / np.linalg.norm(total, axis=1) / np.linalg.norm(vector, axis=1)


def _merged(found: InclusiveVertices, most_shared: float, significance: float) -> InclusiveVertices:
    """Without vertices that share more than a fraction of their tracks with a near one; of equals the first stays."""
    size = np.bincount(found.vertex, minlength=len(found.event))
    by_track = np.argsort(found.track, kind="stable")
    tracks = int(found.track.max(initial=-1)) + 1
    one, two = all_pairs(found.track, found.track[by_track], tracks)
    pairs = np.stack([found.vertex[one], found.vertex[by_track[two]]], axis=1)
    pairs, shared = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0, return_counts=True)
    first, second = pairs.T
    gap = found.position[second] - found.position[first]
    distance = np.linalg.norm(gap, axis=1)
    unit = gap / np.maximum(distance, 1e-9)[:, None]
    variance = np.einsum("vi,vij,vj->v", unit, found.covariance[first] + found.covariance[second], unit)
    near = distance <= significance * np.sqrt(variance)  # equal for vertices at the same place
    loses = (size[first] < size[second]) | ((size[first] == size[second]) & (first > second))
    keep = np.ones(len(found.event), bool)
    keep[first[near & (shared > most_shared * size[first]) & loses]] = False
    return found.take(keep)


def _arbitrated(found, tracks, primary, ip, events) -> InclusiveVertices:
    """Every vertex fitted anew with the tracks of its event that are closer to it than to the primary vertex."""
    path = flight(found.position, found.covariance, primary, found.event)
    eta, phi = directions(path.vector)
    vertex, track = all_pairs(found.event, tracks.event, events)
    near = np.hypot(tracks.eta[track] - eta[vertex], wrapped(tracks.phi[track] - phi[vertex])) < ARBITER_DELTA_R
    near &= tracks.pt[track] > ARBITER_PT
    vertex, track = vertex[near], track[near]
    to_vertex = impact_parameters(tracks.take(track), found.position[vertex], found.covariance[vertex])
    distance = to_vertex.value_3d
    close = (distance < ARBITER_DISTANCE) & (distance < ARBITER_FRACTION * path.length[vertex])
    close &= distance < ARBITER_SIGNIFICANCE * to_vertex.error_3d
    width = len(tracks.pt)
    was_member = np.isin(vertex * width + track, found.vertex * width + found.track)
    chosen = (distance < ip.value_3d[track]) & (close | was_member)
    vertex, track = vertex[chosen], track[chosen]
    counts = np.bincount(vertex, minlength=len(found.event))
    fitted = vertexing.fit(tracks.parameters[track], tracks.covariance[track], tracks.pt[track], counts, CUT)
    joins = (fitted.weight >= MEMBER) & fitted.valid[vertex]
    return _gathered(found.event, fitted.position, fitted.covariance, vertex[joins], track[joins])
