"""The TFDS data set of jets as batches, and weights of jets. Only this package uses the builder in `tfds_jets`."""

import kerastag.backend  # noqa: F401  (before Keras is imported)
from kerastag.data.dataset import JetDataset, prepare
from kerastag.data.epochs import Share
from kerastag.data.simulated import paired, read_simulated, sample_of, variations_of
from kerastag.data.unlabelled import UnlabelledJets
from kerastag.data.varied import VariedJets
from kerastag.data.weights import KinematicWeights

__all__ = [
    "JetDataset",
    "KinematicWeights",
    "Share",
    "UnlabelledJets",
    "VariedJets",
    "paired",
    "prepare",
    "read_simulated",
    "sample_of",
    "variations_of",
]
