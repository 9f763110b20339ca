"""A threat model in physical units, for people."""

import numpy as np

from kerastag import tables
from kerastag.attacks.threat_model import ThreatModel
from kerastag.attacks.ties import Link
from kerastag.schema import Feature, Schema


def describe(threat_model: ThreatModel, schema: Schema) -> str:
    """A Markdown table: the largest shift of each feature on its own, in its unit, what else limits it and what it follows.

    Where the threat model depends on the flavour there is a column for each.

    Args:
        threat_model: The threat model.
        schema: Schema of its features.
    """
    by_flavour = np.ones(1) if threat_model.by_flavour is None else threat_model.by_flavour
    column_of_each = by_flavour if by_flavour.ndim == 2 else by_flavour[:, None]
    factors = np.broadcast_to(column_of_each, (len(by_flavour), len(schema.features)))
    flavours = ("all",) if threat_model.by_flavour is None else schema.class_names
    follows = _followers(threat_model, schema)
    header = ["feature", "unit", *(f"largest shift of its own, {name} jets" for name in flavours), "and"]
    rows = []
    for column, feature in enumerate(schema.features):
        shifts = [_shift(threat_model, schema, column, factor) for factor in factors[:, column]]
        rows.append([feature.name, feature.unit, *shifts, _limits(threat_model, schema, column, follows.get(column))])
    return tables.markdown(header, rows)


def untied(schema: Schema) -> str:
    """A Markdown list of the variables that follow from what is no input, so that they move on their own; "" if none do."""
    reasons: dict[str, list[str]] = {}
    for feature in schema.features:
        names = reasons.setdefault(feature.untied, [])
        if feature.untied and feature.variable not in names:
            names.append(feature.variable)
    return "\n".join(f"- {', '.join(names)}: {reason}" for reason, names in reasons.items() if reason)


def _shift(threat_model: ThreatModel, schema: Schema, column: int, factor: float) -> str:
    """Largest shift of a feature; what depends on the jet is spelled out."""
    if threat_model.integer[column] or threat_model.frozen[column] or not threat_model.limited[column]:
        return "0"
    shift = threat_model.epsilon * factor * threat_model.scale[column]
    if threat_model.proportional is None or not threat_model.proportional.share[column]:
        return f"{shift:.3g}"
    share = threat_model.epsilon * factor * threat_model.proportional.share[column]
    other, power = threat_model.proportional.column[column], threat_model.proportional.power[column]
    return f"{share:.3g}·\\|{schema.names[other]}\\|" + ("" if power == 1 else f"^{power:g}")


def _followers(threat_model: ThreatModel, schema: Schema) -> dict[int, str]:
    """What each feature that follows others follows, by its column."""
    if threat_model.ties is None:
        return {}
    follows = {link.follower: _what_it_follows(link, schema) for link in threat_model.ties.links}
    for summary in threat_model.ties.summaries:
        function = summary.function.replace("_", " ")
        variables = ", ".join(schema.features[columns[0]].variable for columns in summary.sources)
        follows[summary.follower] = f"follows the {function} ({variables}) of all slots, without a limit, where it is that"
    return follows


def _limits(threat_model: ThreatModel, schema: Schema, column: int, follows: str | None) -> str:
    """What limits a feature beside its largest shift."""
    if threat_model.integer[column]:
        return "whole number, stays"
    if threat_model.frozen[column]:
        return "frozen, stays"
    if not (threat_model.alone[column] or follows):
        return "stays"
    limits = [] if follows is None else [follows]
    if threat_model.relative_cap is not None:
        limits.append(f"at most {100 * threat_model.relative_cap:g}% of the value")
    if threat_model.lower is not None and np.isfinite(threat_model.lower[column]):
        limits.append(_lower_limit(threat_model.lower[column]))
    if threat_model.upper is not None and np.isfinite(threat_model.upper[column]):
        limits.append(f"not above {threat_model.upper[column]:.3g}")
    fixed = (threat_model.default[column], *threat_model.special[column])
    return ", ".join([*limits, f"{' and '.join(f'{value:.6g}' for value in fixed)} {'stays' if len(fixed) == 1 else 'stay'}"])


def _what_it_follows(link: Link, schema: Schema) -> str:
    features = [[schema.features[column] for column, _ in sources] for sources in link.candidates]
    if link.factor is None:
        return f"follows {_product(features[0], link)}"
    variables = " to ".join(dict.fromkeys(_product(candidate, link) for candidate in (features[0], features[-1])))
    variables = f"one of {variables}" if len(features) > 2 else variables.replace(" to ", " or ")
    return f"follows {variables} where it is {'' if link.factor == 1 else f'{link.factor:g} times '}that"


def _product(features: list[Feature], link: Link) -> str:
    powers = [power for _, power in link.candidates[0]]
    return "·".join(f.name if power == 1 else f"{f.name}^{power:g}" for f, power in zip(features, powers, strict=True))


def _lower_limit(limit: float) -> str:
    # A bound that is the default lies a little inside the range.
    return "above 0" if 0 < limit < 1e-30 else f"not below {limit:.3g}"
