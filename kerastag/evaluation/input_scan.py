"""What a scan of inputs found, as `scan_inputs` stores it and the report takes it in."""

from collections.abc import Mapping, Sequence

from kerastag import tables

RESULT = "inputs.json"


def table(rows: Sequence[Mapping]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: a line per set of inputs and training, clean area and the loss under each attack."""
    attacks = [name for name in dict.fromkeys(row["condition"] for row in rows) if name != "clean"]
    cells: dict[tuple, dict] = {}
    for row in rows:
        cells.setdefault((row["inputs"], str(row["features"]), row["training"]), {})[row["condition"]] = row
    lines = []
    for key, by_condition in cells.items():
        losses = [by_condition[name] for name in attacks]
        lines.append([*key, _cell(by_condition["clean"], "value", ""), *(_cell(row, "loss", "loss_") for row in losses)])
    return ["inputs", "features", "training", "clean BvL AUC", *(f"loss, {name}" for name in attacks)], lines


def markdown(rows: Sequence[Mapping]) -> str:
    """The table as Markdown."""
    return tables.markdown(*table(rows))


def _cell(row: Mapping, name: str, prefix: str) -> str:
    spread = row[f"{prefix}spread"]
    error = (row[f"{prefix}high"] - row[f"{prefix}low"]) / 2
    return f"{row[name]:.4f} ± {error:.4f}" + ("" if spread is None else f" (seeds {spread:.4f})")
