"""PFNano → inputs of DeepFlavour: its scores against those that CMS stored, and what goes wrong."""

from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot
from scipy import special, stats

from kerastag.errors import UserError
from kerastag.schema import DEEPFLAVOUR, PARTICLE_TRANSFORMER_AK4
from tfds_jets import pfnano, pfnano_objects, reading

SHARED = Path(__file__).parents[3] / "shared" / "data"
PFNANO = SHARED / "pfnano.root"
pytestmark = pytest.mark.skipif(not PFNANO.is_file(), reason="CMS's jets are not part of the repository")


@pytest.fixture(scope="module")
def converted(tmp_path_factory) -> Path:
    """The file made of PFNano's."""
    folder = tmp_path_factory.mktemp("pfnano") / "converted"
    assert pfnano.convert(PFNANO, folder) == 52
    (path,) = folder.iterdir()
    return path


def features(path: Path, schema) -> np.ndarray:
    """Features of all jets, float32 `(jets, features)`."""
    chunks = reading.read([reading.RootFile.of(path)], schema, "", reading.Cleaning.none(schema))
    return np.concatenate([chunk.features for chunk in chunks])


needs_weights = pytest.mark.skipif(not (SHARED / "cms").is_dir(), reason="CMS's weights are not part of the repository")


def probabilities(path: Path, schema, name: str) -> np.ndarray:
    """Those that a tagger of CMS gives to the jets of a file, `(jets, classes)`."""
    from kerastag import legacy

    logits = np.asarray(legacy.load(name, SHARED / "cms")(features(path, schema)))
    return special.softmax(logits, axis=1)


def scores(path: Path) -> np.ndarray:
    """Those of DeepFlavour that CMS stored, `(jets, classes)`."""
    with uproot.open(path) as file:
        stored = file["jets"].arrays(pfnano.SCORES, library="np")
    return np.stack([stored[name] for name in pfnano.SCORES], axis=1)


# Half a step of a probability just below 1 in numbers of 10 binary digits.
DIGITS = 2**-11


@needs_weights
def test_scores_are_those_that_cms_stored(converted):
    """To the digits of the file where no vertex is. Those with vertices are farther, most of all two of a TeV or more."""
    difference = np.abs(probabilities(converted, DEEPFLAVOUR, "DeepFlavour") - scores(converted)).max(axis=1)
    with uproot.open(converted) as file:
        vertices, pt = (file["jets"][name].array(library="np") for name in ("nsv", "jet_pt"))
    without, some = difference[vertices == 0], difference[vertices > 0]
    *others, second, worst = np.sort(some)
    for name, values in (("all", difference), ("no vertex", without), ("vertices", some), ("but two", np.array(others))):
        near = np.sum(values < DIGITS)
        print(f"{name}: median {np.median(values):.4f}, largest {values.max():.4f}, {near} of {len(values)} to 2^-11")
    assert (len(without), len(some)) == (32, 20)
    assert np.median(without) < DIGITS and np.quantile(without, 0.75) < DIGITS and without.max() < 0.01
    assert np.median(some) < 0.0035
    assert max(others) < 0.015
    assert worst < 0.06 and (pt[difference >= second] > 1000).all()


@needs_weights
@pytest.mark.parametrize(("training", "least"), [("nominal", 0.9), ("ngm", 0.88)])
def test_another_tagger_of_cms_orders_the_jets_nearly_as_the_stored_scores(converted, training, least):
    def ordered(of_classes):
        return np.log(of_classes[:, :3].sum(axis=1) / of_classes[:, 4:].sum(axis=1))

    found = ordered(probabilities(converted, PARTICLE_TRANSFORMER_AK4, f"RobustParTAK4-{training}"))
    rank = stats.spearmanr(found, ordered(scores(converted))).statistic
    print(f"RobustParTAK4-{training}: rank correlation of BvL with the stored DeepFlavour {rank:.2f}")
    assert least < rank < 0.99


