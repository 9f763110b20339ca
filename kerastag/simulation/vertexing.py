"""Adaptive vertex fits, many at once, and the search for secondary vertices that is built on them.

A track enters with its distance to the vertex at the point of closest approach, transverse and longitudinal. Its weight is
w = 1 / (1 + exp((χ² - χ_c²) / 2T)), where χ² is taken against the vertex that the other tracks make. T falls from 256 towards 1
(deterministic annealing). The tracks of one fit are neighbours: a fit is a run of rows, given by its length.

Reference: R. Frühwirth, W. Waltenberger, P. Vanlaer, "Adaptive vertex fitting", J. Phys. G 34 (2007) N343; W. Waltenberger,
"Adaptive vertex reconstruction", CMS NOTE-2008/033.
"""

import dataclasses

import numpy as np

from kerastag.simulation import lines
from kerastag.simulation.groups import positions, rank_in_group
from kerastag.simulation.linearised import LinearisedTracks, full, inverse_3x3, product

SIGNIFICANT = 1e-3  # weight of a track that supports a vertex; a fit without prior needs two of them at each step
MEMBER = 1e-8  # weight above which a track belongs to a vertex
LEAVES = 0.5  # weight above which a track is no candidate for the next vertex
FARTHEST = 1000.0  # distance from the origin beyond which a fit has run away, mm

_FIRST_TEMPERATURE = 256.0
_COOLING = 0.25
# A fit ends below this temperature once it moves by less than the distance, mm.
_COOL, _STILL = 1.02, 1e-3
_STEPS = 30
_STARTING_TRACKS = 5  # tracks of highest pT, whose crossing points give the starting point
_LOOSE = 1e-6  # 1/mm², a precision that keeps a fit defined along a single track without pulling it anywhere


@dataclasses.dataclass
class Vertices:
    """Fitted vertices.

    Attributes:
        position: float64 `(fits, 3)`, mm.
        covariance: float64 `(fits, 3, 3)`, mm².
        valid: bool `(fits,)`; a fit fails as soon as it has fewer than two significant tracks, or runs away.
        weight: float64 `(tracks,)`, of each track in its fit.
    """

    position: np.ndarray
    covariance: np.ndarray
    valid: np.ndarray
    weight: np.ndarray


@dataclasses.dataclass
class Secondaries:
    """Secondary vertices and their members; a track can belong to several.

    Attributes:
        group: int64 `(vertices,)`, the run of tracks that a vertex was found in, ascending.
        position: float64 `(vertices, 3)`, mm.
        covariance: float64 `(vertices, 3, 3)`, mm².
        vertex: int64 `(members,)`, ascending.
        track: int64 `(members,)`, row of the track among those given.
        weight: float64 `(members,)`, of the track in the fit of the vertex.
    """

    group: np.ndarray
    position: np.ndarray
    covariance: np.ndarray
    vertex: np.ndarray
    track: np.ndarray
    weight: np.ndarray


def fit(
    parameters: np.ndarray,
    covariance: np.ndarray,
    pt: np.ndarray,
    counts: np.ndarray,
    cut: float,
    prior: np.ndarray | None = None,
) -> Vertices:
    """Fit one vertex to each run of tracks.

    Args:
        parameters: `(tracks, 5)`, see `helix`.
        covariance: `(tracks, 5, 5)`.
        pt: `(tracks,)`, GeV; the tracks of highest pT choose the starting point.
        counts: int `(fits,)`, tracks of each fit.
        cut: χ_c, in standard deviations.
        prior: σ of a Gaussian constraint around the origin, `(3,)`, mm; None for no constraint.
    """
    needed = 2 if prior is None else 0
    group = np.repeat(np.arange(len(counts)), counts)
    position = _starting_points(parameters, pt, group, len(counts))
    inverse = np.zeros((6, len(counts)))
    weight = np.zeros(len(group))
    precision = np.full(3, _LOOSE) if prior is None else np.asarray(prior) ** -2.0
    valid = counts >= max(needed, 1)
    active = np.flatnonzero(valid)
    temperature = _FIRST_TEMPERATURE
    for step in range(_STEPS):
        if not len(active):
            break
        rows = np.flatnonzero(np.isin(group, active, kind="table"))
        pull = np.zeros((3, len(active))) if prior is None else precision[:, None] * position[active].T
        tracks = LinearisedTracks(parameters[rows], covariance[rows], counts[active], position[active], precision, pull)
        chi2 = tracks.chi2() if step == 0 else tracks.chi2_without(weight[rows])
        weight[rows] = _weight(chi2, cut, temperature)
        information, gradient = tracks.sums(weight[rows])
        inverse[:, active] = inverse_3x3(information)
        shift = -product(inverse[:, active], gradient)
        position[active] += shift.T
        near = (position[active] ** 2).sum(axis=1) < FARTHEST**2
        valid[active] = near & (tracks.supporters(weight[rows], SIGNIFICANT) >= needed)
        moving = (temperature >= _COOL) | ((shift**2).sum(axis=0) >= _STILL**2)
        active = active[moving & valid[active]]
        temperature = 1 + (temperature - 1) * _COOLING
    return Vertices(position, full(inverse), valid, weight)


def at_vertices(
    parameters: np.ndarray, covariance: np.ndarray, counts: np.ndarray, position: np.ndarray, cut: float
) -> tuple[np.ndarray, np.ndarray]:
    """χ² of tracks with respect to the vertices to which they belong, and their weights at T = 1, `(tracks,)` each.

    Args:
        parameters: `(tracks, 5)`, see `helix`.
        covariance: `(tracks, 5, 5)`.
        counts: int `(vertices,)`, tracks of each vertex, at least one.
        position: `(vertices, 3)`, mm.
        cut: χ_c, in standard deviations.
    """
    if not len(counts):
        return np.zeros(0), np.zeros(0)
    free = np.zeros((3, len(counts)))
    chi2 = LinearisedTracks(parameters, covariance, counts, position, np.zeros(3), free).chi2()
    return chi2, _weight(chi2, cut, 1.0)


