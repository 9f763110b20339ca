"""The page: sections of words, tables and figures, rendered as one self-contained HTML file and as Markdown."""

import base64
import dataclasses
from collections.abc import Mapping
from pathlib import Path

import jinja2

from kerastag import tables

Cells = list[list[str]]


@dataclasses.dataclass(frozen=True)
class Table:
    """A table with a sentence above it."""

    caption: str
    header: list[str]
    rows: Cells


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure by the name of its file, and what it shows."""

    name: str
    caption: str


@dataclasses.dataclass(frozen=True)
class Section:
    """A question, the answer in words, and the evidence."""

    title: str
    text: list[str]
    tables: list[Table] = dataclasses.field(default_factory=list)
    figures: list[Figure] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Page:
    """The whole report.

    Attributes:
        title: Of the page.
        summary: The verdict in a few sentences.
        sections: In order.
    """

    title: str
    summary: list[str]
    sections: list[Section]


def plus_minus(row: Mapping, value: str = "value", prefix: str = "", number: str = ".4f") -> str:
    """A number ± half its 68 % interval, for a cell.

    Args:
        row: Holds the number, and its interval under `low` and `high`.
        value: Name of the number.
        prefix: Before the names of the interval.
        number: Format.
    """
    error = (row[f"{prefix}high"] - row[f"{prefix}low"]) / 2
    return f"{row[value]:{number}} ± {error:{number.removeprefix('+')}}"


def html(page: Page, figures: Path) -> str:
    """The page with its figures inside.

    Args:
        page: What to render.
        figures: Folder of the PNG files.
    """

    def embedded(name: str) -> str:
        return base64.b64encode((figures / f"{name}.png").read_bytes()).decode("ascii")

    return _environment().get_template("report.html").render(page=page, embedded=embedded)


def markdown(page: Page, figures: str) -> str:
    """The page with links to its figures.

    Args:
        page: What to render.
        figures: Path of the folder of figures from that of the page.
    """
    return _environment().get_template("report.md").render(page=page, table=tables.markdown, figures=figures)


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("kerastag.report"),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
