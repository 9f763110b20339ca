"""The part of the report on certificates, and where a tagger has none."""

from types import SimpleNamespace

import keras
import numpy as np

from kerastag import models
from kerastag.attacks import APGD, PGD
from kerastag.errors import UserError
from kerastag.jets import Jets
from kerastag.metrics import Bootstrap, RankedPair, discriminant
from kerastag.report.parts import certified
from kerastag.request import Physics
from kerastag.schema import JET_FLAVOR
from tests.models import checks
from tests.toy import SCALE, TOY, toy_threat_model


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


def test_what_is_left_lies_between_the_certificate_and_the_stronger_of_two_attacks():
    x, sizes = checks.made_up(TOY, jets=150), (0.1, 0.5)
    jets, bootstrap = Jets(x, np.arange(len(x)) % 3, {}, 3), Bootstrap(np.arange(len(x)), 5)
    keras.utils.set_random_seed(3)
    model = models.mlp(TOY, checks.flat_statistics(TOY), hidden=(16, 16))
    dataset = SimpleNamespace(schema=TOY, scale=lambda name: SCALE)
    subject = SimpleNamespace(
        names=["net"],
        main=TOY.main,
        jets=jets,
        bootstrap=bootstrap,
        model=lambda name: model,
        say=lambda text: None,
        dataset=dataset,
        attack=lambda condition: condition.build(dataset),
        options=SimpleNamespace(epsilon=sizes[0], epsilons=sizes, scale="sigma", physics=Physics()),
    )
    numbers = certified.numbers(subject)
    clean, *rows = numbers["rows"]
    assert [row["epsilon"] for row in rows] == list(sizes) and not numbers["reasons"]

    def area(values):
        return bootstrap.area(RankedPair(jets.y, values, TOY.main)).value

    assert clean["attacked"].value == clean["certified"].value == area(discriminant(model(x).numpy(), TOY.main))
    for row in rows:
        box = toy_threat_model(row["epsilon"], bounds=True)
        attacks = {"PGD-20": PGD, "APGD-20": APGD}
        left = {name: area(model(kind(box, "BvL", steps=20)(model, x, jets.y)).numpy()) for name, kind in attacks.items()}
        strongest = min(left, key=left.get)
        assert row["attack"] == f"{strongest} on BvL" and row["attacked"].value == left[strongest]
        assert row["certified"].value <= row["attacked"].value < clean["attacked"].value - 0.01
    assert {row["attack"] for row in rows} == {"PGD-20 on BvL", "APGD-20 on BvL"}, "one attack is enough for this test"
    first = rows[0]
    between = f"net keeps between {first['certified']} (certified) and {first['attacked']} ({first['attack']}, the strongest"
    section = certified.section(subject, numbers)
    assert between in " ".join(section.text)
    assert section.tables[0].rows == [
        ["net", f"{clean['attacked']:[]}", first["attack"], f"{first['attacked']:[]}", f"{first['certified']:[]}"]
    ]
