"""Adaptive vertex fits, many at once, and the search for secondary vertices that is built on them.

A track enters with its distance to the vertex at the point of closest approach, transverse and longitudinal, and with the
weight w = 1 / (1 + exp((χ² - χ_c²) / 2T)), where χ² is taken against the vertex that the other tracks make. T falls from 256
towards 1 (deterministic annealing). The tracks of one fit are neighbours: a fit is a run of rows, given by its length.

Reference: R. Frühwirth, W. Waltenberger, P. Vanlaer, "Adaptive vertex fitting", J. Phys. G 34 (2007) N343; W. Waltenberger,
"Adaptive vertex reconstruction", CMS NOTE-2008/033.
"""

import dataclasses

import numpy as np

from kerastag.simulation import helix
from kerastag.simulation.groups import rank_in_group, starts

SIGNIFICANT = 1e-3  # weight of a track that supports a vertex; a fit without prior needs two at each step
MEMBER = 1e-8  # weight above which a track belongs to a vertex
LEAVES = 0.5  # weight above which it is no candidate for the next one
FARTHEST = 1000.0  # mm; fits beyond it have run away

_FIRST_TEMPERATURE = 256.0
_COOLING = 0.25
_COOL = 1.02  # a fit may end below this temperature
_STILL = 1e-3  # and once it moves by less than this, mm
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
    """Secondary vertices and who belongs to them; a track can belong to several.

    Attributes:
        group: int64 `(vertices,)`, the jet that a vertex was found in, ascending.
        position: float64 `(vertices, 3)`, mm.
        covariance: float64 `(vertices, 3, 3)`, mm².
        vertex: int64 `(members,)`, ascending.
        track: int64 `(members,)`, row of the track among those given.
        weight: float64 `(members,)`.
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
        pt: `(tracks,)`; the highest choose the starting point.
        counts: int `(fits,)`, tracks of each fit.
        cut: χ_c.
        prior: σ of a Gaussian constraint around the origin, `(3,)`, mm; None: no constraint.
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
        first, local = starts(counts[active]), np.repeat(np.arange(len(active)), counts[active])
        tracks = _Linearised(parameters[rows], covariance[rows], position[active][local])
        pull = np.zeros((3, len(active))) if prior is None else precision[:, None] * position[active].T
        chi2 = tracks.chi2() if step == 0 else tracks.chi2_without(weight[rows], first, local, precision, pull)
        weight[rows] = _weight(chi2, cut, temperature)
        information, gradient = tracks.sums(weight[rows], first, precision, pull)
        inverse[:, active] = _inverse(information)
        shift = -_product(inverse[:, active], gradient)
        position[active] += shift.T
        near = (position[active] ** 2).sum(axis=1) < FARTHEST**2
        valid[active] = near & (np.add.reduceat(weight[rows] > SIGNIFICANT, first, dtype=int) >= needed)
        moving = (temperature >= _COOL) | ((shift**2).sum(axis=0) >= _STILL**2)
        active = active[moving & valid[active]]
        temperature = 1 + (temperature - 1) * _COOLING
    xx, xy, xz, yy, yz, zz = inverse
    matrix = np.stack([xx, xy, xz, xy, yy, yz, xz, yz, zz], axis=1).reshape(-1, 3, 3)
    return Vertices(position, matrix, valid, weight)


def find_secondaries(
    parameters: np.ndarray,
    covariance: np.ndarray,
    pt: np.ndarray,
    counts: np.ndarray,
    cut: float,
    later_cut: float,
) -> Secondaries:
    """Find vertices in each run of tracks, one after the other.

    All tracks of a run are fitted; those of weight above 0.5 leave the pool and the rest is fitted again, until fewer than two
    are left, none has left, or the fit fails. Tracks of weight above 1e-8 belong to a vertex, whether they leave or not.

    Args:
        parameters: `(tracks, 5)`, see `helix`.
        covariance: `(tracks, 5, 5)`.
        pt: `(tracks,)`, GeV.
        counts: int `(groups,)`, tracks of each group.
        cut: χ_c of the first vertex of a run.
        later_cut: χ_c of all others.
    """
    owner = np.repeat(np.arange(len(counts)), counts)
    pool = np.flatnonzero(counts[owner] >= 2)
    found: list[tuple[np.ndarray, ...]] = []
    vertices = 0
    while len(pool):
        groups, run, length = np.unique(owner[pool], return_inverse=True, return_counts=True)
        fitted = fit(parameters[pool], covariance[pool], pt[pool], length, cut)
        cut = later_cut
        gone = fitted.weight > LEAVES
        kept = fitted.valid
        goes_on = kept & (np.bincount(run, gone, minlength=len(groups)) > 0)
        number = np.cumsum(kept) - 1 + vertices
        vertices += int(kept.sum())
        belongs = kept[run] & (fitted.weight > MEMBER)
        found.append(
            (
                groups[kept],
                fitted.position[kept],
                fitted.covariance[kept],
                number[run][belongs],
                pool[belongs],
                fitted.weight[belongs],
            )
        )
        left = np.bincount(run, ~gone, minlength=len(groups))
        pool = pool[(goes_on & (left >= 2))[run] & ~gone]
    return _ordered(found)


def _ordered(found: list[tuple[np.ndarray, ...]]) -> Secondaries:
    """Join the rounds of a search so that the vertices of one group are neighbours, in the order in which they were found."""
    if not found:
        none = np.zeros(0, np.int64)
        return Secondaries(none, np.zeros((0, 3)), np.zeros((0, 3, 3)), none, none, np.zeros(0))
    group, position, covariance, vertex, track, weight = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(group, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    members = np.argsort(rank[vertex], kind="stable")
    return Secondaries(group[order], position[order], covariance[order], rank[vertex][members], track[members], weight[members])


class _Linearised:
    """Tracks as straight lines near a point: distances, their inverse covariance, their change with the point.

    Matrices are kept as rows of their distinct elements, `(elements, tracks)`: 2 x 2 as (dd, dz, zz), 3 x 3 as (xx, xy, xz,
    yy, yz, zz).
    """

    def __init__(self, parameters: np.ndarray, covariance: np.ndarray, point: np.ndarray):
        transverse, longitudinal, phi, path = helix.closest_approach(parameters, point)
        self.residual = np.stack([transverse, longitudinal])
        self.covariance = propagated(parameters, covariance, path)
        dd, dz, zz = self.covariance
        self.inverse = np.stack([zz, -dz, dd]) / (dd * zz - dz**2)
        cotangent, sine, cosine = 1 / np.tan(parameters[:, 3]), np.sin(phi), np.cos(phi)
        # How the two distances change when the point moves.
        self.by_transverse = np.stack([-sine, cosine, np.zeros_like(phi)])
        self.by_longitudinal = np.stack([cotangent * cosine, cotangent * sine, -np.ones_like(phi)])
        self.information, self.gradient = self._normal_equations()

    def _normal_equations(self) -> tuple[np.ndarray, np.ndarray]:
        """Each track's part of the information matrix `(6, tracks)` and of the gradient `(3, tracks)`."""
        dd, dz, zz = self.inverse
        transverse = dd * self.by_transverse + dz * self.by_longitudinal
        longitudinal = dz * self.by_transverse + zz * self.by_longitudinal
        gradient = transverse * self.residual[0] + longitudinal * self.residual[1]
        rows, columns = [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]
        information = self.by_transverse[rows] * transverse[columns] + self.by_longitudinal[rows] * longitudinal[columns]
        return information, gradient

    def chi2(self) -> np.ndarray:
        """χ² of each track with respect to the point, `(tracks,)`."""
        return _chi2(self.residual, self.inverse)

    def sums(self, weight, first, precision, pull) -> tuple[np.ndarray, np.ndarray]:
        """Information and gradient of each fit, constraint included."""
        information = np.add.reduceat(weight * self.information, first, axis=1)
        information[[0, 3, 5]] += precision[:, None]
        return information, np.add.reduceat(weight * self.gradient, first, axis=1) + pull

    def chi2_without(self, weight, first, local, precision, pull) -> np.ndarray:
        """χ² of each track with respect to the vertex that all others make, `(tracks,)`."""
        information, gradient = self.sums(weight, first, precision, pull)
        others = _inverse(information[:, local] - weight * self.information)
        shift = -_product(others, gradient[:, local] - weight * self.gradient)
        by_transverse, by_longitudinal = self.by_transverse, self.by_longitudinal
        residual = self.residual + np.stack([(by_transverse * shift).sum(axis=0), (by_longitudinal * shift).sum(axis=0)])
        transverse, longitudinal = _product(others, by_transverse), _product(others, by_longitudinal)
        dd = self.covariance[0] + (by_transverse * transverse).sum(axis=0)
        dz = self.covariance[1] + (by_transverse * longitudinal).sum(axis=0)
        zz = self.covariance[2] + (by_longitudinal * longitudinal).sum(axis=0)
        return _chi2(residual, np.stack([zz, -dz, dd]) / (dd * zz - dz**2))


