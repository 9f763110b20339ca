"""A threat model in physical units, for people."""

import numpy as np

from kerastag import tables
from kerastag.attacks.threat_model import ThreatModel
from kerastag.schema import Schema


def describe(threat_model: ThreatModel, schema: Schema) -> str:
    """A Markdown table of the largest shift of each feature, in its unit, and of what else limits it.

    Where the threat model depends on the flavour there is a column for each.

    Args:
        threat_model: The threat model.
        schema: Schema of its features.
    """
    factors = np.ones(1) if threat_model.by_flavour is None else threat_model.by_flavour
    flavours = ("all",) if threat_model.by_flavour is None else schema.class_names
    movable = ~(threat_model.integer | threat_model.frozen)
    header = ["feature", "unit", *(f"largest shift, {name} jets" for name in flavours), "and"]
    rows = []
    for column, feature in enumerate(schema.features):
        shifts = threat_model.epsilon * factors * threat_model.scale[column] * movable[column]
        rows.append([feature.name, feature.unit, *(f"{shift:.3g}" for shift in shifts), _limits(threat_model, column)])
    return tables.markdown(header, rows)


def _limits(threat_model: ThreatModel, column: int) -> str:
    """What limits a feature beside its largest shift."""
    if threat_model.integer[column]:
        return "whole number, stays"
    if threat_model.frozen[column]:
        return "frozen, stays"
    limits = []
    if threat_model.relative_cap is not None:
        limits.append(f"at most {threat_model.relative_cap:.0%} of the value")
    if threat_model.lower is not None and np.isfinite(threat_model.lower[column]):
        limits.append(f"not below {threat_model.lower[column]:.3g}")
    if threat_model.upper is not None and np.isfinite(threat_model.upper[column]):
        limits.append(f"not above {threat_model.upper[column]:.3g}")
    return ", ".join([*limits, f"{threat_model.default[column]:.6g} stays"])
