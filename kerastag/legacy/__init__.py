"""Taggers that CMS ran, as Keras models from raw features to logits, so that they can be attacked, compared and exported.

    tagger = legacy.load("DeepCSV")

Architectures are built here; of the original files arrays of known names and shapes are read, and nothing is run. A tagger
keeps its own classes, which attacks and evaluation add up to flavours. It is frozen.
"""

from pathlib import Path

import keras

from kerastag.legacy import weights
from kerastag.legacy.registry import TAGGERS, LegacyTagger, get


def list() -> tuple[LegacyTagger, ...]:
    """All legacy taggers: names, schemas, classes, sources and references."""
    return tuple(TAGGERS.values())


def load(name: str, weights_dir: str | Path | None = None) -> keras.Model:
    """A legacy tagger, from raw features `(batch, features)` in the order of its schema to the logits of its own classes.

    Args:
        name: A name in `list()`.
        weights_dir: Folder of weights, with the paths of the source below it; by default the environment variable
            KERASTAG_WEIGHTS names one, and without it the file is downloaded once into the user's cache.

    Raises:
        UserError: if there is no such tagger, or its weights cannot be had.
    """
    tagger = get(name)
    return tagger.build(weights.find(tagger, weights_dir))


def from_lwtnn(path: str | Path) -> keras.Model:
    """A tagger from any sequential network of lwtnn: raw inputs in the file's order to logits.

    Its layer "inputs" holds names, offsets, scales and defaults of the inputs; values that are not finite become the default.

    Raises:
        UserError: if the file is no such network.
    """
    from kerastag.legacy import lwtnn

    return lwtnn.build(lwtnn.read(path), name=Path(path).stem)


__all__ = ["LegacyTagger", "from_lwtnn", "get", "list", "load"]
