"""Candidates and secondary vertices of PFNano's jets as CMS's taggers take them; see `tfds_jets.pfnano`."""

import dataclasses

import awkward as ak
import numpy as np

from kerastag.schema.deepcsv import PREFIX, TRACK_SLOTS

_RADIUS = 0.4
_MINIMUM_PT = 0.95  # GeV
_PHOTON, _NEUTRAL_HADRON = 22, 130
_FINE = 0.1  # ΔR below which the stored ratio of momenta tells more than the directions do
_ROUNDING = 2e-3  # of stored values, relative, with a margin
_WELL_MEASURED = 0.003  # σ of d0, cm, below which that of the vertex can be seen

_CANDIDATES = (
    "pt",
    "eta",
    "phi",
    "mass",
    "d0",
    "d0Err",
    "charge",
    "pdgId",
    "pvAssocQuality",
    "trkChi2",
    "trkQuality",
    "puppiWeight",
)
_PAIRS = ("pFCandsIdx", "jetIdx", "btagEtaRel", "btagPtRatio", "btagSip3dVal", "btagSip3dSig", "btagJetDistVal")
_VERTICES = ("pt", "mass", "ntracks", "chi2", "normchi2", "dxy", "dxysig", "d3d", "d3dsig", "costhetasvpv")
_OF_JETS = ("enration", "deltaR", "phirel", "jetIdx", "sVIdx")
BRANCHES = (
    *(f"Jet_{name}" for name in ("pt", "eta", "phi", "rawFactor")),
    *(f"PFCands_{name}" for name in _CANDIDATES),
    *(f"JetPFCands_{name}" for name in _PAIRS),
    *(f"JetSVs_{name}" for name in (*_VERTICES, *_OF_JETS)),
    *("SV_eta", "SV_phi"),
    *(f"{PREFIX}trackSip{kind}dSig_{slot}" for kind in (2, 3) for slot in range(TRACK_SLOTS)),
    PREFIX + "jetNSelectedTracks",
)
# Those that tell on which side of a jet a vertex lies, where a file has them.
FAT_JETS = ("FatJet_eta", "FatJet_phi", *(f"FatJetSVs_{name}" for name in ("mass", "chi2", "deltaR", "jetIdx")))


@dataclasses.dataclass
class Objects:
    """Objects of jets of one kind.

    Attributes:
        counts: int64 `(jets,)`, objects of each jet.
        columns: Branches by name without the prefix of the kind, each `(objects,)`, ordered by jet.
    """

    counts: np.ndarray
    columns: dict[str, np.ndarray]

    def record(self) -> ak.Array:
        """A list of records for each jet."""
        return ak.unflatten(ak.zip({name: np.asarray(values) for name, values in self.columns.items()}), self.counts)


@dataclasses.dataclass
class _Directions:
    """Where the vertices of events fly, a list for each event.

    Attributes:
        eta: Pseudorapidity.
        phi: Azimuth.
    """

    eta: ak.Array
    phi: ak.Array

    def nearest(self, eta: ak.Array, phi: ak.Array) -> np.ndarray:
        """Distance of each object of the events to the nearest vertex, less 0.4 and at most 0, flat `(objects,)`."""
        ours, theirs = ak.unzip(ak.cartesian([ak.zip([eta, phi]), ak.zip([self.eta, self.phi])], nested=True))
        distance = np.hypot(ours["0"] - theirs["0"], _wrapped(ours["1"] - theirs["1"]))
        smallest = ak.to_numpy(ak.flatten(ak.fill_none(ak.min(distance, axis=-1), _RADIUS)))
        return np.minimum(smallest, _RADIUS) - _RADIUS


