import keras
import numpy as np
import pytest

from kerastag.attacks import FGSM, ThreatModel, attacked_features
from kerastag.schema import JET_FLAVOR
from tfds_jets import reading
from tfds_jets.tfds_jets_dataset_builder import SAMPLE_FILE


@pytest.fixture(scope="package")
def attacked():
    """Some jets of the sample that comes along, and the same after FGSM in the physical box on an untrained network."""
    keras.utils.set_random_seed(0)
    jets = next(reading.read([reading.RootFile.of(SAMPLE_FILE)], JET_FLAVOR, "", reading.Cleaning.none(JET_FLAVOR)))
    x, y = jets.features[:3000], np.eye(3, dtype=np.float32)[jets.label[:3000]]
    sigma = x.std(axis=0) + 1e-12
    tagger = keras.Sequential(
        [keras.Input((x.shape[1],)), keras.layers.Rescaling(1 / sigma), keras.layers.Dense(16, "elu"), keras.layers.Dense(3)]
    )
    attack = FGSM(ThreatModel.from_schema(JET_FLAVOR, sigma, 0.01))
    moved = attacked_features(tagger, x, y, attack)
    assert attack.nonfinite_gradients == 0
    return x, moved


def slots(x, name):
    """Cells of a variable of tracks, float64 `(jets, slots)`."""
    return np.stack([x[:, JET_FLAVOR.index(f"track_{slot}_{name}")] for slot in range(6)], axis=1).astype(np.float64)
