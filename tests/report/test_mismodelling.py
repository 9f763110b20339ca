"""The part on simulated mismodelling, made of what a run has stored."""

import types

import pytest

from kerastag.errors import UserError
from kerastag.evaluation import systematics
from kerastag.files import read_json, write_json
from kerastag.report.parts import mismodelling
from kerastag.results import Interval, NotDefined
from kerastag.runs.report import _check_systematics

TAGGERS = ("first", "second", "third", "fourth")


def stored(p: float) -> dict:
    summary = []
    for number, tagger in enumerate(TAGGERS):
        row = {"tagger": tagger, "area": Interval.around(0.94, 0.002), "worst": "fakes"}
        row["worst change"] = Interval.around(-0.004, 0.001)
        row |= {f"detector, {name}": Interval.around(0.001 * (1 + number), 0.0002) for name in systematics.QUANTITIES[:-1]}
        row |= {"detector, shape": 0.01, "detector, above first": NotDefined("the first tagger")}
        row |= {f"loss under FGSM ε=0.01{box}": Interval.around(0.01 * (1 + number), 0.001) for box in ("", " paper's box")}
        summary.append(row)
    predictions = [
        {"attack": f"FGSM ε=0.01{box}", "variations": "detector", "quantity": name, "taggers": 4}
        | {"correlation": Interval.around(1.0, 0.0), "of jets": Interval.around(1.0, 0.0), "p": p}
        for box in ("", " paper's box")
        for name in systematics.QUANTITIES
    ]
    rows = [
        {
            "variation": "fakes",
            "kind": "detector",
            "paired": 0.99,
            "tagger": tagger,
            "BvL change": Interval.around(-0.004, 0.001),
        }
        for tagger in TAGGERS
    ]
    about = {"command": "systematics.py", "fingerprint": "of the jets", "config": "toy", "jets": 1000}
    return about | {"groups": {"detector": ["fakes"]}, "summary": summary, "predictions": predictions, "rows": rows}


def subject(folder):
    return types.SimpleNamespace(systematics=folder, dataset=types.SimpleNamespace(fingerprint="of the jets", path="data"))


@pytest.mark.parametrize(("p", "answer"), [(0.02, "does rank"), (0.04, "does not rank")])
def test_part_shows_what_was_measured_and_corrects_for_the_number_of_attacks(tmp_path, p, answer):
    write_json(tmp_path / systematics.RESULT, stored(p))
    numbers = mismodelling.numbers(subject(tmp_path))
    section = mismodelling.section(subject(tmp_path), numbers)
    assert answer in section.text[1]
    assert [len(table.rows) for table in section.tables] == [4, 4, 4, 2, 1]
    assert set(mismodelling.draw(subject(tmp_path), numbers)) == {figure.name for figure in section.figures}
    assert len(mismodelling.tables_of(numbers)["mismodelling"]) == 4


def test_trainings_of_several_seeds_are_rows(tmp_path):
    """What was stored before there were seeds has a row for each tagger, as above."""
    content = stored(0.5)
    trainings = {"first": ["first", "second"], "third": ["third"], "fourth": ["fourth"]}
    write_json(tmp_path / systematics.RESULT, content | {"trainings": trainings})
    numbers = mismodelling.numbers(subject(tmp_path))
    tables = mismodelling.section(subject(tmp_path), numbers).tables
    assert [row[:2] for row in tables[0].rows] == [["first", "2"], ["third", "1"], ["fourth", "1"]]
    assert tables[-1].header[2:] == list(trainings)
    assert set(mismodelling.draw(subject(tmp_path), numbers)) == {"mismodelling"}


def test_nothing_is_shown_where_nothing_was_measured():
    numbers = mismodelling.numbers(subject(None))
    assert not numbers and not mismodelling.draw(subject(None), numbers) and not mismodelling.tables_of(numbers)
    assert "--systematics" in mismodelling.section(subject(None), numbers).text[0]


def test_systematics_of_other_jets_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"make it with scripts/systematics.py"):
        _check_systematics(subject(tmp_path))
    write_json(tmp_path / systematics.RESULT, stored(0.5) | {"fingerprint": "another"})
    with pytest.raises(UserError, match="another data set"):
        _check_systematics(subject(tmp_path))
    write_json(tmp_path / systematics.RESULT, stored(0.5))
    _check_systematics(subject(tmp_path))
    _check_systematics(subject(None))
    assert read_json(tmp_path / systematics.RESULT)["jets"] == 1000
