"""Secondary vertices of whole events, by the method of CMS's inclusive vertex finder.

Steps are clusters around displaced seeds, adaptive fits, merging, arbitration of tracks, and merging again. Lengths are mm, as
everywhere in the simulation.

Reference: CMS, "Identification of heavy-flavour jets with the CMS detector in pp collisions at 13 TeV", JINST 13 (2018)
P05011, section 5.1; cuts from cmssw, RecoVertex/AdaptiveVertexFinder.
"""

import dataclasses

import numpy as np

from kerastag.simulation import vertexing
from kerastag.simulation.groups import all_pairs, group_sum, positions, starts
from kerastag.simulation.impact import ImpactParameters, impact_parameters
from kerastag.simulation.kinematics import delta_r, eta_phi
from kerastag.simulation.lines import closest_points, dot, unit, variance_along
from kerastag.simulation.tracking import Tracks

TRACK_PT, TRACK_DZ = 0.8, 3.0  # GeV, mm
SEED_IP, SEED_SIGNIFICANCE = 0.05, 1.2  # mm, standard deviations
CLUSTER_DISTANCE, CLUSTER_SIGNIFICANCE, CLUSTER_RATIO, CLUSTER_COSINE = 0.5, 4.5, 20.0, 0.5
FIRST_CUT, CUT = 1.0, 3.0  # χ_c of the first vertex of a cluster and of all others
MOST_TRACKS = 30  # of a cluster
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

    def __len__(self) -> int:
        return len(self.event)

    @property
    def size(self) -> np.ndarray:
        """Number of members of each vertex, int64 `(vertices,)`."""
        return np.bincount(self.vertex, minlength=len(self))

    def take(self, mask: np.ndarray) -> "InclusiveVertices":
        """The vertices where `mask` is true, numbered anew."""
        number = np.cumsum(mask) - 1
        members = mask[self.vertex]
        vertex, track = number[self.vertex[members]], self.track[members]
        return InclusiveVertices(self.event[mask], self.position[mask], self.covariance[mask], vertex, track)


@dataclasses.dataclass
class Flight:
    """Paths from primary to secondary vertices, mm; uncertainties are those of both vertices.

    Attributes:
        vector: float64 `(vertices, 3)`.
        length: float64 `(vertices,)`, in space.
        error: float64 `(vertices,)`, uncertainty of `length`.
        transverse: float64 `(vertices,)`, length in the transverse plane.
        transverse_error: float64 `(vertices,)`, uncertainty of `transverse`.
    """

    vector: np.ndarray
    length: np.ndarray
    error: np.ndarray
    transverse: np.ndarray
    transverse_error: np.ndarray


def flight(position: np.ndarray, covariance: np.ndarray, primary: vertexing.Vertices, event: np.ndarray) -> Flight:
    """Calculate the paths to vertices from the primary vertices of their events.

    Args:
        position: `(vertices, 3)`, mm.
        covariance: `(vertices, 3, 3)`, mm².
        primary: The primary vertex of each event.
        event: int64 `(vertices,)`, event of each vertex.
    """
    vector = position - primary.position[event]
    total = covariance + primary.covariance[event]
    length, transverse = np.linalg.norm(vector, axis=1), np.hypot(vector[:, 0], vector[:, 1])
    error = np.sqrt(variance_along(vector / length[:, None], total))
    transverse_error = np.sqrt(variance_along(vector[:, :2] / transverse[:, None], total[:, :2, :2]))
    return Flight(vector, length, error, transverse, transverse_error)


def quality(vertices: InclusiveVertices, tracks: Tracks) -> tuple[np.ndarray, np.ndarray]:
    """χ² and degrees of freedom of vertices as those of an adaptive fit, `(vertices,)` each.

    Both are sums over the members with their weights: χ² and 2, less the 3 coordinates of the vertex.

    Args:
        vertices: Vertices.
        tracks: Tracks of all events.
    """
    member = vertices.track
    parameters, covariance = tracks.parameters[member], tracks.covariance[member]
    chi2, weight = vertexing.at_vertices(parameters, covariance, vertices.size, vertices.position, CUT)
    return group_sum(vertices.vertex, len(vertices), weight * chi2), 2 * group_sum(vertices.vertex, len(vertices), weight) - 3


