"""The slide of the report where there is one tagger, where seeds are several, and where classes to find are."""

from types import SimpleNamespace

import numpy as np
import pytest

from kerastag.attacks import CLEAN, Condition
from kerastag.report import verdict
from kerastag.report.parts import hidden
from kerastag.results import Interval, NotDefined, Resampled, Seeds, Trained
from kerastag.schema import JET_FLAVOR, Separation

FGSM, APGD = (Condition(attack, 0.01) for attack in ("fgsm", "apgd-50"))
SIGNAL = Separation("signal", ("b", "bb", "c"), ((0, 1.0), (1, 1.0)), ((2, 1.0),))


def subject(strongest, seeds=1, main=JET_FLAVOR.main):
    """Taggers of which each loses 0.01 to FGSM, 0.02 to anything else, with as many trainings each."""
    areas = {CLEAN: 0.95, FGSM: 0.94, APGD: 0.93}

    def trained(name, condition=CLEAN):
        spread = np.random.default_rng(0).normal(scale=0.001, size=20)
        return Trained.of([Resampled(areas[condition], areas[condition] + spread)] * seeds)

    return SimpleNamespace(
        names=list(strongest),
        main=main,
        title="9 jets",
        options=SimpleNamespace(epsilon=0.01, uncertainty=0.2),
        strongest={(name, None): condition for name, condition in strongest.items()},
        taggers={name: [None] * seeds for name in strongest},
        fgsm=lambda: FGSM,
        trained=trained,
        trained_loss=lambda name, condition: trained(name) - trained(name, condition),
    )


def slide(about, few=()):
    """The slide; efficiencies are 0.1 for the first class, 0.2 for the second and so on, less 0.05 under an attack."""
    points, areas = [], []
    for name in about.names:
        strongest = about.strongest[name, None]
        for condition in (CLEAN, strongest):
            title = "strongest" if condition == strongest else condition.title
            areas.append({"tagger": name, "condition": title, "area": Interval.around(0.9, 0.001), "seeds": Seeds((0.9,))})
            for number, flavour in enumerate(about.main.class_names, 1):
                rate = Interval.around(0.1 * number - 0.05 * (condition != CLEAN), 0.01)
                row = {"tagger": name, "working_point": 0.01, "binning": "all", "flavour": flavour}
                rate = NotDefined("fewer than 20 jets") if flavour in few else rate
                points.append({**row, "condition": condition.label, "rate": rate})
    numbers = {
        "areas": {"rows": areas},
        "working_points": {"rows": points},
        "shapes": {"answers": {about.names[0]: {"normal": 3, "moving": 4}}},
        "hidden": {
            "rows": [{"tagger": about.names[0], "preserved": hidden.MARGINALS.title, "loss": Interval.around(0.004, 0.001)}]
        },
    }
    made = verdict.slide(about, numbers)
    (table,) = made.tables
    return made.text, table


@pytest.mark.parametrize(
    ("strongest", "said"), [(FGSM, "FGSM, the strongest attack tried, takes 0.01"), (APGD, "APGD-50, 0.02")]
)
def test_one_tagger(strongest, said):
    (text,), table = slide(subject({"mine": strongest}))
    assert said in text and text.count("0.0100") <= 1 and len(table.rows) == 1
    assert "3 of the 4 inputs" in text and "FGSM that keeps all their distributions takes 0.0040 ± 0.0010." in text


def test_of_several_classes_to_find_the_slide_shows_the_first():
    _, table = slide(subject({"mine": APGD}, main=SIGNAL), few=("b",))
    assert len(table.header) == 6
    assert table.header[4:] == [f"b efficiency at 1% c mistag, {jets}" for jets in ("clean", "attacked")]
    assert table.rows[0][4:] == ["not defined: fewer than 20 jets"] * 2
    assert table.caption.endswith("Efficiencies of bb are among the working points below.")
    _, table = slide(subject({"mine": APGD}))
    assert table.rows[0][4:] == ["0.100 ± 0.010", "0.050 ± 0.010"]
    assert len(table.header) == 6 and "Efficiencies of" not in table.caption


@pytest.mark.parametrize(("seeds", "interval"), [(1, "of the sample, a training each"), (2, "of sample and seeds")])
def test_words_say_whose_errors_they_are(seeds, interval):
    text, table = slide(subject({"one": APGD, "other": APGD}, seeds))
    assert "other is as robust, within errors, as one: it loses 0.02" in text[1] and f"(95 % interval {interval})" in text[1]
    assert ("efficiencies those of the first" in table.caption) == (seeds > 1)
