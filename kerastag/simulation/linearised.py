"""Tracks as straight lines near the vertex that is being fitted, and small symmetric matrices, many at once.

A matrix is kept as a row of its distinct elements: 2 x 2 as (dd, dz, zz), with d for the transverse and z for the longitudinal
distance, and 3 x 3 as (xx, xy, xz, yy, yz, zz).
"""

import numpy as np

from kerastag.simulation import helix
from kerastag.simulation.groups import starts


class LinearisedTracks:
    """Tracks of several fits near the present vertex of each: distances, their covariance, their change with the vertex.

    Args:
        parameters: `(tracks, 5)`, see `helix`.
        covariance: `(tracks, 5, 5)`.
        counts: int `(fits,)`, tracks of each fit, at least one.
        position: `(fits, 3)`, present vertices, mm.
        precision: `(3,)`, inverse variance of the constraint on a vertex, 1/mm².
        pull: `(3, fits)`, gradient of the constraint, 1/mm.
    """

    def __init__(
        self,
        parameters: np.ndarray,
        covariance: np.ndarray,
        counts: np.ndarray,
        position: np.ndarray,
        precision: np.ndarray,
        pull: np.ndarray,
    ):
        self._first, self._fit = starts(counts), np.repeat(np.arange(len(counts)), counts)
        self._precision, self._pull = precision, pull
        transverse, longitudinal, phi, path = helix.closest_approach(parameters, position[self._fit])
        self._residual = np.stack([transverse, longitudinal])
        self._covariance = propagated(parameters, covariance, path)
        self._inverse = _inverse_2x2(self._covariance)
        cotangent, sine, cosine = 1 / np.tan(parameters[:, 3]), np.sin(phi), np.cos(phi)
        # Derivatives of the two distances with respect to the vertex.
        self._by_transverse = np.stack([-sine, cosine, np.zeros_like(phi)])
        self._by_longitudinal = np.stack([cotangent * cosine, cotangent * sine, -np.ones_like(phi)])
        self._information, self._gradient = self._normal_equations()

    def _normal_equations(self) -> tuple[np.ndarray, np.ndarray]:
        """Each track's part of the information matrix `(6, tracks)` and of the gradient `(3, tracks)`."""
        dd, dz, zz = self._inverse
        transverse = dd * self._by_transverse + dz * self._by_longitudinal
        longitudinal = dz * self._by_transverse + zz * self._by_longitudinal
        gradient = transverse * self._residual[0] + longitudinal * self._residual[1]
        rows, columns = [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]
        information = self._by_transverse[rows] * transverse[columns] + self._by_longitudinal[rows] * longitudinal[columns]
        return information, gradient

    def sums(self, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Information `(6, fits)` and gradient `(3, fits)` of the fits with weighted tracks, constraint included."""
        information = np.add.reduceat(weight * self._information, self._first, axis=1)
        information[[0, 3, 5]] += self._precision[:, None]
        return information, np.add.reduceat(weight * self._gradient, self._first, axis=1) + self._pull

    def supporters(self, weight: np.ndarray, least: float) -> np.ndarray:
        """Number of tracks of each fit whose weight is above `least`, `(fits,)`."""
        return np.add.reduceat(weight > least, self._first, dtype=int)

    def chi2(self) -> np.ndarray:
        """χ² of each track with respect to the present vertex, `(tracks,)`."""
        return _chi2(self._residual, self._inverse)

    def chi2_without(self, weight: np.ndarray) -> np.ndarray:
        """χ² of each track with respect to the vertex that the other tracks of its fit make, `(tracks,)`."""
        information, gradient = self.sums(weight)
        others = inverse_3x3(information[:, self._fit] - weight * self._information)
        shift = -product(others, gradient[:, self._fit] - weight * self._gradient)
        by_transverse, by_longitudinal = self._by_transverse, self._by_longitudinal
        residual = self._residual + np.stack([(by_transverse * shift).sum(axis=0), (by_longitudinal * shift).sum(axis=0)])
        transverse, longitudinal = product(others, by_transverse), product(others, by_longitudinal)
        dd = self._covariance[0] + (by_transverse * transverse).sum(axis=0)
        dz = self._covariance[1] + (by_transverse * longitudinal).sum(axis=0)
        zz = self._covariance[2] + (by_longitudinal * longitudinal).sum(axis=0)
        return _chi2(residual, _inverse_2x2((dd, dz, zz)))


def propagated(parameters: np.ndarray, covariance: np.ndarray, path: np.ndarray) -> np.ndarray:
    """Covariance (dd, dz, zz) of the distances after a transverse path, `(3, tracks)`, mm².

    Args:
        parameters: `(tracks, 5)`, see `helix`.
        covariance: `(tracks, 5, 5)`, at the perigee.
        path: `(tracks,)`, length of the transverse path from the perigee, mm.
    """
    sine = np.sin(parameters[:, 3])
    bend = helix.CURVATURE / sine * path**2 / 2  # change of the transverse distance with q/p
    tilt = path / sine**2  # change of the longitudinal distance with θ
    transverse = covariance[:, :, 0] - path[:, None] * covariance[:, :, 2] + bend[:, None] * covariance[:, :, 4]
    dd = transverse[:, 0] - path * transverse[:, 2] + bend * transverse[:, 4]
    dz = transverse[:, 1] - tilt * transverse[:, 3]
    zz = covariance[:, 1, 1] - 2 * tilt * covariance[:, 1, 3] + tilt**2 * covariance[:, 3, 3]
    return np.stack([dd, dz, zz])


def _chi2(residual: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """Quadratic form of two distances `(2, n)` with 2 x 2 matrices `(3, n)`."""
    return residual[0] ** 2 * inverse[0] + 2 * residual[0] * residual[1] * inverse[1] + residual[1] ** 2 * inverse[2]


def _inverse_2x2(matrix: np.ndarray | tuple[np.ndarray, ...]) -> np.ndarray:
    """Inverse of symmetric 2 x 2 matrices `(3, n)`."""
    dd, dz, zz = matrix
    return np.stack([zz, -dz, dd]) / (dd * zz - dz**2)


def inverse_3x3(matrix: np.ndarray) -> np.ndarray:
    """Inverse of symmetric 3 x 3 matrices `(6, n)`."""
    xx, xy, xz, yy, yz, zz = matrix
    adjugate = np.stack(
        [yy * zz - yz**2, xz * yz - xy * zz, xy * yz - xz * yy, xx * zz - xz**2, xy * xz - xx * yz, xx * yy - xy**2]
    )
    return adjugate / (xx * adjugate[0] + xy * adjugate[1] + xz * adjugate[2])


def product(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Symmetric 3 x 3 matrices `(6, n)` times vectors `(3, n)`."""
    xx, xy, xz, yy, yz, zz = matrix
    x, y, z = vector
    return np.stack([xx * x + xy * y + xz * z, xy * x + yy * y + yz * z, xz * x + yz * y + zz * z])


def full(matrix: np.ndarray) -> np.ndarray:
    """Symmetric 3 x 3 matrices `(6, n)` with all their elements, `(n, 3, 3)`."""
    xx, xy, xz, yy, yz, zz = matrix
    return np.stack([xx, xy, xz, xy, yy, yz, xz, yz, zz], axis=1).reshape(-1, 3, 3)