def objects_of(events: ak.Array, jets: dict[str, np.ndarray], counts: np.ndarray) -> dict[str, Objects]:
    """Candidates and vertices of the jets of some events.

    Args:
        events: PFNano's branches.
        jets: Flat branches `Jet_*`, `(jets,)` each.
        counts: int64 `(events,)`, jets of each event.

    Returns:
        Objects by `Cpfcan`, `Npfcan` and `sv`.
    """
    vertex = {name: _flat(events[f"JetSVs_{name}"]) for name in (*_VERTICES, *_OF_JETS)}
    vertex["jet"] = _of_event(events.JetSVs_jetIdx, counts)
    vertex["eta"], vertex["phi"] = _vertex_directions(events, jets, vertex)
    every = [ak.unflatten(vertex[name], ak.num(events.JetSVs_jetIdx)) for name in ("eta", "phi")]
    listed = events.SV_eta, events.SV_phi
    directions = _Directions(*(ak.concatenate([one, other], axis=1) for one, other in zip(listed, every, strict=True)))
    pair = _pairs(events, jets, counts, directions)
    charged, neutral = (pair[name] for name in ("charged", "neutral"))
    made = {"Cpfcan": _charged(charged, jets, _vertex_sigma(charged, jets)), "Npfcan": _neutral(neutral, jets)}
    number = len(jets["Jet_pt"])
    made["sv"] = _vertices(vertex, jets)
    return {kind: Objects(np.bincount(columns.pop("jet"), minlength=number), columns) for kind, columns in made.items()}


def _pairs(
    events: ak.Array, jets: dict[str, np.ndarray], counts: np.ndarray, directions: _Directions
) -> dict[str, dict[str, np.ndarray]]:
    """Pairs of a jet and a candidate of 0.95 GeV or more, flat: charged and neutral ones."""
    index = events.JetPFCands_pFCandsIdx
    pair = {name: _flat(events[f"PFCands_{name}"][index]) for name in _CANDIDATES}
    pair |= {name: _flat(events[f"JetPFCands_{name}"]) for name in _PAIRS}
    pair["jet"] = _of_event(events.JetPFCands_jetIdx, counts)
    pair["drminsv"] = directions.nearest(events.PFCands_eta[index], events.PFCands_phi[index])
    pair["delta_eta"] = pair["eta"] - jets["Jet_eta"][pair["jet"]]
    pair["delta_phi"] = _wrapped(pair["phi"] - jets["Jet_phi"][pair["jet"]])
    hard = pair["pt"] >= _MINIMUM_PT
    kinds = {"charged": hard & (pair["charge"] != 0), "neutral": hard & (pair["charge"] == 0)}
    return {kind: {name: values[rows] for name, values in pair.items()} for kind, rows in kinds.items()}


def _charged(pair: dict[str, np.ndarray], jets: dict[str, np.ndarray], sigma: float) -> dict[str, np.ndarray]:
    """Charged candidates by descending 2-D significance, with the `jet` of each; `sigma` is that of the primary vertex, cm."""
    momentum = pair["pt"] * np.cosh(pair["eta"])
    ratio = pair["btagPtRatio"]
    along = np.sqrt(np.maximum(1 - ratio**2, 0.0))
    coarse = np.hypot(pair["delta_eta"], pair["delta_phi"])
    fine = ratio * np.cosh(pair["eta"] - pair["delta_eta"] / 2)
    value = np.where(pair["d0Err"] > 0, _sign(pair) * np.abs(pair["d0"]), 0.0)
    significance = value / np.hypot(np.where(pair["d0Err"] > 0, pair["d0Err"], 1.0), sigma)
    columns = {
        "BtagPf_trackEtaRel": np.clip(pair["btagEtaRel"], -5, 15),
        "BtagPf_trackPtRel": np.clip(ratio * momentum, -1, 4),
        "BtagPf_trackPPar": along * momentum,
        "BtagPf_trackDeltaR": np.where(coarse < _FINE, fine, coarse),
        "BtagPf_trackPParRatio": along,
        "BtagPf_trackSip2dVal": np.clip(value, -1, 70),
        "BtagPf_trackSip2dSig": np.clip(significance, -1, 4e4),
        "BtagPf_trackSip3dVal": np.clip(pair["btagSip3dVal"], -1, 1e5),
        "BtagPf_trackSip3dSig": np.clip(np.nan_to_num(pair["btagSip3dSig"], nan=0.0), -1, 4e4),
        "BtagPf_trackJetDistVal": np.clip(pair["btagJetDistVal"], -20, 1),
        "ptrel": _relative_pt(pair, jets),
        "drminsv": pair["drminsv"],
        "VTX_ass": pair["pvAssocQuality"],
        "puppiw": pair["puppiWeight"],
        "chi2": pair["trkChi2"],
        "quality": pair["trkQuality"],
        **_four_vector(pair),
        "jet": pair["jet"],
    }
    return _ordered(columns, pair["drminsv"], -significance)


