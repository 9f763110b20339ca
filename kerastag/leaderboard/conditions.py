"""What a tagger must be like to be entered: outputs finite and the same each time, and gradients that attacks can follow.

It must not optimise anything while it is evaluated either: attacks would then follow gradients of what it does to its inputs.

Reference: what RobustBench admits, arXiv:2010.09670.
"""

from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from kerastag.attacks import ThreatModel
from kerastag.errors import UserError
from kerastag.evaluation.diagnostics import Losses, zero_gradients
from kerastag.evaluation.taggers import Tagger
from kerastag.jets import Jets

# Jets that are looked at.
_JETS = 2000
# Largest difference between outputs of the same jets that rounding makes, relative to the largest output.
_ROUNDING = 1e-4
# Where TensorFlow puts the operations of gradients, and how those are called that have no other purpose.
_GRADIENT_SCOPES, _GRADIENT = ("gradient_tape", "gradients"), "Grad"


def check_conditions(tagger: Tagger, jets: Jets, threat_model: ThreatModel, has_gradient: bool = True) -> str:
    """Make sure that a tagger may be entered.

    Args:
        tagger: The tagger.
        jets: The jets; the first of them are looked at.
        threat_model: The box around each.
        has_gradient: Whether it should have gradients.

    Returns:
        A sentence that says what was looked at.

    Raises:
        UserError: if it may not.
    """
    x, y, name = jets.features[:_JETS], jets.y[:_JETS], tagger.name
    first, second = (tagger.logits(x) for _ in range(2))
    if unlike := np.count_nonzero(~np.isfinite(first).all(axis=1)):
        raise UserError(f"'{name}' cannot be entered: its outputs for {unlike:,} of {len(x):,} jets are not finite.")
    if np.abs(first - second).max() > _ROUNDING * np.abs(first).max():
        raise UserError(f"'{name}' cannot be entered: two calls with the same jets give different outputs.")
    if not has_gradient:
        return "Entry conditions: outputs are finite and the same each time. It has no gradient, so attacks may be weak."
    if (node := next(gradients_inside(tagger.attacked, x.shape[1]), None)) is not None:
        raise UserError(f"'{name}' cannot be entered: it takes a gradient while it is evaluated, at '{node}'.")
    check = zero_gradients(Losses(tagger.attacked, x, y), threat_model)
    if not check.passed:
        raise UserError(
            f"'{name}' cannot be entered: {check.value:.1%} of its jets have no gradient, so no attack means anything."
        )
    return (
        "Entry conditions: outputs are finite and the same each time, gradients are not zero, and the forward pass takes none."
    )


def gradients_inside(tagger: keras.Model, features: int) -> Iterator[str]:
    """Operations of a forward pass that belong to a gradient, by name, in the graph and all functions that it calls.

    Args:
        tagger: From raw features to logits.
        features: Number of its inputs.
    """
    signature = tf.TensorSpec((None, features), tf.float32)
    graph = tf.function(lambda x: tagger(x, training=False)).get_concrete_function(signature).graph.as_graph_def()
    for nodes in (graph.node, *(function.node_def for function in graph.library.function)):
        for node in nodes:
            if node.op.endswith(_GRADIENT) or any(part in _GRADIENT_SCOPES for part in node.name.split("/")):
                yield node.name
