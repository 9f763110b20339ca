"""A schema as a table of text, one line per feature."""

from kerastag.schema.structure import Schema
from kerastag.schema.variables import Feature

_COLUMNS = (
    "#",
    "feature",
    "branch",
    "unit",
    "default",
    "integer",
    "group",
    "slot",
    "min",
    "max",
    "sentinel",
    "special",
    "tabulated",
    "flips",
)


def text(schema: Schema) -> str:
    """Name and description, a line for each feature in the order of the columns of x, and a summary."""
    lines = [_COLUMNS, *(_cells(number, feature) for number, feature in enumerate(schema.features))]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    spectators = ", ".join(spectator.name for spectator in schema.spectators)
    summary = (
        f"{len(schema.features)} inputs; classes {', '.join(schema.class_names)}; "
        f"spectators {spectators or 'none'}; tree {' or '.join(schema.trees)}"
    )
    return "\n".join([f"{schema.name} {schema.version}: {schema.description}", *table, summary])


def _cells(number: int, feature: Feature) -> tuple[str, ...]:
    return (
        str(number),
        feature.name,
        feature.branch,
        feature.unit,
        _number(feature.default),
        "yes" if feature.integer else "",
        feature.group,
        _number(feature.slot),
        _number(feature.valid_min),
        _number(feature.valid_max),
        _number(feature.sentinel),
        ", ".join(map(_number, feature.special)),
        "yes" if feature.tabulated else "",
        "yes" if feature.flips else "",
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
