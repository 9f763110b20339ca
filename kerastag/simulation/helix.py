"""Charged particles in the solenoid's field: from the production point to the perigee at the beam line, and along the path.

A track is five parameters with respect to the origin, in the order of `PARAMETERS`. They are the transverse impact parameter
d0 and the longitudinal one z0 in mm, azimuth φ and polar angle θ of the direction at the perigee, and charge over momentum in
1/GeV. The sign of d0 is geometric, d0 = (x·p_y - y·p_x)/pT at the perigee, the opposite of what ATLAS and CMS use. The field
points along +z, so positive charges turn clockwise.
"""

import numpy as np

PARAMETERS = ("D0", "Z0", "PHI", "THETA", "QOVERP")
FIELD = 2.0  # tesla
CURVATURE = 0.299792458e-3 * FIELD  # 1/mm, of a track of 1 GeV


def perigee(vertex: np.ndarray, momentum: np.ndarray, charge: np.ndarray) -> np.ndarray:
    """Track parameters of charged particles.

    Args:
        vertex: `(particles, 3)`, production points, mm.
        momentum: `(particles, 3)`, GeV.
        charge: `(particles,)`, +1 or -1.

    Returns:
        `(particles, 5)`. z0 is that of the published data set's simulation. It replaces the arc between production point and
        perigee by the difference of their distances to the beam line.
    """
    x, y, z = vertex.T
    px, py, pz = momentum.T
    pt = np.hypot(px, py)
    radius = pt / (CURVATURE * charge)
    center_x, center_y = x + radius * py / pt, y - radius * px / pt
    to_center = np.hypot(center_x, center_y)
    distance = to_center - np.abs(radius)
    turn = np.sign(charge)
    d0 = turn * distance
    phi = np.arctan2(turn * center_x, -turn * center_y)
    z0 = z + (np.abs(distance) - np.hypot(x, y)) * pz / pt
    theta = np.arctan2(pt, pz)
    return np.stack([d0, z0, phi, theta, charge / np.hypot(pt, pz)], axis=1)


def closest_approach(parameters: np.ndarray, point: np.ndarray) -> tuple[np.ndarray, ...]:
    """Find where tracks come closest to points in the transverse plane.

    Args:
        parameters: `(tracks, 5)`.
        point: `(tracks, 3)`, one point for each track, mm.

    Returns:
        Transverse distance, mm, signed as d0 is; longitudinal distance, mm; azimuth of the direction there; and length of
        the transverse path from the perigee, mm, negative before it. Each is `(tracks,)`.
    """
    d0, z0, phi, theta, q_over_p = parameters.T
    curvature = -CURVATURE * q_over_p / np.sin(theta)
    # The centre lies to the left of a track that turns left; `left` points from the perigee to it.
    left_x, left_y = -np.sin(phi), np.cos(phi)
    reach = 1 / curvature - d0
    from_center_x, from_center_y = point[:, 0] - reach * left_x, point[:, 1] - reach * left_y
    distance = np.hypot(from_center_x, from_center_y)
    turn = np.sign(curvature)
    new_left_x, new_left_y = -turn * from_center_x / distance, -turn * from_center_y / distance
    angle = np.arctan2(left_x * new_left_y - left_y * new_left_x, left_x * new_left_x + left_y * new_left_y)
    path = angle / curvature
    return 1 / curvature - turn * distance, z0 + path / np.tan(theta) - point[:, 2], phi + angle, path
