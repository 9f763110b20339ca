"""What a threat model allows, in physical units, for people."""

import numpy as np

from kerastag import tables
from kerastag.attacks.threat_model import ThreatModel
from kerastag.schema import Schema


def describe(threat_model: ThreatModel, schema: Schema) -> str:
    """A Markdown table of the largest shift of each feature, in its unit, and of what else limits it.

    Where the threat model depends on the flavour there is a column for each.

    Args:
        threat_model: The threat model.
        schema: Of its features.
    """
    flavours = schema.class_names if threat_model.by_flavour is not None else ("all",)
    factors = threat_model.by_flavour if threat_model.by_flavour is not None else np.ones(1)
    header = ["feature", "unit", *(f"largest shift, {name} jets" for name in flavours), "and"]
    rows = []
    for column, feature in enumerate(schema.features):
        still = threat_model.integer[column] or threat_model.frozen[column]
        shifts = [f"{0 if still else threat_model.epsilon * factor * threat_model.scale[column]:.3g}" for factor in factors]
        rows.append([feature.name, feature.unit, *shifts, _limits(threat_model, column)])
    return tables.markdown(header, rows)


def _limits(threat_model: ThreatModel, column: int) -> str:
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
    return f"{', '.join([*limits, f'{threat_model.default[column]:.6g} stays'])}"
