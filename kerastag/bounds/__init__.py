"""Limits of a tagger's outputs over a box of inputs, which no attack in the box can pass.

`margin_bounds` walks through the layers of a tagger. Each layer has a rule for intervals. Linear ones and ReLU have one for
linear forms as well, by which CROWN goes back from the margin to the inputs. What comes before the first trained layer, such as
scaling and track quantities, is enclosed in intervals. Limits are right up to the rounding of single precision.

References: intervals, Gowal et al., arXiv:1810.12715; CROWN, Zhang et al., arXiv:1811.00866.
"""

import kerastag.backend  # noqa: F401  (before Keras is imported)
from kerastag.bounds.margins import all_margin_bounds, margin_bounds, worst_logits
from kerastag.bounds.nodes import Node
from kerastag.bounds.rules import enclose

__all__ = ["Node", "all_margin_bounds", "enclose", "margin_bounds", "worst_logits"]