def test_the_uncertainty_of_the_vertex_is_found_again():
    """The 2-D significances of tracks that DeepCSV lists were made with it."""
    rng = np.random.default_rng(0)
    d0, error, sip3d = rng.normal(0, 0.01, 200), rng.uniform(0.001, 0.01, 200), rng.normal(0, 3, 200)
    pair = {"d0": d0, "d0Err": error, "btagSip3dSig": sip3d, "jet": np.arange(200)}
    listed = {f"Jet_DeepCSV_trackSip{kind}dSig_{slot}": np.full(200, -999.0) for kind in (2, 3) for slot in range(6)}
    listed["Jet_DeepCSV_trackSip2dSig_0"] = d0 / np.hypot(error, 0.0004)
    listed["Jet_DeepCSV_trackSip3dSig_0"] = sip3d
    listed["Jet_DeepCSV_jetNSelectedTracks"] = np.ones(200)
    assert pfnano_objects._vertex_sigma(pair, listed) == pytest.approx(0.0004)
    listed["Jet_DeepCSV_jetNSelectedTracks"] = np.zeros(200)
    assert pfnano_objects._vertex_sigma(pair, listed) == 0


def test_significances_agree_with_those_of_deepcsv(converted):
    """The first track of DeepCSV is found among the candidates, with the same significance to half a per cent as a rule."""
    with uproot.open(PFNANO) as file:
        names = ["Jet_eta", "Jet_DeepCSV_trackSip2dSig_0", "Jet_DeepCSV_trackSip3dSig_0", "Jet_DeepCSV_jetNSelectedTracks"]
        stored = {name: ak.to_numpy(ak.flatten(file["Events"][name].array())) for name in names}
    inside = np.abs(stored["Jet_eta"]) < 2.5
    sip2d, sip3d, number = (stored[name][inside] for name in names[1:])
    with uproot.open(converted) as file:
        ours = file["jets"].arrays(["Cpfcan_BtagPf_trackSip2dSig", "Cpfcan_BtagPf_trackSip3dSig"])
    ratios = []
    for jet in np.flatnonzero((number > 0) & (sip2d > -1)):
        of_jet = ak.to_numpy(ours.Cpfcan_BtagPf_trackSip3dSig[jet])
        same = np.flatnonzero(np.abs(of_jet - sip3d[jet]) < 1e-3 * abs(sip3d[jet]))
        if len(same) == 1:
            ratios.append(ours.Cpfcan_BtagPf_trackSip2dSig[jet][same[0]] / sip2d[jet])
    assert len(ratios) > 20
    assert np.median(ratios) == pytest.approx(1, abs=0.005)
    assert np.mean(np.abs(np.array(ratios) - 1) < 0.05) > 0.9


def test_objects_are_in_the_order_of_cms(converted):
    with uproot.open(converted) as file:
        jets = file["jets"].arrays(["Cpfcan_BtagPf_trackSip2dSig", "Npfcan_drminsv", "sv_dxysig", "nCpfcand", "nCpfcan"])
    assert ak.all(jets.Cpfcan_BtagPf_trackSip2dSig[:, 1:] <= jets.Cpfcan_BtagPf_trackSip2dSig[:, :-1])
    assert ak.all(jets.Npfcan_drminsv[:, 1:] >= jets.Npfcan_drminsv[:, :-1])
    assert ak.all(jets.sv_dxysig[:, 1:] <= jets.sv_dxysig[:, :-1])
    assert ak.all(jets.nCpfcand == jets.nCpfcan)


def test_four_vectors_of_both_schemas_make_sense(converted):
    x = features(converted, PARTICLE_TRANSFORMER_AK4)
    px, py, pz, e = (x[:, PARTICLE_TRANSFORMER_AK4.index(f"Cpfcan_{name}_0")] for name in ("px", "py", "pz", "e"))
    filled = e > 0
    assert filled.sum() > 40
    np.testing.assert_allclose(np.sqrt(px**2 + py**2 + pz**2)[filled], e[filled], rtol=0.03)
    assert np.hypot(px, py)[filled].min() >= 0.95


def test_a_file_without_candidates_is_refused(tmp_path):
    nano = SHARED / "nano_tt_v15.root"
    with pytest.raises(UserError, match="no PFNano file"):
        pfnano.convert(nano, tmp_path / "target")
    with pytest.raises(UserError, match="There is no ROOT file"):
        pfnano.convert(tmp_path, tmp_path / "target")
    (tmp_path / "there").mkdir()
    with pytest.raises(UserError, match="exists already"):
        pfnano.convert(PFNANO, tmp_path / "there")
    (tmp_path / "broken.root").write_bytes(b"no ROOT file")
    with pytest.raises(UserError, match="cannot be read"):
        pfnano.convert(tmp_path / "broken.root", tmp_path / "target")
    assert not (tmp_path / "target").exists()
