"""Values with a meaning of their own and tabulated features, found in data and compared with what a schema says of them.

A value is special if more than 1 % of the cells that are present share it, and it sticks out of the values next to it. A
feature is tabulated if it has fewer than 1,000 distinct values, each ten times on average. Files round numbers to some ten
binary digits, which also makes values equal; that is neither.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from kerastag import tables
from kerastag.schema.structure import Schema
from kerastag.schema.variables import Feature

# Present cells below which a feature is not looked at: one of its values can exceed 1 % by chance.
_ENOUGH_CELLS = 1_000
# Share of the present cells above which a value can be special, and number of cells that it takes.
SPIKE, _CELLS = 0.01, 20
# How much more frequent it is than the values next to it, and how many on each side these are.
_STICKS_OUT, _NEIGHBOURS = 10, 10
# Distinct values below which a feature is tabulated, and cells for each of them.
_DISTINCT, _CELLS_PER_VALUE = 1_000, 10
# Steps of rounding are powers of two, and smaller than this share of the largest value.
_ROUNDING = 2.0**-8
# Values of a variable that a sentence lists.
_LISTED = 3


@dataclasses.dataclass(frozen=True)
class Finding:
    """A value of a feature with a meaning of its own, or a feature whose values come from a table.

    Attributes:
        feature: Name of the feature.
        value: The special value; None says that the feature is tabulated.
        share: Share of the present cells with that value; of a tabulated feature, with its most frequent one.
        distinct: Number of distinct values in the present cells.
        known: Whether the schema says so, which keeps attacks away.
    """

    feature: str
    value: float | None
    share: float
    distinct: int
    known: bool


def search(features: np.ndarray, schema: Schema) -> tuple[Finding, ...]:
    """Special values and tabulated features, in the order of the features, the most frequent value first.

    Whole numbers are left out, since attacks never move them.

    Args:
        features: float32 `(jets, features)`, physical units.
        schema: Features; cells at their default are absent.
    """
    findings: list[Finding] = []
    for column, feature in enumerate(schema.features):
        values = features[:, column]
        values = values[values != np.float32(feature.default)]
        if not feature.integer and len(values) >= _ENOUGH_CELLS:
            findings.extend(_findings_of(feature, values))
    return tuple(findings)


def _findings_of(feature: Feature, values: np.ndarray) -> Iterator[Finding]:
    """Findings of a feature in its present cells, float32 `(cells,)`."""
    distinct, counts = np.unique(values, return_counts=True)
    number = len(distinct)
    shares = counts / len(values)
    tabulated = 1 < number < min(_DISTINCT, len(values) / _CELLS_PER_VALUE) and not _is_rounding(distinct)
    if tabulated:
        yield Finding(feature.name, None, float(shares.max()), number, _is_known(feature, None))
    frequent = np.flatnonzero((shares > SPIKE) & (counts >= _CELLS))
    for index in frequent[np.argsort(-counts[frequent], kind="stable")]:
        # Those next to each other in a table have little in common.
        usual = _mean_of_neighbours(counts, index, number if tabulated else _NEIGHBOURS)
        if counts[index] > _STICKS_OUT * usual:
            value = float(distinct[index])
            yield Finding(feature.name, value, float(shares[index]), number, _is_known(feature, value))


def _mean_of_neighbours(counts: np.ndarray, index: int, width: int) -> float:
    """Mean count of the distinct values next to one, at most `width` on each side; 0 if there are none."""
    neighbours = np.concatenate([counts[max(0, index - width) : index], counts[index + 1 : index + 1 + width]])
    return float(neighbours.mean()) if len(neighbours) else 0.0


def _is_rounding(distinct: np.ndarray) -> bool:
    """Whether sorted values are multiples of a power of two that is small beside them: numbers cut to some binary digits."""
    values = distinct.astype(np.float64)
    step = np.diff(values).min()
    is_power_of_two = np.frexp(step)[0] == 0.5
    return bool(is_power_of_two and step < _ROUNDING * abs(values).max() and not (values % step).any())


def _is_known(feature: Feature, value: float | None) -> bool:
    return feature.tabulated or (value is not None and np.float32(value) in np.array(feature.special, np.float32))


def to_json(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Findings as plain data. What the schema knows is left out, for it may learn more."""
    return [{name: value for name, value in dataclasses.asdict(item).items() if name != "known"} for item in findings]