def find_secondaries(
    parameters: np.ndarray,
    covariance: np.ndarray,
    pt: np.ndarray,
    counts: np.ndarray,
    cut: float,
    later_cut: float,
) -> Secondaries:
    """Find vertices in each run of tracks, one after the other.

    All tracks of a run are fitted. Those of weight above 0.5 leave the pool and the rest is fitted again, until fewer than two
    remain, none leaves, or the fit fails. Tracks of weight above 1e-8 belong to a vertex, whether they leave or not.

    Args:
        parameters: `(tracks, 5)`, see `helix`.
        covariance: `(tracks, 5, 5)`.
        pt: `(tracks,)`, GeV.
        counts: int `(groups,)`, tracks of each group.
        cut: χ_c of the first vertex of a run.
        later_cut: χ_c of the vertices after it.
    """
    group = np.repeat(np.arange(len(counts)), counts)
    pool = np.flatnonzero(counts[group] >= 2)
    rounds: list[Secondaries] = []
    vertices = 0
    while len(pool):
        groups, run, length = np.unique(group[pool], return_inverse=True, return_counts=True)
        fitted = fit(parameters[pool], covariance[pool], pt[pool], length, cut)
        cut = later_cut
        secondaries = _valid_fits(fitted, groups, run, pool, vertices)
        rounds.append(secondaries)
        vertices += len(secondaries.group)
        leaves = fitted.weight > LEAVES
        goes_on = fitted.valid & (np.bincount(run, leaves, minlength=len(groups)) > 0)
        goes_on &= np.bincount(run, ~leaves, minlength=len(groups)) >= 2
        pool = pool[goes_on[run] & ~leaves]
    return _joined(rounds)


def _valid_fits(fitted: Vertices, groups: np.ndarray, run: np.ndarray, pool: np.ndarray, first: int) -> Secondaries:
    """Vertices of the fits that did not fail, numbered from `first`, and their members.

    Args:
        fitted: Fits of one round of a search.
        groups: int64 `(fits,)`, group of each fit.
        run: int64 `(tracks,)`, fit of each track.
        pool: int64 `(tracks,)`, row of each track among those of the search.
        first: Number of the first vertex.
    """
    valid = fitted.valid
    member = valid[run] & (fitted.weight > MEMBER)
    vertex = (np.cumsum(valid) - 1 + first)[run][member]
    return Secondaries(
        groups[valid], fitted.position[valid], fitted.covariance[valid], vertex, pool[member], fitted.weight[member]
    )


def _joined(rounds: list[Secondaries]) -> Secondaries:
    """The rounds of a search together: the vertices of one group are neighbours, in the order in which they were found."""
    if not rounds:
        empty = np.zeros(0, np.int64)
        return Secondaries(empty, np.zeros((0, 3)), np.zeros((0, 3, 3)), empty, empty, np.zeros(0))
    names = [field.name for field in dataclasses.fields(Secondaries)]
    joined = Secondaries(*(np.concatenate([getattr(part, name) for part in rounds]) for name in names))
    order = np.argsort(joined.group, kind="stable")
    vertex = positions(order)[joined.vertex]
    members = np.argsort(vertex, kind="stable")
    return Secondaries(
        joined.group[order],
        joined.position[order],
        joined.covariance[order],
        vertex[members],
        joined.track[members],
        joined.weight[members],
    )


def _weight(chi2: np.ndarray, cut: float, temperature: float) -> np.ndarray:
    """Weight of tracks in an adaptive fit, `(tracks,)`."""
    return 1 / (1 + np.exp(np.minimum((chi2 - cut**2) / (2 * temperature), 500)))


def _starting_points(parameters: np.ndarray, pt: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """The mode of the points where the tracks of highest pT cross, `(groups, 3)`; the origin where no two tracks are."""
    rank = rank_in_group(group, pt)
    leading = rank < _STARTING_TRACKS
    track = np.full((groups, _STARTING_TRACKS), -1)
    track[group[leading], rank[leading]] = np.flatnonzero(leading)
    first, second = np.triu_indices(_STARTING_TRACKS, 1)
    exists = track[:, second] >= 0  # ranks are filled from the front, so the first of a pair exists as well
    points = np.zeros((groups, len(first), 3))
    points[exists] = _crossings(parameters[track[:, first][exists]], parameters[track[:, second][exists]])
    # Square roots of distances make an estimator that sits in the densest place and needs no scale.
    squares = sum((axis[:, :, None] - axis[:, None]) ** 2 for axis in np.moveaxis(points, 2, 0))
    gaps = np.sqrt(np.sqrt(squares))
    densest = np.where(exists, (gaps * exists[:, None, :]).sum(axis=2), np.inf).argmin(axis=1)
    return points[np.arange(groups), densest]


def _crossings(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Midpoints of the shortest connection of pairs of tracks, straight from their perigees, `(pairs, 3)`, mm."""
    first_line, second_line = _line(first), _line(second)
    sine_squared = np.maximum(1 - lines.dot(first_line.direction, second_line.direction) ** 2, 1e-12)
    on_first, on_second = lines.closest_points(first_line, second_line, sine_squared)
    return (on_first + on_second) / 2


def _line(parameters: np.ndarray) -> lines.Lines:
    """Tracks as straight lines from their perigees."""
    d0, z0, phi, theta, _ = parameters.T
    perigee = np.stack([d0 * np.sin(phi), -d0 * np.cos(phi), z0], axis=1)
    return lines.Lines(perigee, lines.direction(phi, theta))
