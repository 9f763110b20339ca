"""Every Keras layer of ours. Importing this package registers them all, so that stored taggers can be loaded."""

import kerastag.backend  # noqa: F401  (before Keras is imported)
from kerastag.layers.class_logits import ClassLogits, FlavourLogits
from kerastag.layers.deep_flavour import AbsentTogether
from kerastag.layers.edges import EdgeFeatures
from kerastag.layers.jetclass_inputs import JetClassInputs
from kerastag.layers.kinematics import Kinematics
from kerastag.layers.lipschitz import GroupSort, NormedDense
from kerastag.layers.lwtnn_inputs import LwtnnInputs
from kerastag.layers.mending import Mend
from kerastag.layers.objects import SplitGroups, split_columns
from kerastag.layers.particle_transformer import ClassToken, PairAttention, PairFeatures, Scale
from kerastag.layers.particle_transformer_ak4 import PairFeaturesAK4, PairMatrix
from kerastag.layers.preprocessing import PresenceFlags, SelectFeatures, Standardize, symlog
from kerastag.layers.track_quantities import TrackQuantities

__all__ = [
    "AbsentTogether",
    "ClassLogits",
    "ClassToken",
    "EdgeFeatures",
    "FlavourLogits",
    "GroupSort",
    "JetClassInputs",
    "Kinematics",
    "LwtnnInputs",
    "Mend",
    "NormedDense",
    "PairAttention",
    "PairFeatures",
    "PairFeaturesAK4",
    "PairMatrix",
    "PresenceFlags",
    "Scale",
    "SelectFeatures",
    "SplitGroups",
    "Standardize",
    "TrackQuantities",
    "split_columns",
    "symlog",
]