def _neutral(pair: dict[str, np.ndarray], jets: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Neutral candidates by their distance to the nearest vertex, with the `jet` of each."""
    columns = {
        "ptrel": _relative_pt(pair, jets),
        "etarel": np.minimum(np.abs(pair["delta_eta"]) - 0.5, 0.0),
        "phirel": np.minimum(np.abs(pair["delta_phi"]) - 0.5, 0.0),
        "deltaR": np.minimum(np.hypot(pair["delta_eta"], pair["delta_phi"]) - 0.6, 0.0),
        "isGamma": (pair["pdgId"] == _PHOTON).astype(np.int32),
        "HadFrac": np.where(pair["pdgId"] == _NEUTRAL_HADRON, 1.0, 0.0),
        "drminsv": pair["drminsv"],
        "puppiw": pair["puppiWeight"],
        **_four_vector(pair),
        "jet": pair["jet"],
    }
    return _ordered(columns, -pair["pt"], pair["drminsv"])


def _vertices(vertex: dict[str, np.ndarray], jets: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Vertices by descending transverse significance, with the `jet` of each."""
    jet = vertex["jet"]
    columns = {name: vertex[name] for name in _VERTICES}
    columns["normchi2"] = np.clip(vertex["normchi2"], -1000, 1000)
    columns |= {name: np.clip(vertex[name], -1, 800) for name in ("dxysig", "d3dsig")}
    columns["deltaR"] = np.minimum(vertex["deltaR"], 0.0)
    columns["etarel"] = np.minimum(np.abs(vertex["eta"] - jets["Jet_eta"][jet]) - 0.5, 0.0)
    columns["phirel"] = np.minimum(np.abs(vertex["phirel"]) - 0.5, 0.0)
    columns["enratio"] = vertex["enration"] / (1 - jets["Jet_rawFactor"][jet])
    return _ordered(columns | _four_vector(vertex) | {"jet": jet}, -vertex["dxysig"])


def _vertex_directions(
    events: ak.Array, jets: dict[str, np.ndarray], vertex: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """η and φ of the vertices in jets: those listed, or from angles to the jet."""
    jet, listed = vertex["jet"], vertex["sVIdx"] >= 0
    phi = _wrapped(jets["Jet_phi"][jet] + vertex["phirel"])
    away = np.sqrt(np.maximum((vertex["deltaR"] + 0.5) ** 2 - vertex["phirel"] ** 2, 0.0))
    eta = jets["Jet_eta"][jet] + away * _side(events, jets["Jet_eta"][jet], away, phi, vertex)
    index = ak.mask(events.JetSVs_sVIdx, events.JetSVs_sVIdx >= 0)
    known = [ak.to_numpy(ak.flatten(ak.fill_none(events[f"SV_{name}"][index], 0.0))) for name in ("eta", "phi")]
    return np.where(listed, known[0], eta), np.where(listed, known[1], phi)


def _side(
    events: ak.Array, jet_eta: np.ndarray, away: np.ndarray, phi: np.ndarray, vertex: dict[str, np.ndarray]
) -> np.ndarray:
    """On which side in η of its jet each vertex lies, +1 or -1, by the same vertex in an AK8 jet; 0 if there is none.

    Args:
        events: PFNano's branches.
        jet_eta: `(vertices,)`, η of the jet.
        away: `(vertices,)`, distance in η from it.
        phi: `(vertices,)`, azimuth of the vertex.
        vertex: Flat branches of the vertices.
    """
    if not set(FAT_JETS) <= set(events.fields):
        return np.zeros(len(phi))
    counts = ak.num(events.JetSVs_jetIdx)
    fat = events.FatJetSVs_jetIdx
    theirs = ak.zip(
        {
            "mass": events.FatJetSVs_mass,
            "chi2": events.FatJetSVs_chi2,
            "distance": events.FatJetSVs_deltaR + 0.5,
            "eta": events.FatJet_eta[fat],
            "phi": events.FatJet_phi[fat],
        }
    )
    values = {"mass": vertex["mass"], "chi2": vertex["chi2"], "eta": jet_eta, "away": away, "phi": phi}
    ours = ak.unflatten(ak.zip(values), counts)
    one, other = ak.unzip(ak.cartesian([ours, theirs], nested=True))
    same = np.ones_like(other.mass) > 0
    for name in ("mass", "chi2"):
        same = same & (abs(one[name] - other[name]) < _ROUNDING * abs(other[name]))
    misses = []
    for side in (1, -1):
        distance = np.hypot(one.eta + side * one.away - other.eta, _wrapped(one.phi - other.phi))
        miss = ak.min(ak.mask(abs(distance - other.distance), same), axis=-1)
        misses.append(ak.to_numpy(ak.flatten(ak.fill_none(miss, 0.0))))
    return np.sign(misses[1] - misses[0])


def _vertex_sigma(pair: dict[str, np.ndarray], jets: dict[str, np.ndarray]) -> float:
    """Transverse uncertainty of primary vertices, cm: the median over tracks that DeepCSV lists; 0 if there are none.

    A track is recognised by its 3-D significance, of which both lists have the same digits.
    """
    variances = [np.zeros(0)]
    for slot in range(TRACK_SLOTS):
        sip2d, sip3d = (jets[f"{PREFIX}trackSip{kind}dSig_{slot}"][pair["jet"]] for kind in (2, 3))
        same = np.abs(pair["btagSip3dSig"] - sip3d) <= _ROUNDING / 2 * np.abs(sip3d)
        same &= jets[PREFIX + "jetNSelectedTracks"][pair["jet"]] > slot
        same &= (pair["d0Err"] > 0) & (pair["d0Err"] < _WELL_MEASURED) & (sip2d != 0)
        variances.append((pair["d0"][same] / sip2d[same]) ** 2 - pair["d0Err"][same] ** 2)
    found = np.concatenate(variances)
    return float(np.sqrt(max(np.median(found), 0.0))) if len(found) else 0.0


def _sign(pair: dict[str, np.ndarray]) -> np.ndarray:
    """+1 where the point of closest approach lies in the half plane of the jet, else -1; `(pairs,)`."""
    return np.where(-pair["d0"] * np.sin(pair["delta_phi"]) >= 0, 1, -1)


def _relative_pt(pair: dict[str, np.ndarray], jets: dict[str, np.ndarray]) -> np.ndarray:
    raw = jets["Jet_pt"] * (1 - jets["Jet_rawFactor"])
    return np.clip(pair["pt"] / raw[pair["jet"]] - 1, -1, 0)


def _four_vector(objects: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    energy = np.hypot(objects["pt"] * np.cosh(objects["eta"]), np.maximum(objects["mass"], 0.0))
    return {name: objects[name] for name in ("pt", "eta", "phi")} | {"e": energy}


def _ordered(columns: dict[str, np.ndarray], *keys: np.ndarray) -> dict[str, np.ndarray]:
    """Columns sorted by jet, then by ascending keys, the last first; reals as float32."""
    order = np.lexsort((*keys, columns["jet"]))
    made = {name: values[order] for name, values in columns.items()}
    return {name: values.astype(np.float32) if values.dtype.kind == "f" else values for name, values in made.items()}


def _flat(values: ak.Array) -> np.ndarray:
    """All values of all events; reals as float64."""
    flat = ak.to_numpy(ak.flatten(values))
    return flat.astype(np.float64) if flat.dtype.kind == "f" else flat


def _of_event(index: ak.Array, counts: np.ndarray) -> np.ndarray:
    """Number of the jet among all from its number in the event, int64 `(objects,)`."""
    return ak.to_numpy(ak.flatten(index + (np.cumsum(counts) - counts)))


def _wrapped(phi: np.ndarray | ak.Array) -> np.ndarray | ak.Array:
    """Angles moved into [-π, π)."""
    return (phi + np.pi) % (2 * np.pi) - np.pi
