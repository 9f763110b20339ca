"""The part of the report on attacks on one tagger that meet another."""

import re
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from kerastag import models
from kerastag.attacks import FGSM, NGM, Condition, ThreatModel, attacked_features, attacked_logits
from kerastag.jets import Jets
from kerastag.metrics import Bootstrap
from kerastag.report.parts import transfer
from kerastag.request import PAPER, Physics
from kerastag.results import Interval
from kerastag.tables import where
from tests.models import checks
from tests.toy import SCALE, TOY

SIZE = 0.3


def subject_of(*names, physics=PAPER, main="BvL"):
    """Small networks, each of its own weights, on made-up jets whose flavours they tell apart together."""
    x = checks.made_up(TOY, jets=120)
    networks = {}
    for seed, name in enumerate(names):
        keras.utils.set_random_seed(seed)
        networks[name] = models.mlp(TOY, checks.flat_statistics(TOY), hidden=(16, 16))
    odds = sum(network(x).numpy() @ [1, 0, -1] for network in networks.values())
    label = np.argsort(np.argsort(-odds)) * 3 // len(x)
    dataset = SimpleNamespace(schema=TOY, scale=lambda name: SCALE)
    return SimpleNamespace(
        names=list(names),
        taggers={name: [network] for name, network in networks.items()},
        main=TOY.separations[main],
        jets=Jets(x, label, {"entry": np.arange(len(x)), "source": np.zeros(len(x), int)}, 3),
        bootstrap=Bootstrap(np.arange(len(x)), 20),
        attack=lambda condition: condition.build(dataset),
        model=networks.__getitem__,
        say=lambda text: None,
        dataset=dataset,
        options=SimpleNamespace(epsilon=SIZE, physics=physics),
        condition=lambda attack, objective: Condition(attack, SIZE, objective=objective, physics=physics),
    )


@pytest.fixture
def few_attacks(monkeypatch):
    monkeypatch.setattr(transfer, "_ATTACKS", ("fgsm", "ngm"))
    monkeypatch.setattr(transfer, "_DRAWN", ("ngm",))


def area(values, label):
    b, light = (label == column for column in (0, 2))
    return roc_auc_score(b[b | light], values[b | light])


def test_losses_are_those_of_scikit_learn_on_each_others_attacked_jets(few_attacks):
    subject = subject_of("one", "two")
    numbers = transfer.numbers(subject)
    assert len(numbers["rows"]) == 2 * 2 * 2 and numbers["jets"] == 120  # the report's box is the paper's
    jets = subject.jets
    for kind, title in ((FGSM, "FGSM"), (NGM, "NGM")):
        attack = kind(ThreatModel.from_schema(TOY, SCALE, SIZE, physics=PAPER), objective=TOY.main.name)
        for source in subject.names:
            attacked = attacked_features(subject.model(source), jets.features, jets.y, attack)
            for target in subject.names:
                features = {"clean": jets.features, "attacked": attacked}
                logits = {name: attacked_logits(subject.model(target), x, jets.y, None) for name, x in features.items()}
                values = {name: one[:, 0] - one[:, 2] for name, one in logits.items()}  # odds of b against light
                clean, left = (area(values[name], jets.label) for name in ("clean", "attacked"))
                label = f"{title} on {TOY.main.name} ε={SIZE:g} paper's box"
                (row,) = where(numbers["rows"], condition=label, attacked_on=source, evaluated_on=target)
                assert row["loss"].value == pytest.approx(clean - left, abs=1e-6)
                assert row["relative"].value == pytest.approx((clean - left) / (clean - 0.5), rel=1e-4, abs=1e-6)
                for side, flavour in zip(TOY.main.sides, (0, 2), strict=True):
                    half = np.where(jets.label == flavour, values["attacked"], values["clean"])
                    assert row[f"{side} alone"].value == pytest.approx(clean - area(half, jets.label), abs=1e-6)
    for difference in numbers["differences"]:
        own = {
            name: where(numbers["rows"], condition=difference["condition"], attacked_on=name, evaluated_on=name)[0]["relative"]
            for name in subject.names
        }
        assert difference["beyond"].value == pytest.approx(own["two"].value - own["one"].value)
    section = transfer.section(subject, numbers)
    assert [len(table.rows) for table in section.tables] == [4, 4] and [one.name for one in section.figures] == ["transfer"]
    _, axes = transfer.draw(subject, numbers)["transfer"]
    assert [axis.get_title() for axis in axes.flat if axis.get_title()] == [f"NGM on BvL ε={SIZE:g} paper's box"]
    assert set(transfer.tables_of(numbers)) == {"transfer", "transfer_differences"}


def test_one_tagger_is_attacked_in_both_boxes_and_compared_with_none(few_attacks):
    subject = subject_of("alone", physics=Physics())
    numbers = transfer.numbers(subject)
    assert [row["condition"].removesuffix(" paper's box") for row in numbers["rows"]] == 2 * [
        f"{title} on BvL ε={SIZE:g}" for title in ("FGSM", "NGM")
    ]
    section = transfer.section(subject, numbers)
    (table,) = section.tables
    assert len(table.rows) == 4 and all(len(row) == len(table.header) for row in table.rows)
    assert not section.figures and not transfer.draw(subject, numbers) and len(section.text) == 1
    assert set(transfer.tables_of(numbers)) == {"transfer"}


def test_any_discriminator_can_be_aimed_at(few_attacks):
    """The report's may be one that headlines and tables leave out."""
    assert "BvC" not in TOY.headline
    numbers = transfer.numbers(subject_of("one", main="BvC"))
    assert numbers["rows"][0]["condition"].startswith("FGSM on BvC") and {"b alone", "c alone"} <= numbers["rows"][0].keys()
    assert all(row["loss"].value > 0 for row in numbers["rows"])


def test_the_sentence_tells_the_least_and_the_most_and_leaves_out_what_is_lost_by_chance():
    def row(condition, source, target, loss, error=0.001):
        return {
            "condition": condition,
            "attacked_on": source,
            "evaluated_on": target,
            "loss": Interval.around(loss, error),
            "relative": Interval.around(2 * loss, error),
        }

    losses = {"weak": (0.010, 0.002), "strong": (0.020, 0.016), "chance": (0.0005, 0.01)}
    rows = [
        row(condition, source, target, own if source == target else other)
        for condition, (own, other) in losses.items()
        for source in ("one", "two")
        for target in ("one", "two")
    ]
    subject = SimpleNamespace(names=["one", "two"], taggers={"one": [0, 1], "two": [0]}, main=TOY.main)
    text = transfer.section(subject, {"jets": 10, "rows": rows, "differences": []}).text
    assert text[1] == "Of several seeds the first is attacked and evaluated."
    assert text[2:] == [
        f"Jets attacked on {source} take from {target} 20% (weak) to 80% (strong) of what its own attack takes."
        for source, target in (("one", "two"), ("two", "one"))
    ]
    nothing = [one for one in rows if one["condition"] == "chance"]
    text = transfer.section(subject, {"jets": 10, "rows": nothing, "differences": []}).text
    assert re.fullmatch("Attacks on two take nothing from it here.*attacks on one with.", text[2])
