"""Candidates and secondary vertices of jets under their names in CMS's DeepNTuples, in cm and GeV.

They are the inputs of `particle_transformer_ak4`, in the order of CMS's producer. Charged candidates come by descending signed
2-D significance, neutral ones by their distance to the nearest vertex, then by descending pT, vertices by descending
transverse significance. Offsets and limits are CMS's. The momentum of a jet is that after calibration.

The simulation knows neither hits nor pile-up in the calorimeter, so the following stands in for what CMS has:

* `VTX_ass` is 7 for tracks of weight above 0.5 in the primary vertex, 6 for others that support it, 5 for those near it in z,
  4 for those near the axis of their jet, 0 for those near it in the plane, 1 for the rest. There are no other primary vertices.
* `puppiw` is 1 everywhere. Tracks of pile-up, which a variation adds within 2 mm, would have it in CMS as well.
* `chi2` is the whole part of a χ²/ndf of 20 degrees of freedom; `quality` is 5, high purity. Every candidate keeps its track.
* Charged candidates are pions. Neutral ones are massless, `HadFrac` is 1 for hadrons and 0 for photons. The mass of a jet is
  neglected in `enratio`.

Reference: cmssw, RecoBTag/FeatureTools and CommonTools/RecoAlgos (`PrimaryVertexAssignment`).
"""

import dataclasses

import numpy as np
from scipy import stats

from kerastag.schema.deepcsv import PREFIX
from kerastag.schema.deepflavour import DEEPFLAVOUR, TAG_PREFIX
from kerastag.simulation.association import Cones
from kerastag.simulation.calorimeter import CONE, CaloJets
from kerastag.simulation.candidates import CM, Candidates, candidates_in_cones, rapidity_along
from kerastag.simulation.energy_flow import Neutrals
from kerastag.simulation.groups import all_pairs, group_sum
from kerastag.simulation.impact import ImpactParameters
from kerastag.simulation.inclusive_vertices import InclusiveVertices, flight, quality
from kerastag.simulation.kinematics import delta_r, eta_phi, mass, unit_vectors, wrapped
from kerastag.simulation.lines import dot, unit
from kerastag.simulation.precision import significant
from kerastag.simulation.tracking import PION_MASS, Tracks
from kerastag.simulation.vertexing import SIGNIFICANT, Vertices

CHARGED, NEUTRAL, VERTEX = "Cpfcan", "Npfcan", "sv"
MINIMUM_PT = 0.95  # of candidates, GeV

_NDF = 20  # of the χ² of tracks
_HIGH_PURITY = 5
_DIGITS = 2.0**24  # of φ, far below any resolution
# Tracks that belong to the primary vertex without supporting it: distance in z, also over its σ, and σ of the track, cm.
_NEAR_Z, _NEAR_Z_SIGNIFICANCE, _NEAR_Z_SIGMA = 0.1, 5.0, 0.05
# Tracks of decays in a jet: distance from its axis, and in z and in the plane from the primary vertex, cm.
_NEAR_AXIS, _DECAY_Z, _DECAY_XY = 0.07, 0.1, 0.1
_NEAR_XY, _NEAR_XY_SIGNIFICANCE = 0.01, 2.0  # cm, in the plane


@dataclasses.dataclass
class Objects:
    """Objects of jets of one kind.

    Attributes:
        counts: int64 `(jets,)`, objects of each jet.
        columns: Branches by name without the prefix of the kind, each `(objects,)`, ordered by jet.
    """

    counts: np.ndarray
    columns: dict[str, np.ndarray]


def candidate_inputs(
    jets: CaloJets,
    tracks: Tracks,
    neutrals: Neutrals,
    cones: Cones,
    primary: Vertices,
    ip: ImpactParameters,
    vertices: InclusiveVertices,
    events: int,
) -> dict[str, Objects]:
    """Calculate the columns of all candidates and vertices in jets.

    Args:
        jets: Jets.
        tracks: Tracks.
        neutrals: Neutral particles.
        cones: Tracks in the cones of the jets.
        primary: The primary vertex of each event, `weight` that of every track.
        ip: Impact parameters of the tracks with respect to it.
        vertices: Secondary vertices.
        events: Number of events.

    Returns:
        Objects by `CHARGED`, `NEUTRAL` and `VERTEX`.
    """
    momentum = group_sum(vertices.vertex, len(vertices), tracks.momentum[vertices.track])
    nearest = _NearestVertex(vertices.event, *eta_phi(momentum[:, :3]), events)
    charged = _charged(jets, tracks, cones, primary, ip, nearest)
    return {
        CHARGED: charged,
        NEUTRAL: _neutral(jets, neutrals, nearest, events),
        VERTEX: _vertices(jets, tracks, vertices, momentum, primary, events),
    }


