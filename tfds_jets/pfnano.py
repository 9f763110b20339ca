"""CMS PFNano → ROOT files with the inputs of DeepFlavour and of RobustParTAK4, which both schemas read.

PFNano lists candidates and vertices in the event, and stores values with 10 binary digits. Most inputs are stored or follow
from what is stored. For the rest:

* The 2-D significance of candidates is |d0| over its uncertainty and that of the primary vertex. The latter is found from the
  tracks that DeepCSV lists, whose significance is stored; it is one number for a chunk of events.
* The hadronic fraction of neutral hadrons is not stored and taken to be 1. Jets beyond |η| = 2.5, where others occur, are left
  out.
* Vertices that NanoAOD does not list have the angle to the jet in φ and in all. On which side in η they lie is told by the same
  vertex in an AK8 jet, and where there is none they are taken to lie at the η of the jet.
* Momentum along and across the jet, and small ΔR, come from the stored ratio, which is finer than the directions.

CMS had the jet before calibration when it computed these scores.
"""

from pathlib import Path

import awkward as ak
import numpy as np
import uproot

from kerastag import outputs
from kerastag.errors import UserError
from kerastag.files import replaced
from kerastag.schema import DEEPFLAVOUR
from kerastag.schema.deepcsv import PREFIX
from kerastag.schema.deepflavour import TAG_PREFIX
from tfds_jets import pfnano_objects

_EVENTS = 20_000  # read at once
_MAXIMUM_ETA = 2.5
# What CMS made of the same jets, kept beside the inputs.
SCORES = tuple(f"Jet_btagDeepFlav{name}" for name in ("B_b", "B_bb", "B_lepb", "C", "UDS", "G"))
_TAGS = {feature.branch: PREFIX + feature.name for feature in DEEPFLAVOUR.features if feature.branch.startswith(TAG_PREFIX)}


def convert(source: Path, target: Path) -> int:
    """Convert all PFNano files below `source` into the new folder `target`.

    Args:
        source: Folder of ROOT files, or a file.
        target: Folder to make; it appears only when complete.

    Returns:
        Number of jets.

    Raises:
        UserError: if `target` exists, there is no file, or a file lacks a branch.
    """
    if target.exists():
        raise UserError(f"'{target}' exists already; choose another folder.")
    files = [source] if source.is_file() else sorted(source.rglob("*.root"))
    if not files:
        raise UserError(f"There is no ROOT file in '{source}'.")
    jets = 0
    with replaced(target) as new:
        new.mkdir()
        for number, path in enumerate(files):
            jets += _convert_file(path, new / f"{number:04d}_{path.name}")
    return jets


def _convert_file(path: Path, target: Path) -> int:
    """Convert one file; return its number of jets."""
    jets = 0
    try:
        with uproot.open(path) as file, uproot.recreate(target, compression=uproot.LZMA(6)) as new:
            tree = None
            known = set(file["Events"].keys())
            needed = [*pfnano_objects.BRANCHES, *_TAGS.values(), "event", "PV_npvs", "Jet_hadronFlavour", "Jet_partonFlavour"]
            if absent := [name for name in needed if name not in known]:
                raise UserError(f"'{path}' has no '{absent[0]}'; it is no PFNano file with candidates, truth and DeepCSV.")
            wanted = [*needed, *known.intersection((*pfnano_objects.FAT_JETS, *SCORES, "genWeight"))]
            for events in file["Events"].iterate(wanted, step_size=_EVENTS):
                content = jets_of(events)
                if tree is None:
                    tree = new.mktree("jets", {name: values.type.content for name, values in content.items()})
                tree.extend(content)
                jets += len(content["event"])
    except (OSError, uproot.KeyInFileError) as error:
        raise UserError(
            f"'{path}' cannot be read: {outputs.sentence(error) if isinstance(error, OSError) else error}."
        ) from error
    return jets


def jets_of(events: ak.Array) -> dict[str, ak.Array]:
    """Branches of the jets of some events: values of jets, and records of candidates and vertices.

    Args:
        events: PFNano's branches.
    """
    jets = {name: ak.to_numpy(ak.flatten(events[name])) for name in events.fields if name.startswith("Jet_")}
    counts = ak.to_numpy(ak.num(events.Jet_pt))
    objects = pfnano_objects.objects_of(events, jets, counts)
    event = np.repeat(ak.to_numpy(events.event).astype(np.int64), counts)
    columns = {
        "event": event,
        "event_no": event,
        "jet_pt": jets["Jet_pt"] * (1 - jets["Jet_rawFactor"]),
        "jet_eta": jets["Jet_eta"],
        "npv": np.repeat(ak.to_numpy(events.PV_npvs), counts),
        "nCpfcand": objects["Cpfcan"].counts,
        "nNpfcand": objects["Npfcan"].counts,
        "jet_hadron_flavour": jets["Jet_hadronFlavour"],
        "jet_parton_flavour": jets["Jet_partonFlavour"],
        **_flags(jets["Jet_hadronFlavour"], np.abs(jets["Jet_partonFlavour"])),
        **{name: jets[stored] for name, stored in _TAGS.items()},
        **{name: jets[name] for name in SCORES if name in jets},
    }
    if "genWeight" in events.fields:
        columns["generator_weight"] = np.repeat(ak.to_numpy(events.genWeight), counts)
    inside = np.abs(jets["Jet_eta"]) < _MAXIMUM_ETA
    content = {name: ak.Array(values[inside]) for name, values in columns.items()}
    return content | {kind: of_kind.record()[inside] for kind, of_kind in objects.items()}


def _flags(hadron: np.ndarray, parton: np.ndarray) -> dict[str, np.ndarray]:
    """CMS's flags of flavour from those of hadrons and partons; light jets of no known parton are `isUD`."""
    light = hadron == 0
    flags = {"isB": hadron == 5, "isC": hadron == 4, "isS": light & (parton == 3), "isG": light & (parton == 21)}
    flags["isUD"] = light & ~flags["isS"] & ~flags["isG"]
    none = dict.fromkeys(("isBB", "isGBB", "isLeptonicB", "isLeptonicB_C", "isCC", "isGCC"), np.zeros(len(hadron), bool))
    return {name: values.astype(np.int32) for name, values in (flags | none).items()}
