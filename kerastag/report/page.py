"""The page: sections of words, tables and figures, as one self-contained HTML file and as Markdown.

What a section says comes from a `kerastag.report.part.Part`.
"""

import dataclasses
from pathlib import Path

from kerastag import pages, tables


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of the page.

    Attributes:
        caption: Sentence above the table.
        header: Names of the columns.
        rows: Cells, row by row.
    """

    caption: str
    header: list[str]
    rows: list[list[str]]


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure of the page.

    Attributes:
        name: Name of its files, without suffix.
        caption: Sentence below the figure.
    """

    name: str
    caption: str


@dataclasses.dataclass(frozen=True)
class Section:
    """A question, the answer in words, and the evidence.

    Attributes:
        title: The question; "" for none.
        text: Paragraphs.
        tables: Tables below the text.
        figures: Figures below the tables.
    """

    title: str
    text: list[str]
    tables: list[Table] = dataclasses.field(default_factory=list)
    figures: list[Figure] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Page:
    """The whole report.

    Attributes:
        title: Title of the page.
        slide: What is seen first; its title is empty.
        sections: Sections in their order, folded in HTML.
    """

    title: str
    slide: Section
    sections: list[Section]


def html(page: Page, figures: Path) -> str:
    """The page as HTML, with its figures inside.

    Args:
        page: Page to render.
        figures: Folder of the PNG files.
    """

    def embedded(name: str) -> str:
        return pages.embedded((figures / f"{name}.png").read_bytes())

    return pages.environment("kerastag.report").get_template("report.html").render(page=page, embedded=embedded)


def markdown(page: Page, figures: str) -> str:
    """The page as Markdown, with links to its figures.

    Args:
        page: Page to render.
        figures: Path of the folder of figures from that of the page.
    """
    return (
        pages.environment("kerastag.report")
        .get_template("report.md")
        .render(page=page, aligned=tables.markdown, figures=figures)
    )
