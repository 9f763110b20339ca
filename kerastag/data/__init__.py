"""The TFDS data set of jets as batches, and weights of jets. This is where kerastag uses `tfds_jets`."""

from kerastag.data.dataset import JetDataset, load, prepare
from kerastag.data.weights import KinematicWeights

__all__ = ["JetDataset", "KinematicWeights", "load", "prepare"]