def propagated(parameters: np.ndarray, covariance: np.ndarray, path: np.ndarray) -> np.ndarray:
    """Covariance (dd, dz, zz) of the two distances after a transverse path, `(3, tracks)`, mm²."""
    sine = np.sin(parameters[:, 3])
    bend = helix.CURVATURE * helix.FIELD / sine * path**2 / 2  # how q/p changes the transverse distance
    tilt = path / sine**2  # how θ changes the longitudinal one
    transverse = covariance[:, :, 0] - path[:, None] * covariance[:, :, 2] + bend[:, None] * covariance[:, :, 4]
    dd = transverse[:, 0] - path * transverse[:, 2] + bend * transverse[:, 4]
    dz = transverse[:, 1] - tilt * transverse[:, 3]
    zz = covariance[:, 1, 1] - 2 * tilt * covariance[:, 1, 3] + tilt**2 * covariance[:, 3, 3]
    return np.stack([dd, dz, zz])


def _chi2(residual: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """Quadratic form of a 2 x 2 matrix given as (dd, dz, zz)."""
    return residual[0] ** 2 * inverse[0] + 2 * residual[0] * residual[1] * inverse[1] + residual[1] ** 2 * inverse[2]


def _weight(chi2: np.ndarray, cut: float, temperature: float) -> np.ndarray:
    """Weight of tracks in an adaptive fit."""
    return 1 / (1 + np.exp(np.minimum((chi2 - cut**2) / (2 * temperature), 500)))


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """Inverse of symmetric 3 x 3 matrices `(6, n)`, each given as (xx, xy, xz, yy, yz, zz)."""
    xx, xy, xz, yy, yz, zz = matrix
    adjugate = np.stack(
        [yy * zz - yz**2, xz * yz - xy * zz, xy * yz - xz * yy, xx * zz - xz**2, xy * xz - xx * yz, xx * yy - xy**2]
    )
    return adjugate / (xx * adjugate[0] + xy * adjugate[1] + xz * adjugate[2])


def _product(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Symmetric 3 x 3 matrices `(6, n)` times vectors `(3, n)`."""
    xx, xy, xz, yy, yz, zz = matrix
    x, y, z = vector
    return np.stack([xx * x + xy * y + xz * z, xy * x + yy * y + yz * z, xz * x + yz * y + zz * z])


def _starting_points(parameters: np.ndarray, pt: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """The mode of the points where the tracks of highest pT cross, `(groups, 3)`; the origin where no two tracks are."""
    rank = rank_in_group(group, pt)
    leading = rank < _STARTING_TRACKS
    chosen = np.full((groups, _STARTING_TRACKS), -1)
    chosen[group[leading], rank[leading]] = np.flatnonzero(leading)
    one, two = np.triu_indices(_STARTING_TRACKS, 1)
    exists = chosen[:, two] >= 0  # ranks are filled from the front, so the first of a pair exists as well
    points = np.zeros((groups, len(one), 3))
    points[exists] = _crossing(parameters[chosen[:, one][exists]], parameters[chosen[:, two][exists]])
    # Square roots of distances make an estimator that sits in the densest place and needs no scale.
    squares = sum((axis[:, :, None] - axis[:, None]) ** 2 for axis in np.moveaxis(points, 2, 0))
    gaps = np.sqrt(np.sqrt(squares))
    densest = np.where(exists, (gaps * exists[:, None, :]).sum(axis=2), np.inf).argmin(axis=1)
    return points[np.arange(groups), densest]


def _crossing(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Midpoints of the shortest connection of pairs of tracks, straight from their perigees, `(pairs, 3)`, mm."""
    first, second = _line(one), _line(two)
    between = second[0] - first[0]
    overlap = (first[1] * second[1]).sum(axis=1)
    determinant = np.maximum(1 - overlap**2, 1e-12)
    along, across = (between * first[1]).sum(axis=1), (between * second[1]).sum(axis=1)
    on_first = first[0] + ((along - overlap * across) / determinant)[:, None] * first[1]
    on_second = second[0] + ((overlap * along - across) / determinant)[:, None] * second[1]
    return (on_first + on_second) / 2


def _line(parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Perigee and unit direction of tracks, both `(tracks, 3)`."""
    d0, z0, phi, theta, _ = parameters.T
    point = np.stack([d0 * np.sin(phi), -d0 * np.cos(phi), z0], axis=1)
    direction = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=1)
    return point, direction
