"""kerastag: jet flavour taggers in Keras that withstand mismodelling.

Importing this package is cheap; TensorFlow is loaded by the parts that need it.
"""

import importlib
import os
import sys

__version__ = "0.1.0"

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
if os.environ["KERAS_BACKEND"] != "tensorflow":
    raise ImportError(
        f"kerastag needs Keras' TensorFlow backend; set KERAS_BACKEND=tensorflow (it is '{os.environ['KERAS_BACKEND']}')."
    )
if "keras" in sys.modules and sys.modules["keras"].config.backend() != "tensorflow":
    raise ImportError("kerastag needs Keras' TensorFlow backend, but Keras is already imported with another one.")

_LAZY = {
    "AdversarialTagger": "kerastag.training",
    "FGSM": "kerastag.attacks",
    "PGD": "kerastag.attacks",
    "ThreatModel": "kerastag.attacks",
    "load": "kerastag.saving",
}


def __getattr__(name: str):
    """Import the public names on first use."""
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'kerastag' has no attribute '{name}'")


__all__ = ["FGSM", "PGD", "AdversarialTagger", "ThreatModel", "__version__", "load"]
