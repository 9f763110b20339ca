"""How setuptools makes the sdist, by `cmdclass` of setup.cfg; nothing else imports it."""

from collections.abc import Iterable
from pathlib import Path

from setuptools.command.sdist import sdist


class SourceDistribution(sdist):
    """Without `tests/test_*.py`, which setuptools adds of itself: they stand on what it leaves out, and cannot run alone."""

    def make_release_tree(self, base_dir: str, files: Iterable[str]) -> None:
        """Lay out the files that are packed."""
        super().make_release_tree(base_dir, [file for file in files if Path(file).parts[0] != "tests"])