def inclusive_vertices(tracks: Tracks, primary: vertexing.Vertices, ip: ImpactParameters, events: int) -> InclusiveVertices:
    """Find the vertices of all events.

    Args:
        tracks: Tracks, ordered by event.
        primary: The primary vertex of each event.
        ip: Impact parameters of the tracks with respect to it.
        events: Number of events.
    """
    candidates = _candidates(tracks, primary, ip, events)
    distinct = _merged(candidates, most_shared=0.7, significance=2.0)
    arbitrated = _arbitrated(distinct, tracks, primary, ip, events)
    return _merged(arbitrated, most_shared=0.2, significance=10.0)


def _candidates(tracks: Tracks, primary: vertexing.Vertices, ip: ImpactParameters, events: int) -> InclusiveVertices:
    """Vertices of every cluster by the adaptive search and by one direct fit, those that look like a decay in flight."""
    cluster, member = _clusters(tracks, ip, events)
    sizes = np.bincount(cluster)
    usable = (sizes >= 2) & (sizes <= MOST_TRACKS)
    member, counts = member[usable[cluster]], sizes[usable]
    cluster = np.repeat(np.arange(len(counts)), counts)
    event = tracks.event[member[starts(counts)]]
    clustered = tracks.parameters[member], tracks.covariance[member], tracks.pt[member], counts
    several = vertexing.find_secondaries(*clustered, FIRST_CUT, CUT)
    direct = vertexing.fit(*clustered, CUT)
    heavy, joins = several.weight >= MEMBER, direct.weight >= MEMBER
    vertices = _ordered(
        np.concatenate([event[several.group], event]),
        np.concatenate([several.position, direct.position]),
        np.concatenate([several.covariance, direct.covariance]),
        np.concatenate([several.vertex[heavy], cluster[joins] + len(several.group)]),
        np.concatenate([member[several.track[heavy]], member[joins]]),
    )
    path = flight(vertices.position, vertices.covariance, primary, vertices.event)
    good = (path.length > LENGTH_SIGNIFICANCE * path.error) & (path.length < vertexing.FARTHEST)
    good &= path.transverse > TRANSVERSE_SIGNIFICANCE * path.transverse_error
    return vertices.take(good & (_pointing(vertices, tracks, path.vector) > POINTING))


def _clusters(tracks: Tracks, ip: ImpactParameters, events: int) -> tuple[np.ndarray, np.ndarray]:
    """Number of the seed and row of the member, ordered by seed: tracks that pass close to it, far from the primary vertex."""
    usable = np.flatnonzero((tracks.pt > TRACK_PT) & (np.abs(ip.point[:, 2]) < TRACK_DZ))
    seeds = usable[(ip.value_3d[usable] >= SEED_IP) & (ip.value_3d[usable] >= SEED_SIGNIFICANCE * ip.error_3d[usable])]
    cluster, partner = all_pairs(tracks.event[seeds], tracks.event[usable], events)
    seed, member = seeds[cluster], usable[partner]
    seed_line, member_line = ip.lines(seed), ip.lines(member)
    normal = np.cross(seed_line.direction, member_line.direction)
    sine = np.maximum(np.linalg.norm(normal, axis=1), 1e-9)
    normal /= sine[:, None]
    distance = np.abs(dot(member_line.point - seed_line.point, normal))
    error = np.sqrt(ip.variance_along(normal, seed) + ip.variance_along(normal, member))
    on_seed, on_member = closest_points(seed_line, member_line, sine**2)
    crossing = (on_seed + on_member) / 2
    length = np.linalg.norm(crossing, axis=1)
    near = (distance < CLUSTER_DISTANCE) & (distance < CLUSTER_SIGNIFICANCE * error) & (distance * CLUSTER_RATIO < length)
    for line in (seed_line, member_line):
        near &= dot(crossing, line.direction) > CLUSTER_COSINE * length
    near |= seed == member
    return cluster[near], member[near]


