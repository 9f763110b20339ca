"""The part of the report on certificates, where a tagger has none."""

from types import SimpleNamespace

from kerastag.errors import UserError
from kerastag.report.parts import certified
from kerastag.schema import JET_FLAVOR


def test_a_tagger_without_rules_has_a_reason_and_nothing_else(monkeypatch):
    def curve(subject, name):
        yield {"tagger": name, "epsilon": 0.0}  # clean jets come before the first limit
        raise UserError("No bounds can be had.")

    monkeypatch.setattr(certified, "_curve", curve)
    subject = SimpleNamespace(names=["export"], main=JET_FLAVOR.main, options=SimpleNamespace(epsilon=0.01))
    numbers = certified.numbers(subject)
    assert numbers == {"rows": [], "reasons": {"export": "No bounds can be had."}}
    assert certified.draw(subject, numbers) == {}
    section = certified.section(subject, numbers)
    assert not section.tables and not section.figures
    assert section.text[-1] == "export has no certificate. No bounds can be had."
