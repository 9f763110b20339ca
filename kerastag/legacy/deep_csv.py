"""DeepCSV of CMS (Phase 1): five dense layers of 100.

Reference: CMS, JINST 13 (2018) P05011, arXiv:1712.07158, section 5.1.
"""

from pathlib import Path

import keras
import numpy as np

from kerastag.errors import UserError
from kerastag.legacy import lwtnn
from kerastag.schema import DEEPCSV


def build(path: Path, classes: tuple[str, ...], name: str) -> keras.Model:
    """The tagger from raw features `(batch, 66)` to logits `(batch, 4)`.

    An absent value becomes the default of the file, 0, before offset and scale. The quantities "above charm" are an exception:
    the network was trained with their default of -1.

    Args:
        path: The JSON file.
        classes: Names of the logits.
        name: Name of the model.

    Raises:
        UserError: if the file is not that of DeepCSV.
    """
    network = lwtnn.read(path)
    if network.inputs != DEEPCSV.names:
        raise UserError(f"'{path}' is another network: its inputs are not those of {DEEPCSV.name}.")
    above_charm = np.array([feature.group == "charm" for feature in DEEPCSV.features])
    model = lwtnn.build(network, np.where(above_charm, np.nan, DEEPCSV.defaults), name)
    if model.layers[-1].class_names != classes:
        raise UserError(f"'{path}' is another network: its outputs are {', '.join(network.outputs)}.")
    model.trainable = False
    return model