def _ordered(
    event: np.ndarray, position: np.ndarray, covariance: np.ndarray, vertex: np.ndarray, track: np.ndarray
) -> InclusiveVertices:
    """Vertices with at least two members, ordered by event; the arguments are the fields, in any order of events."""
    order = np.argsort(event, kind="stable")
    number = positions(order)[vertex]
    members = np.lexsort((track, number))
    vertices = InclusiveVertices(event[order], position[order], covariance[order], number[members], track[members])
    return vertices.take(vertices.size >= 2)


def _pointing(vertices: InclusiveVertices, tracks: Tracks, vector: np.ndarray) -> np.ndarray:
    """Cosine between the flight `(vertices, 3)` and the sum of the unit directions of the members, `(vertices,)`."""
    total = group_sum(vertices.vertex, len(vertices), unit(tracks.momentum[vertices.track, :3]))
    return dot(total, vector) / np.linalg.norm(total, axis=1) / np.linalg.norm(vector, axis=1)


def _merged(vertices: InclusiveVertices, most_shared: float, significance: float) -> InclusiveVertices:
    """Vertices that do not share too many of their tracks with a near one that is as large; of equals the first stays.

    Args:
        vertices: Vertices.
        most_shared: Largest share of its tracks that a vertex may share.
        significance: Distance between near vertices, in standard deviations, at most.
    """
    size = vertices.size
    first, second, shared = _sharing(vertices)
    gap = vertices.position[second] - vertices.position[first]
    distance = np.linalg.norm(gap, axis=1)
    direction = gap / np.maximum(distance, 1e-9)[:, None]
    variance = variance_along(direction, vertices.covariance[first] + vertices.covariance[second])
    near = distance <= significance * np.sqrt(variance)  # equal for vertices at the same place
    loses = (size[first] < size[second]) | ((size[first] == size[second]) & (first > second))
    stays = np.ones(len(vertices), bool)
    stays[first[near & (shared > most_shared * size[first]) & loses]] = False
    return vertices.take(stays)


def _sharing(vertices: InclusiveVertices) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both vertices of every ordered pair that has common tracks, and the number of these."""
    by_track = np.argsort(vertices.track, kind="stable")
    tracks = int(vertices.track.max(initial=-1)) + 1
    left, right = all_pairs(vertices.track, vertices.track[by_track], tracks)
    pairs = np.stack([vertices.vertex[left], vertices.vertex[by_track[right]]], axis=1)
    pairs, shared = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0, return_counts=True)
    first, second = pairs.T
    return first, second, shared


def _arbitrated(
    vertices: InclusiveVertices, tracks: Tracks, primary: vertexing.Vertices, ip: ImpactParameters, events: int
) -> InclusiveVertices:
    """Every vertex fitted anew with the tracks of its event that are closer to it than to the primary vertex."""
    path = flight(vertices.position, vertices.covariance, primary, vertices.event)
    eta, phi = eta_phi(path.vector)
    vertex, track = all_pairs(vertices.event, tracks.event, events)
    near = delta_r(tracks.eta[track], tracks.phi[track], eta[vertex], phi[vertex]) < ARBITER_DELTA_R
    near &= tracks.pt[track] > ARBITER_PT
    vertex, track = vertex[near], track[near]
    to_vertex = impact_parameters(tracks.take(track), vertices.position[vertex], vertices.covariance[vertex])
    distance = to_vertex.value_3d
    close = (distance < ARBITER_DISTANCE) & (distance < ARBITER_FRACTION * path.length[vertex])
    close &= distance < ARBITER_SIGNIFICANCE * to_vertex.error_3d
    was_member = np.isin(vertex * len(tracks) + track, vertices.vertex * len(tracks) + vertices.track)
    assigned = (distance < ip.value_3d[track]) & (close | was_member)
    vertex, track = vertex[assigned], track[assigned]
    counts = np.bincount(vertex, minlength=len(vertices))
    fitted = vertexing.fit(tracks.parameters[track], tracks.covariance[track], tracks.pt[track], counts, CUT)
    joins = (fitted.weight >= MEMBER) & fitted.valid[vertex]
    return _ordered(vertices.event, fitted.position, fitted.covariance, vertex[joins], track[joins])
