"""Impact parameters of tracks with respect to any point, two- and three-dimensional, with uncertainties.

A track is a straight line near the point: that is enough for the distances that matter to a tagger.
"""

import dataclasses

import numpy as np

from kerastag.simulation import helix, vertexing
from kerastag.simulation.tracking import Tracks


@dataclasses.dataclass
class ImpactParameters:
    """Where tracks pass a point. Lengths are mm, all vectors relative to the point.

    Attributes:
        point: float64 `(tracks, 3)`, closest approach in the transverse plane.
        direction: float64 `(tracks, 3)`, unit vector of the track there.
        displacement: float64 `(tracks, 3)`, closest approach in space.
        left: float64 `(tracks, 3)`, horizontal unit vector across the track.
        covariance: float64 `(3, tracks)`: of transverse distance (twice) and longitudinal distance, as (dd, dz, zz).
        value_2d, error_2d: float64 `(tracks,)`, unsigned transverse distance; the point's own uncertainty is included.
        value_3d, error_3d: The same for the distance in space.
    """

    point: np.ndarray
    direction: np.ndarray
    displacement: np.ndarray
    left: np.ndarray
    covariance: np.ndarray
    value_2d: np.ndarray
    error_2d: np.ndarray
    value_3d: np.ndarray
    error_3d: np.ndarray

    def variance_along(self, unit: np.ndarray, index: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Variance of the position of the tracks at `index` along unit vectors `(n, 3)`, mm²."""
        return _variance_along(unit, self.left[index], self.covariance[:, index])


def impact_parameters(tracks: Tracks, point: np.ndarray, point_covariance: np.ndarray) -> ImpactParameters:
    """Impact parameters of tracks, each with respect to its own point.

    Args:
        tracks: Tracks.
        point: `(tracks, 3)`, mm.
        point_covariance: `(tracks, 3, 3)`, mm².
    """
    transverse, longitudinal, phi, path = helix.closest_approach(tracks.parameters, point)
    covariance = vertexing.propagated(tracks.parameters, tracks.covariance, path)
    sine, cosine, theta = np.sin(phi), np.cos(phi), tracks.parameters[:, 3]
    left = np.stack([-sine, cosine, np.zeros_like(phi)], axis=1)
    direction = np.stack([np.sin(theta) * cosine, np.sin(theta) * sine, np.cos(theta)], axis=1)
    closest = -transverse[:, None] * left
    closest[:, 2] = longitudinal
    displacement = closest - (closest * direction).sum(axis=1)[:, None] * direction
    value_3d = np.linalg.norm(displacement, axis=1)
    unit = displacement / value_3d[:, None]

    def error(unit):
        of_point = np.einsum("ti,tij,tj->t", unit, point_covariance, unit)
        return np.sqrt(_variance_along(unit, left, covariance) + of_point)

    return ImpactParameters(
        closest, direction, displacement, left, covariance, np.abs(transverse), error(left), value_3d, error(unit)
    )


def _variance_along(unit: np.ndarray, left: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    across, up = (unit * left).sum(axis=1), unit[:, 2]
    dd, dz, zz = covariance
    return across**2 * dd - 2 * across * up * dz + up**2 * zz
