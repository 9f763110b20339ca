"""Taggers of CMS as Keras models from raw features to logits, which can be attacked, compared and exported.

    tagger = legacy.load("DeepCSV")

Architectures are built here. Only arrays of known names and shapes are read from the original files; nothing in them is run.
A tagger keeps its own classes, which attacks and evaluation add up to flavours, and it is frozen.
"""

import kerastag.backend  # noqa: F401  (before Keras is imported)

# isort: split

from pathlib import Path

import keras

from kerastag.legacy import weights
from kerastag.legacy.registry import TAGGERS, LegacyTagger, get, known


def list() -> tuple[LegacyTagger, ...]:
    """All legacy taggers."""
    return tuple(TAGGERS.values())


def load(name: str, weights_dir: str | Path | None = None, *, training: str | None = None) -> keras.Model:
    """A legacy tagger, from raw features `(batch, features)` in the order of its schema to the logits of its own classes.

    Args:
        name: A name in `list()`.
        weights_dir: Folder of weights, with the same paths as the source. None for the folder in the environment variable
            KERASTAG_WEIGHTS, or without it, for a download into the user's cache.
        training: Which of its trainings, where it has several: "nominal" or "ngm" of RobustParTAK4, NGM being adversarial.
            None if the name says it, as `RobustParTAK4-ngm` does, or for "nominal".

    Raises:
        UserError: if there is no such tagger or training, or its weights are missing and cannot be downloaded.
    """
    tagger = get(name, training)
    return tagger.build(weights.find(tagger, weights_dir))


def from_lwtnn(path: str | Path) -> keras.Model:
    """A sequential network of lwtnn as a tagger from raw inputs, `(batch, inputs)` in the order of the file, to logits.

    Its layer "inputs" holds names, offsets, scales and defaults of the inputs; values that are not finite become the default.

    Args:
        path: The JSON file.

    Raises:
        UserError: if the file is not such a network.
    """
    from kerastag.legacy import lwtnn

    return lwtnn.build(lwtnn.read(path), name=Path(path).stem)


__all__ = ["LegacyTagger", "from_lwtnn", "get", "known", "list", "load"]
