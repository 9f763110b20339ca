"""Impact parameters of tracks with respect to any point, two- and three-dimensional, with uncertainties.

A track is a straight line near the point: that is enough for the distances that matter to a tagger.
"""

import dataclasses

import numpy as np

from kerastag.simulation import helix, lines
from kerastag.simulation.linearised import propagated
from kerastag.simulation.lines import Lines, dot
from kerastag.simulation.tracking import Tracks


@dataclasses.dataclass
class ImpactParameters:
    """Distances of tracks from a point each. Lengths are mm, all vectors relative to the point.

    Attributes:
        point: float64 `(tracks, 3)`, closest approach in the transverse plane.
        direction: float64 `(tracks, 3)`, unit vector of the track there.
        displacement: float64 `(tracks, 3)`, closest approach in space.
        left: float64 `(tracks, 3)`, horizontal unit vector across the track.
        covariance: float64 `(3, tracks)`, covariance (dd, dz, zz) of the transverse distance d and the longitudinal one z.
        value_2d: float64 `(tracks,)`, unsigned transverse distance.
        error_2d: float64 `(tracks,)`, uncertainty of `value_2d`, that of the point included.
        value_3d: float64 `(tracks,)`, distance in space.
        error_3d: float64 `(tracks,)`, uncertainty of `value_3d`, that of the point included.
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

    def lines(self, rows: np.ndarray) -> Lines:
        """The tracks at `rows` as straight lines."""
        return Lines(self.point[rows], self.direction[rows])

    def variance_along(self, direction: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Variance of the position of the tracks at `rows` along unit vectors `(n, 3)`, mm², `(n,)`."""
        return _track_variance(direction, self.left[rows], self.covariance[:, rows])


def impact_parameters(tracks: Tracks, point: np.ndarray, point_covariance: np.ndarray) -> ImpactParameters:
    """Calculate the impact parameters of tracks, each with respect to its own point.

    Args:
        tracks: Tracks.
        point: `(tracks, 3)`, mm.
        point_covariance: `(tracks, 3, 3)`, uncertainty of the points, mm².
    """
    transverse, longitudinal, phi, path = helix.closest_approach(tracks.parameters, point)
    covariance = propagated(tracks.parameters, tracks.covariance, path)
    left = np.stack([-np.sin(phi), np.cos(phi), np.zeros_like(phi)], axis=1)
    direction = lines.direction(phi, theta=tracks.parameters[:, 3])
    closest = -transverse[:, None] * left
    closest[:, 2] = longitudinal
    displacement = closest - dot(closest, direction)[:, None] * direction
    value_3d = np.linalg.norm(displacement, axis=1)

    def error(along: np.ndarray) -> np.ndarray:
        return np.sqrt(_track_variance(along, left, covariance) + lines.variance_along(along, point_covariance))

    return ImpactParameters(
        point=closest,
        direction=direction,
        displacement=displacement,
        left=left,
        covariance=covariance,
        value_2d=np.abs(transverse),
        error_2d=error(left),
        value_3d=value_3d,
        error_3d=error(displacement / value_3d[:, None]),
    )


def _track_variance(direction: np.ndarray, left: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Variance of tracks along a direction from the covariance `(3, tracks)` of their two distances, mm²."""
    across, up = dot(direction, left), direction[:, 2]
    dd, dz, zz = covariance
    return across**2 * dd - 2 * across * up * dz + up**2 * zz