def from_json(content: Iterable[Mapping[str, Any]], schema: Schema) -> tuple[Finding, ...]:
    """The inverse of `to_json`, compared with what `schema` knows."""
    features = {feature.name: feature for feature in schema.features}
    return tuple(Finding(**item, known=_is_known(features[item["feature"]], item["value"])) for item in content)


def sentences(findings: Iterable[Finding], schema: Schema) -> list[str]:
    """What the schema does not know, a sentence for each variable."""
    unknown = _by_variable([finding for finding in findings if not finding.known], schema)
    return [
        f"{variable}: {_listing(by_value)}; the schema does not know it, so attacks move such cells."
        for variable, by_value in unknown.items()
    ]


def summary(findings: Iterable[Finding], schema: Schema) -> str:
    """What the schema knows, in one sentence; "" if there is nothing."""
    known = _by_variable([finding for finding in findings if finding.known], schema)
    names = [
        f"{variable} ({', '.join('tabulated' if value is None else f'{value:.6g}' for value in by_value)})"
        for variable, by_value in known.items()
    ]
    return f"Special values and tabulated features that the schema knows: {', '.join(names)}." if names else ""


def markdown(findings: Iterable[Finding], schema: Schema) -> str:
    """A Markdown table, a row for each value of a variable and each tabulated variable; a sentence if there are none."""
    rows = [
        (
            variable,
            "tabulated" if value is None else f"{value:.6g}",
            _percent([item.share for item in items]),
            _span([f"{item.distinct:,}" for item in sorted(items, key=lambda item: item.distinct)]),
            f"{len(items)} of {_slots(schema, variable)}",
            "known" if all(item.known for item in items) else "not known",
        )
        for variable, by_value in _by_variable(findings, schema).items()
        for value, items in by_value.items()
    ]
    header = ("variable", "value", "share of present cells", "distinct values", "features", "schema")
    return tables.markdown(header, rows) if rows else "No special values and no tabulated features were found."


def _by_variable(findings: Iterable[Finding], schema: Schema) -> dict[str, dict[float | None, list[Finding]]]:
    """Findings by variable, with `*` for the slot, and by value."""
    variables = {feature.name: feature.variable for feature in schema.features}
    names = {name.replace("_*", ""): name for name in _templates(schema)}
    grouped: dict[str, dict[float | None, list[Finding]]] = {}
    for finding in findings:
        by_value = grouped.setdefault(names[variables[finding.feature]], {})
        by_value.setdefault(finding.value, []).append(finding)
    return grouped


def _templates(schema: Schema) -> list[str]:
    """Names of the variables with `*` for the slot."""
    return [variable.name.replace("{slot}", "*") for group in schema.groups for variable in group.variables]


def _slots(schema: Schema, template: str) -> int:
    """Number of features of a variable."""
    return sum(feature.variable == template.replace("_*", "") for feature in schema.features)


def _listing(by_value: Mapping[float | None, Sequence[Finding]]) -> str:
    """What was found of a variable, in words."""
    phrases = [_phrase(value, items) for value, items in itertools.islice(by_value.items(), _LISTED)]
    return ", ".join(phrases) + (f" and {len(by_value) - _LISTED} more" if len(by_value) > _LISTED else "")


def _phrase(value: float | None, items: Sequence[Finding]) -> str:
    slots = f" in {len(items)} slots" if len(items) > 1 else ""
    if value is not None:
        return f"{value:.6g} in {_percent([item.share for item in items])} of the cells{slots}"
    return f"{_span([str(number) for number in sorted(item.distinct for item in items)])} distinct values{slots}"


def _percent(shares: Sequence[float]) -> str:
    return f"{_span([f'{100 * share:.2g}' for share in sorted(shares)])} %"


def _span(texts: Sequence[str]) -> str:
    """First and last of sorted numbers, or the only one."""
    return texts[0] if texts[0] == texts[-1] else f"{texts[0]} to {texts[-1]}"
