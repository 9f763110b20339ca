"""What a part of the report is."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from kerastag.plots.style import Drawn
from kerastag.report.page import Section
from kerastag.report.subject import Subject
from kerastag.tables import Row

# What a part has measured: plain data and the values of `kerastag.results`, so JSON brings back what was written.
Numbers = dict[str, Any]


class Part(Protocol):
    """A question, what is measured to answer it, and what the page says; each part is a module.

    Numbers are computed once and stored; figures, tables and words are made of them.

    Attributes:
        NAME: Name of the part and of the file of its numbers.
    """

    NAME: str

    def numbers(self, subject: Subject) -> Numbers:
        """Measure what the part needs."""

    def draw(self, subject: Subject, numbers: Numbers) -> Mapping[str, Drawn]:
        """The figures by the name of their files, without suffix."""

    def tables_of(self, numbers: Numbers) -> Mapping[str, Sequence[Row]]:
        """Tidy rows by the name of their CSV file, without suffix."""

    def section(self, subject: Subject, numbers: Numbers) -> Section:
        """What the page says."""
