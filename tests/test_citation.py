"""What CITATION.cff says of kerastag."""

from pathlib import Path

import yaml  # Apache Beam, which kerastag requires, brings it

from kerastag import __version__

CITATION = yaml.safe_load((Path(__file__).parents[1] / "CITATION.cff").read_text())


def test_citation_has_the_version_of_the_package():
    assert CITATION["version"] == __version__
