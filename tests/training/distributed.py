"""Trainings on the devices that the environment names, for tests: `DATA_DIR OUTPUT NAME…`.

DEVICES=2 divides the CPU, TF_CONFIG names workers. Each process writes weights and history, `NAME-<worker>.npz` and `.json`.
With STREAMED training jets do not fit in memory; one process then trains on the batches that two workers stream together.
"""

import atexit
import json
import os
import sys
from pathlib import Path

import tensorflow as tf

if devices := int(os.environ.get("DEVICES", "0")):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)

import keras
import numpy as np

from kerastag import data
from kerastag.attacks import PGD, ThreatModel
from kerastag.data import JetDataset, Share
from kerastag.layers import Mend, Standardize
from kerastag.recipes import Settings
from kerastag.training import TRADES
from kerastag.training.distribution import find
from kerastag.training.fitting import fit


def plain(schema, statistics):
    """A network without anything random."""
    inputs = keras.Input((len(schema.features),))
    x = Standardize.robust(schema, statistics)(Mend.from_schema(schema)(inputs))
    return keras.Model(inputs, keras.layers.Dense(len(schema.classes))(keras.layers.Dense(8, "elu")(x)))


NOTED = []


def noted(schema, statistics):
    """The same; the weights that the last one has when the process ends go into a file here, named by the number of a pod."""
    NOTED.append(plain(schema, statistics))
    return NOTED[-1]


@atexit.register
def note():
    """Write them."""
    if NOTED:
        np.savez(f"{os.environ['JOB_COMPLETION_INDEX']}.npz", *NOTED[-1].get_weights())


@keras.saving.register_keras_serializable("kerastag_tests")
class StillTRADES(TRADES):
    """TRADES from a start that is not random."""

    def __init__(self, threat_model: ThreatModel):
        super().__init__(PGD(threat_model, steps=2, random_start=False, try_corner=False, objective="+BvL"))

    def get_config(self):
        return {"threat_model": keras.saving.serialize_keras_object(self.attack.threat_model)}


# Batches of 240 jets; 9 steps an epoch of about 2,160.
OPTIONS = {
    "config": "jet_flavor",
    "model": "tests.training.distributed:plain",
    "epochs": 2,
    "batch_size": 240,
    "learning_rate": 1e-3,
    "select": "val_BvL_auc_fgsm",
    "paper": True,  # its box is the quickest to trace
}
KINDS = {
    "nominal": {},
    "fgsm": {"defense": "fgsm"},
    "input-gradient": {"defense": "input-gradient"},
    "cure": {"defense": "cure"},
    "trades": {"defense": "tests.training.distributed:StillTRADES"},
    "crown-ibp": {"defense": "crown-ibp", "paper": False},
    "sam": {"defense": "sam"},
    "awp": {"defense": "awp"},
    "ema": {"defense": "fgsm", "ema": 0.9},
}


class Streamed(JetDataset):
    """A data set that does not fit in memory."""

    def fits_in_memory(self, split):
        return False

    def arrays(self, split):
        assert split != "train", "training jets are read into memory"
        return super().arrays(split)


class StreamedByTwo(Streamed):
    """Of which one process reads what two workers read together."""

    shares = [Share(worker, 2) for worker in range(2)]

    def steps(self, split, batch_size, share, in_memory):
        return super().steps(split, batch_size, self.shares[0], in_memory)

    def batches(self, *arguments, share, **options):
        first, second = (super(StreamedByTwo, self).batches(*arguments, share=one, **options) for one in self.shares)
        both = tf.data.Dataset.zip(first, second)
        return both.map(lambda *batches: tf.nest.map_structure(lambda *parts: tf.concat(parts, axis=0), *batches))


def main(data_dir, output, *names):
    """Train."""
    distribution = find("mirrored" if devices else "auto")
    dataset = data.prepare("jet_flavor", data_dir=data_dir, build=False)
    if "STREAMED" in os.environ:
        dataset = (StreamedByTwo if distribution.workers == 1 else Streamed)(dataset._builder)
    for name in names:
        keras.utils.set_random_seed(0)
        folder = Path(output) / name
        settings = Settings.resolve(OPTIONS | KINDS[name] | {"data_dir": data_dir})
        tagger, state = fit(settings, dataset, folder, distribution=distribution)
        np.savez(folder.parent / f"{name}-{distribution.worker}.npz", *tagger.get_weights())
        (folder.parent / f"{name}-{distribution.worker}.json").write_text(json.dumps(state.history))


if __name__ == "__main__":
    main(*sys.argv[1:])
