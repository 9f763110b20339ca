"""`python -m kerastag.schema NAME`: print a schema as a table."""

import argparse

from kerastag import schema
from kerastag.cli import run

COLUMNS = ("#", "feature", "branch", "unit", "default", "integer", "group", "slot", "min", "max", "sentinel")


def rows(described: schema.Schema) -> list[tuple[str, ...]]:
    """One row of text per feature, as they stand in x."""

    def text(value) -> str:
        return "" if value is None else f"{value:.6g}"

    return [
        (
            str(number),
            feature.name,
            feature.branch,
            feature.unit,
            text(feature.default),
            "yes" if feature.integer else "",
            feature.group,
            text(feature.slot),
            text(feature.valid_min),
            text(feature.valid_max),
            text(feature.sentinel),
        )
        for number, feature in enumerate(described.features)
    ]


def main() -> None:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser(prog="python -m kerastag.schema", description="Print a schema as a table.")
    parser.add_argument(
        "name", help=f"one of {', '.join([*schema.SCHEMAS, *(each.name for each in schema.DEEPDOUBLEX.values())])}"
    )
    described = schema.get(parser.parse_args().name)
    table = [COLUMNS, *rows(described)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    print(f"{described.name} {described.version}: {described.description}")
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print(
        f"{len(described.features)} inputs; classes {', '.join(described.class_names)}; "
        f"spectators {', '.join(spectator.name for spectator in described.spectators)}; tree {' or '.join(described.trees)}"
    )


if __name__ == "__main__":
    run(main)
