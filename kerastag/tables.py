"""Tables: rows that are dictionaries, as Markdown that is also readable in a terminal, and as CSV."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kerastag import results
from kerastag.errors import UserError

Row = Mapping[str, Any]


def where(rows: Iterable[Row], **values: Any) -> list[Row]:
    """The rows that have some values.

    Args:
        rows: Rows of a table.
        **values: Value by name of the column.
    """
    return [row for row in rows if all(row[name] == value for name, value in values.items())]


def unique(rows: Iterable[Row], name: str) -> list[Any]:
    """The values of a column, each once, in the order in which they first occur."""
    return list(dict.fromkeys(row[name] for row in rows))


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with aligned columns."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join("| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |" for line in lines)


def numbers(file: Path, column: str) -> list[float]:
    """A column of a CSV file of ours.

    Raises:
        UserError: if the file cannot be read, or the column is missing or holds anything but numbers.
    """
    try:
        with file.open(newline="", encoding="utf-8") as stream:
            return [float(row[column]) for row in csv.DictReader(stream)]
    except OSError as error:
        raise UserError(f"'{file}' cannot be read: {error.strerror}.") from error
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise UserError(f"'{file}' is damaged: its column '{column}' is missing or holds no numbers.") from error


def comma_separated(rows: Sequence[Row]) -> str:
    """CSV with the columns that occur, in the order in which they first do; what a row lacks stays empty.

    Intervals and seeds become several columns, see `kerastag.results.columns`.
    """
    flat = [results.columns(row) for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in flat for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()
