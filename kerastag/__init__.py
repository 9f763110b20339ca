"""kerastag: jet flavour taggers in Keras that withstand attacks, tested against mismodelling.

Importing this package is cheap; TensorFlow is loaded by the parts that need it.
"""

import importlib
import os
from typing import Any

__version__ = "0.1.0"

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

# Public names, by the modules that hold them.
LAZY = {
    "AdversarialTagger": "kerastag.training",
    "FGSM": "kerastag.attacks",
    "PAPER": "kerastag.attacks",
    "PGD": "kerastag.attacks",
    "Physics": "kerastag.attacks",
    "ThreatModel": "kerastag.attacks",
    "from_preset": "kerastag.saving.taggers",
    "load": "kerastag.saving",
}


def __getattr__(name: str) -> Any:
    """Import the public names on first use."""
    if name in LAZY:
        importlib.import_module("kerastag.backend")  # before Keras is imported
        return getattr(importlib.import_module(LAZY[name]), name)
    raise AttributeError(f"module 'kerastag' has no attribute '{name}'")


__all__ = ["FGSM", "PAPER", "PGD", "AdversarialTagger", "Physics", "ThreatModel", "__version__", "from_preset", "load"]
