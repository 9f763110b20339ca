"""Tracks in the cones of jets with what flavour taggers ask of a track: its place relative to the jet axis and the vertex.

Lengths are cm, as CMS's taggers have them.
"""

import dataclasses

import numpy as np

from kerastag.simulation.association import Cones
from kerastag.simulation.groups import Rows
from kerastag.simulation.impact import ImpactParameters
from kerastag.simulation.lines import Lines, closest_points, dot
from kerastag.simulation.tracking import PION_MASS, Tracks

CM = 0.1  # in mm


@dataclasses.dataclass
class Candidates(Rows):
    """Pairs of a jet and a track in its cone, ordered by jet and then by descending `sip2d_significance`.

    Attributes:
        jet: int64 `(pairs,)`.
        track: int64 `(pairs,)`.
        delta_r: float64 `(pairs,)`, between track and jet.
        sip2d: float64 `(pairs,)`, signed impact parameter in the transverse plane, cm.
        sip2d_significance: float64 `(pairs,)`, `sip2d` over its uncertainty.
        sip3d: float64 `(pairs,)`, signed impact parameter in space, cm.
        sip3d_significance: float64 `(pairs,)`, `sip3d` over its uncertainty.
        axis_distance: float64 `(pairs,)`, minus the distance between the track's line and the jet's, cm.
        decay_length: float64 `(pairs,)`, from the primary vertex to the track's point nearest to the jet's line, cm.
        momentum: float64 `(pairs, 4)`, px, py, pz, E, GeV.
        along: float64 `(pairs,)`, momentum along the jet axis, GeV.
        charge: float64 `(pairs,)`.
    """

    jet: np.ndarray
    track: np.ndarray
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


def candidates_in_cones(tracks: Tracks, cones: Cones, ip: ImpactParameters, axis: np.ndarray) -> Candidates:
    """Calculate the quantities of tracks relative to the axes of the jets in whose cones they lie.

    Args:
        tracks: Tracks.
        cones: Tracks in the cones of the jets.
        ip: Impact parameters of the tracks with respect to the primary vertex.
        axis: `(jets, 3)`, unit vectors of the jets.
    """
    track, jet_axis = cones.track, axis[cones.jet]
    point, direction, momentum = ip.point[track] * CM, ip.direction[track], tracks.momentum[track]
    sign_2d = np.where(dot(point[:, :2], jet_axis[:, :2]) >= 0, 1, -1)
    sign_3d = np.where(dot(ip.displacement[track], jet_axis) >= 0, 1, -1)
    normal = np.cross(direction, jet_axis)
    sine = np.linalg.norm(normal, axis=1)
    jet_line = Lines(np.zeros_like(point), jet_axis)
    nearest, _ = closest_points(Lines(point, direction), jet_line, sine**2)
    candidates = Candidates(
        jet=cones.jet,
        track=track,
        delta_r=cones.delta_r,
        sip2d=sign_2d * ip.value_2d[track] * CM,
        sip2d_significance=sign_2d * ip.value_2d[track] / ip.error_2d[track],
        sip3d=sign_3d * ip.value_3d[track] * CM,
        sip3d_significance=sign_3d * ip.value_3d[track] / ip.error_3d[track],
        axis_distance=-np.abs(dot(point, normal)) / sine,
        decay_length=np.linalg.norm(nearest, axis=1),
        momentum=momentum,
        along=dot(momentum[:, :3], jet_axis),
        charge=tracks.charge[track],
    )
    return candidates.take(np.lexsort((-candidates.sip2d_significance, candidates.jet)))


def rapidity_along(along: np.ndarray, momentum: np.ndarray) -> np.ndarray:
    """Rapidity of pions with momenta `(n, 3)` along an axis, `(n,)`; `along` is the part along it, GeV."""
    return np.arctanh(along / np.hypot(np.linalg.norm(momentum, axis=1), PION_MASS))
