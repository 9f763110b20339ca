"""Straight lines in space: where they pass each other, and uncertainties along directions. Vectors are float64 `(n, 3)`."""

import dataclasses

import numpy as np

from kerastag.simulation.groups import Rows


@dataclasses.dataclass
class Lines(Rows):
    """Straight lines.

    Attributes:
        point: `(n, 3)`, a point of each line, mm.
        direction: `(n, 3)`, unit vector along each line.
    """

    point: np.ndarray
    direction: np.ndarray


def dot(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Scalar product of vectors row by row, `(n,)`."""
    return (left * right).sum(axis=1)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors divided by their length; NaN where it is 0."""
    with np.errstate(invalid="ignore"):
        return vectors / np.linalg.norm(vectors, axis=1)[:, None]


def direction(phi: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Unit vectors of azimuths and polar angles."""
    sine = np.sin(theta)
    return np.stack([sine * np.cos(phi), sine * np.sin(phi), np.cos(theta)], axis=1)


def closest_points(first: Lines, second: Lines, sine_squared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points of two lines between which their distance is smallest.

    Args:
        first: First line of each pair.
        second: Second line of each pair.
        sine_squared: `(n,)`, squared sine of the angle between the lines, kept away from 0 by the caller.

    Returns:
        The point on the first line and that on the second.
    """
    gap = second.point - first.point
    cosine = dot(first.direction, second.direction)
    along_first, along_second = dot(gap, first.direction), dot(gap, second.direction)
    on_first = ((along_first - cosine * along_second) / sine_squared)[:, None] * first.direction
    on_second = ((cosine * along_first - along_second) / sine_squared)[:, None] * second.direction
    return first.point + on_first, second.point + on_second


def variance_along(direction: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Variance along unit vectors `(n, d)` of points with a covariance `(n, d, d)`, `(n,)`."""
    return np.einsum("ni,nij,nj->n", direction, covariance, direction)