def candidate_numbers(objects: dict[str, Objects], deepcsv: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Quantities of jets that stand beside their candidates, `(jets,)` each; of primary vertices there is one.

    Args:
        objects: Candidates and vertices of the jets.
        deepcsv: Branches of the jets with the inputs of DeepCSV, of which nine are inputs of DeepFlavour as well.
    """
    numbers = {"nCpfcand": objects[CHARGED].counts, "nNpfcand": objects[NEUTRAL].counts}
    numbers["npv"] = np.ones_like(numbers["nCpfcand"])
    tags = [feature.branch for feature in DEEPFLAVOUR.features if feature.branch.startswith(TAG_PREFIX)]
    return numbers | {name: deepcsv[PREFIX + name.removeprefix(TAG_PREFIX)] for name in tags}


@dataclasses.dataclass
class _NearestVertex:
    """Directions of the momenta of vertices, and how far others are from the nearest.

    Attributes:
        event: int64 `(vertices,)`, ascending.
        eta: float64 `(vertices,)`.
        phi: float64 `(vertices,)`.
        events: Number of events.
    """

    event: np.ndarray
    eta: np.ndarray
    phi: np.ndarray
    events: int

    def distance(self, event: np.ndarray, eta: np.ndarray, phi: np.ndarray) -> np.ndarray:
        """Distance in (η, φ) to the nearest vertex of the event, less 0.4, and 0 where none is within 0.4; `(n,)`."""
        row, vertex = all_pairs(event, self.event, self.events)
        distance = np.full(len(event), CONE)
        np.minimum.at(distance, row, delta_r(eta[row], phi[row], self.eta[vertex], self.phi[vertex]))
        return distance - CONE


def _charged(
    jets: CaloJets, tracks: Tracks, cones: Cones, primary: Vertices, ip: ImpactParameters, nearest: _NearestVertex
) -> Objects:
    """Charged candidates of jets."""
    near = cones.take(tracks.pt[cones.track] >= MINIMUM_PT)
    candidates = candidates_in_cones(tracks, near, ip, unit_vectors(jets.eta, jets.phi))
    jet, track = candidates.jet, candidates.track
    momentum = np.linalg.norm(candidates.momentum[:, :3], axis=1)
    transverse = np.sqrt(np.maximum(momentum**2 - candidates.along**2, 0.0))
    columns = {
        "BtagPf_trackEtaRel": np.clip(rapidity_along(candidates.along, candidates.momentum[:, :3]), -5, 15),
        "BtagPf_trackPtRel": np.clip(transverse, -1, 4),
        "BtagPf_trackPPar": np.clip(candidates.along, -1e5, 1e5),
        "BtagPf_trackDeltaR": candidates.delta_r,
        "BtagPf_trackPParRatio": candidates.along / momentum,
        "BtagPf_trackSip2dVal": np.clip(candidates.sip2d, -1, 70),
        "BtagPf_trackSip2dSig": np.clip(candidates.sip2d_significance, -1, 4e4),
        "BtagPf_trackSip3dVal": np.clip(candidates.sip3d, -1, 1e5),
        "BtagPf_trackSip3dSig": np.clip(candidates.sip3d_significance, -1, 4e4),
        "BtagPf_trackJetDistVal": np.clip(candidates.axis_distance, -20, 1),
        "ptrel": _relative_pt(tracks.pt[track], jets.pt[jet]),
        "drminsv": nearest.distance(tracks.event[track], tracks.eta[track], tracks.phi[track]),
        "VTX_ass": _association(candidates, tracks, primary, ip),
        "puppiw": np.ones(len(jet)),
        "chi2": _reduced_chi2(tracks.phi[track]),
        "quality": np.full(len(jet), _HIGH_PURITY),
    }
    columns |= _four_vector(tracks.pt[track], tracks.eta[track], tracks.phi[track], PION_MASS)
    return Objects(np.bincount(jet, minlength=len(jets)), columns)


def _association(candidates: Candidates, tracks: Tracks, primary: Vertices, ip: ImpactParameters) -> np.ndarray:
    """How tracks belong to the primary vertex, int64 `(pairs,)`, in CMS's numbers."""
    track = candidates.track
    weight = primary.weight[track]
    sigma_z = np.sqrt(tracks.covariance[track, 1, 1]) * CM
    z, xy = np.abs(ip.point[track, 2]) * CM, ip.value_2d[track] * CM
    error = np.hypot(sigma_z, np.sqrt(primary.covariance[tracks.event[track], 2, 2]) * CM)
    near_z = (z < _NEAR_Z) & (z < _NEAR_Z_SIGNIFICANCE * error) & (sigma_z < _NEAR_Z_SIGMA)
    near_axis = (-candidates.axis_distance < _NEAR_AXIS) & (z < _DECAY_Z) & (xy < _DECAY_XY) & (sigma_z < _NEAR_Z_SIGMA)
    near_xy = (xy < _NEAR_XY) & (ip.value_2d[track] < _NEAR_XY_SIGNIFICANCE * ip.error_2d[track])
    return np.select([weight > 0.5, weight > SIGNIFICANT, near_z, near_axis, near_xy], [7, 6, 5, 4, 0], 1)


def _reduced_chi2(phi: np.ndarray) -> np.ndarray:
    """Whole part of χ² over its degrees of freedom, `(tracks,)`.

    It is drawn by digits of φ that no measurement gives, so that a track keeps it under variations.
    """
    return np.floor(stats.chi2.ppf((phi * _DIGITS) % 1.0, _NDF) / _NDF)


def _neutral(jets: CaloJets, neutrals: Neutrals, nearest: _NearestVertex, events: int) -> Objects:
    """Neutral candidates of jets."""
    neutrals = neutrals.take(neutrals.pt >= MINIMUM_PT)
    from_vertex = nearest.distance(neutrals.event, neutrals.eta, neutrals.phi)
    jet, row = all_pairs(jets.event, neutrals.event, events)
    distance = delta_r(neutrals.eta[row], neutrals.phi[row], jets.eta[jet], jets.phi[jet])
    inside = distance <= CONE
    jet, row, distance = jet[inside], row[inside], distance[inside]
    order = np.lexsort((-neutrals.pt[row], from_vertex[row], jet))
    jet, row, distance = jet[order], row[order], distance[order]
    here = neutrals.take(row)
    columns = {
        "ptrel": _relative_pt(here.pt, jets.pt[jet]),
        **_angles(here.eta, here.phi, jets, jet),
        "deltaR": distance - 0.6,
        "isGamma": here.photon.astype(np.int64),
        "HadFrac": np.where(here.photon, 0.0, 1.0),
        "drminsv": from_vertex[row],
        "puppiw": np.ones(len(row)),
    }
    columns |= _four_vector(here.pt, here.eta, here.phi, 0.0)
    return Objects(np.bincount(jet, minlength=len(jets)), columns)


def _vertices(
    jets: CaloJets, tracks: Tracks, vertices: InclusiveVertices, momentum: np.ndarray, primary: Vertices, events: int
) -> Objects:
    """Secondary vertices whose momentum `(vertices, 4)` lies in the cone of a jet."""
    path = flight(vertices.position, vertices.covariance, primary, vertices.event)
    significance = path.transverse / path.transverse_error
    eta, phi = eta_phi(momentum[:, :3])
    jet, vertex = all_pairs(jets.event, vertices.event, events)
    distance = delta_r(eta[vertex], phi[vertex], jets.eta[jet], jets.phi[jet])
    inside = np.flatnonzero(distance < CONE)
    order = inside[np.lexsort((-significance[vertex[inside]], jet[inside]))]
    jet, vertex, distance = jet[order], vertex[order], distance[order]
    chi2, ndf = quality(vertices, tracks)
    pt = np.hypot(momentum[:, 0], momentum[:, 1])
    of_vertices = {
        "mass": mass(momentum),
        "ntracks": vertices.size,
        "chi2": chi2,
        "normchi2": np.clip(chi2 / np.where(ndf == 0, np.inf, ndf), -1000, 1000),
        "dxy": path.transverse * CM,
        "dxysig": np.clip(significance, -1, 800),
        "d3d": path.length * CM,
        "d3dsig": np.clip(path.length / path.error, -1, 800),
        "costhetasvpv": dot(unit(momentum[:, :3]), unit(path.vector)),
    }
    columns = {name: values[vertex] for name, values in of_vertices.items()}
    columns |= {"deltaR": np.minimum(distance - 0.5, 0.0), **_angles(eta[vertex], phi[vertex], jets, jet)}
    columns["enratio"] = momentum[vertex, 3] / (jets.pt[jet] * np.cosh(jets.eta[jet]))
    columns |= _four_vector(pt[vertex], eta[vertex], phi[vertex], mass(momentum)[vertex])
    return Objects(np.bincount(jet, minlength=len(jets)), columns)


def _relative_pt(pt: np.ndarray, jet_pt: np.ndarray) -> np.ndarray:
    """Transverse momentum over that of the jet, less 1 and at most 0, `(n,)`."""
    return np.clip(pt / jet_pt - 1, -1, 0)


def _angles(eta: np.ndarray, phi: np.ndarray, jets: CaloJets, jet: np.ndarray) -> dict[str, np.ndarray]:
    """Distances to the jet in η and in φ, less 0.5 and at most 0."""
    return {
        "etarel": np.clip(np.abs(eta - jets.eta[jet]) - 0.5, -2, 0),
        "phirel": np.clip(np.abs(wrapped(phi - jets.phi[jet])) - 0.5, -2, 0),
    }


def _four_vector(pt: np.ndarray, eta: np.ndarray, phi: np.ndarray, masses: float | np.ndarray) -> dict[str, np.ndarray]:
    """Momentum as it is stored, and the energy that goes with it and the mass, GeV."""
    pt, eta = significant(pt).astype(float), significant(eta).astype(float)
    return {"pt": pt, "eta": eta, "phi": phi, "e": np.hypot(pt * np.cosh(eta), masses)}
