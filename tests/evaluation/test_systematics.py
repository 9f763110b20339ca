"""Changes under variations, on made-up jets whose changes are known."""

import json
import tomllib

import numpy as np
import pytest
from scipy import stats

from kerastag.attacks import budgets
from kerastag.evaluation import envelope, systematics, systematics_tables
from kerastag.evaluation.systematics import Sides
from kerastag.flavours import FLAVOURS
from kerastag.jets import Jets
from kerastag.metrics import DISCRIMINATORS, RankedPair, discriminant
from kerastag.results import Interval, NotDefined, Resampled, plain, revived
from kerastag.schema import JET_FLAVOR
from tests.toy import TOY

JETS = 6000


def made_up(jets: int = JETS, seed: int = 0, features: np.ndarray | None = None) -> Jets:
    """Two jets an event, back to back, of all flavours."""
    generator = np.random.default_rng(seed)
    event = np.arange(jets) // 2
    spectators = {
        "event": event,
        "source": np.zeros(jets, int),
        "entry": np.arange(jets),
        "direction_eta": np.zeros(jets),
        "direction_phi": np.where(np.arange(jets) % 2, 1.5, -1.5),
    }
    features = np.zeros((jets, 1), np.float32) if features is None else features
    return Jets(features, generator.integers(0, 3, jets), spectators, 3)


def toy_logits(label: np.ndarray, separation: float, seed: int = 0) -> np.ndarray:
    """BvL discriminants are normal with σ = 1; b and light jets lie `separation` apart."""
    values = np.random.default_rng(seed).normal(size=len(label)) + separation * np.array([0.5, 0.0, -0.5])[label]
    return np.stack([values, np.zeros(len(label)), np.zeros(len(label))], axis=1)


@pytest.fixture(scope="module")
def jets():
    return made_up()


@pytest.fixture(scope="module")
def sides(jets):
    return Sides.same_events(jets, jets, 100)


def test_known_separation_gives_known_change_of_area(jets, sides):
    before, after = toy_logits(jets.label, 2.0), toy_logits(jets.label, 1.6)
    change = systematics.change(sides, before, after, systematics.thresholds(jets.label, before), [DISCRIMINATORS["BvL"]])
    expected = stats.norm.cdf(1.6 / np.sqrt(2)) - stats.norm.cdf(2.0 / np.sqrt(2))
    interval = change.changes["BvL"].interval
    assert interval.value == pytest.approx(expected, abs=4e-3)
    exact = (
        RankedPair(jets.label, after, DISCRIMINATORS["BvL"]).auc() - RankedPair(jets.label, before, DISCRIMINATORS["BvL"]).auc()
    )
    assert interval.value == pytest.approx(exact, abs=1e-7)
    # The same noise on both sides: the change is known much better than either area.
    assert interval.error < 0.4 * change.areas["BvL"].interval.error
    assert change.sizes["area"].value == -interval.value
    assert change.sizes["relative"].value == pytest.approx(
        -exact / (1 - RankedPair(jets.label, before, DISCRIMINATORS["BvL"]).auc())
    )


def test_nothing_changes_where_nothing_is_changed(jets, sides):
    logits = toy_logits(jets.label, 2.0)
    change = systematics.change(sides, logits, logits, systematics.thresholds(jets.label, logits))
    assert all(number.value == 0 and not number.values.any() for number in change.changes.values())
    assert all(row.factor.value == 1 and (row.factor.values == 1).all() for row in change.factors)
    assert set(change.shapes) == set(FLAVOURS)
    assert set(change.shapes.values()) == {0.0}


def test_scale_factors_are_those_of_direct_counting(jets, sides):
    """All logits are shifted: no area changes, rates and shapes do."""
    before = toy_logits(jets.label, 2.0)
    after = before + np.array([0.3, 0.0, 0.0])
    cuts = systematics.thresholds(jets.label, before)
    change = systematics.change(sides, before, after, cuts)
    assert change.changes["BvL"].value == pytest.approx(0, abs=1e-9)
    light = jets.label == 2
    for rate, cut in cuts.items():
        assert (discriminant(before, DISCRIMINATORS["BvL"])[light] >= cut).mean() == pytest.approx(rate, abs=1 / light.sum())
        for number, flavour in enumerate(FLAVOURS):
            counted = [np.count_nonzero(side[jets.label == number, 0] >= cut) for side in (before, after)]
            row = next(row for row in change.factors if (row.working_point, row.flavour) == (rate, flavour))
            if min(counted) < 20:
                assert isinstance(row.factor, NotDefined)
                continue
            assert row.factor.value == pytest.approx(counted[1] / counted[0], rel=1e-5)
            assert row.varied.value == pytest.approx(counted[1] / np.count_nonzero(jets.label == number), rel=1e-5)
            assert row.factor.interval.low < row.factor.value < row.factor.interval.high
            times = sides.reference_weights[1:, jets.label == number]
            in_resamples = [times @ (side[jets.label == number, 0] >= cut) for side in (before, after)]
            np.testing.assert_allclose(row.factor.values, in_resamples[1] / in_resamples[0], rtol=1e-5)
    assert change.factor("b", 0.1) is change.factors[0].factor
    assert change.shapes["b"] == pytest.approx(2 * stats.norm.cdf(0.15) - 1, abs=0.03)


def test_jets_are_paired_and_the_others_count_nothing(jets):
    """The varied file lost every tenth jet and is in another order."""
    rows = np.random.default_rng(1).permutation(np.flatnonzero(np.arange(JETS) % 10))
    varied = jets.take(rows)
    sides = Sides.same_events(jets, varied, 20)
    assert sides.paired == pytest.approx(0.9)
    counts = sides.reference_weights[0] != 0
    np.testing.assert_array_equal(counts, np.arange(JETS) % 10 != 0)
    np.testing.assert_array_equal(sides.reference[counts], sides.varied)
    np.testing.assert_array_equal(sides.reference_weights[:, counts], sides.varied_weights)
    logits = toy_logits(jets.label, 2.0)
    change = systematics.change(sides, logits, logits[rows][sides.rows], systematics.thresholds(jets.label, logits))
    assert change.changes["BvL"].value == 0
    # Another variation of the same reference has the same resamples, so means over variations have honest intervals.
    np.testing.assert_array_equal(
        Sides.same_events(jets, jets, 20).reference_weights[:, counts], sides.reference_weights[:, counts]
    )


def test_other_events_are_resampled_independently(jets):
    other = made_up(seed=5)
    sides = Sides.other_events(jets, other, 100, varied_seed=3)
    assert sides.paired is None
    assert not np.array_equal(sides.reference_weights[1:], sides.varied_weights[1:])
    before, after = toy_logits(jets.label, 2.0), toy_logits(other.label, 2.0, seed=6)
    change = systematics.change(sides, before, after, systematics.thresholds(jets.label, before))
    error = change.changes["BvL"].interval.error
    assert error == pytest.approx(np.sqrt(2) * change.areas["BvL"].interval.error, rel=0.3)
    assert abs(change.changes["BvL"].value) < 4 * error


@pytest.mark.parametrize("same_events", [True, False])
def test_jets_without_a_score_count_nothing_and_the_others_as_if_these_were_not_there(jets, same_events):
    counted = tuple(np.arange(JETS) % number != 0 for number in (10, 7))
    make = Sides.same_events if same_events else Sides.other_events
    sides = make(jets, jets, 20, counted=counted)
    before, after = toy_logits(jets.label, 2.0), toy_logits(jets.label, 1.6, seed=0 if same_events else 1)
    both = counted[0] & counted[1]
    rows = (both, both) if same_events else counted
    assert sides.paired == (pytest.approx(both.sum() / counted[0].sum()) if same_events else None)
    change = systematics.change(sides, before, after[sides.rows], systematics.thresholds(jets.label, before))
    areas = [
        RankedPair(jets.label[kept], logits[kept], DISCRIMINATORS["BvL"]).auc()
        for kept, logits in zip(rows, (before, after), strict=True)
    ]
    assert change.areas["BvL"].value == pytest.approx(areas[1], abs=1e-7)
    assert change.changes["BvL"].value == pytest.approx(areas[1] - areas[0], abs=1e-7)
    # The resamples are those of all jets, so that a tagger with all scores is compared in pairs.
    of_all = make(jets, jets, 20)
    np.testing.assert_array_equal(sides.reference_weights[:, rows[0]], of_all.reference_weights[:, rows[0]])
    np.testing.assert_array_equal(sides.varied_weights, of_all.varied_weights[:, sides.rows])


def test_a_discriminator_without_a_score_is_not_defined(jets, sides):
    logits = {"BvL": toy_logits(jets.label, 2.0)}
    change = systematics.change(sides, logits, logits, systematics.thresholds(jets.label, logits["BvL"]))
    assert change.changes["BvL"].value == 0 and change.changes["CvL"] == NotDefined("no stored score")


def test_flavours_without_jets_are_not_defined():
    jets = made_up(600)
    jets = jets.take(jets.label != 0)
    sides = Sides.same_events(jets, jets, 5)
    logits = toy_logits(jets.label, 2.0)
    change = systematics.change(sides, logits, logits, systematics.thresholds(jets.label, logits))
    assert isinstance(change.changes["BvL"], NotDefined)
    assert isinstance(change.sizes["b efficiency"], NotDefined)
    assert set(change.shapes) == {"c", "light"}


def resampled(value: float, spread: float = 0.01) -> Resampled:
    return Resampled(value, value + spread * np.linspace(-1, 1, 21))


def test_means_keep_resamples_and_leave_out_what_is_not_defined():
    number = systematics.mean([resampled(0.1), resampled(0.3), NotDefined("few jets")])
    assert number.value == pytest.approx(0.2)
    np.testing.assert_allclose(number.values, resampled(0.2).values)
    assert systematics.mean([0.1, 0.2]) == pytest.approx(0.15)
    assert systematics.mean([NotDefined("few jets")]) == NotDefined("few jets")


def test_ranks_that_agree_are_seen_and_few_taggers_are_not_enough():
    losses = [0.01, 0.02, 0.03, 0.04, 0.05, 0.06]
    same = systematics.predict(losses, [resampled(loss / 10, 1e-6) for loss in losses])
    assert same.correlation.value == 1
    assert same.events.low == 1
    assert same.p == pytest.approx(2 / 720, abs=2e-3)
    opposite = systematics.predict(losses, [-loss for loss in losses])
    assert opposite.correlation.value == -1
    mixed = systematics.predict(losses, [resampled(value) for value in (0.3, 0.1, 0.5, 0.2, 0.6, 0.4)])
    assert mixed.correlation.value == pytest.approx(stats.spearmanr(losses, [0.3, 0.1, 0.5, 0.2, 0.6, 0.4]).statistic)
    assert mixed.p > 0.1
    assert systematics.predict(losses[:4], [*[resampled(0.1)] * 3, NotDefined("none")]) == NotDefined("fewer than 4 taggers")


def toy_features(jets: int = 3000) -> np.ndarray:
    x = np.random.default_rng(4).normal(size=(jets, 20)).astype(np.float32)
    x[: jets // 4, TOY.index("vertex_mass")] = TOY.defaults[TOY.index("vertex_mass")]
    return x


def test_shifts_are_those_that_were_made():
    x = toy_features()
    jets = made_up(len(x), features=x)
    shifted, stretched, rare = x.copy(), x.copy(), x.copy()
    d0, mass, whole, eta = (TOY.index(name) for name in ("track_0_d0", "vertex_mass", "n", "eta"))
    shifted[jets.label == 0, d0] += 0.25
    shifted[:, whole] += 1
    stretched[:, mass] = np.where(x[:, mass] == TOY.defaults[mass], x[:, mass], 2 * x[:, mass])
    rare[: len(x) // 5, eta] += 9
    varied = [made_up(len(x), features=values) for values in (shifted, stretched, rare)]
    sizes = envelope.largest_shifts(TOY, jets, varied)
    assert set(sizes) == {"track_0_d0", "vertex_mass"}
    assert sizes["track_0_d0"] == {"b": pytest.approx(0.25, abs=1e-6), "c": 0.0, "light": 0.0}
    # Twice as wide: each moves by itself.
    present = x[(jets.label == 1) & (x[:, mass] != TOY.defaults[mass]), mass]
    assert sizes["vertex_mass"]["c"] == pytest.approx(np.quantile(np.abs(present), 0.68), rel=1e-5)


def test_special_values_do_not_count_in_shifts():
    """A tenth of the tracks leave a displacement of 0, and most that leave one by far; the others stay."""
    column = JET_FLAVOR.index("track_0_vertex_displacement")
    generator = np.random.default_rng(6)
    x = np.tile(JET_FLAVOR.defaults, (2000, 1)).astype(np.float32)
    x[:, column] = np.where(generator.random(2000) < 0.6, 0, generator.exponential(1, 2000))
    left = x.copy()
    left[:, column] = np.where(x[:, column] == 0, 0.3, x[:, column])
    jets, varied = (made_up(2000, features=values) for values in (x, left))
    assert envelope.largest_shifts(JET_FLAVOR, jets, [varied]) == {}


def test_tracks_are_found_again_in_another_slot():
    """Slots change places; D0 moves by 5 µm and its variance by 21 %; what follows in all jets has no size."""
    generator = np.random.default_rng(7)
    x = np.tile(JET_FLAVOR.defaults, (900, 1)).astype(np.float32)
    columns = {}
    for name in ("D0", "PHI", "THETA", "D0D0", "Z0Z0", "Z0D0"):
        columns[name] = [JET_FLAVOR.index(f"track_{slot}_{name}") for slot in (0, 1)]
        x[:, columns[name]] = generator.uniform(0.1, 0.3, (900, 2))
    varied = x.copy()
    varied[:, columns["D0"]] += 0.005
    varied[:, columns["D0D0"]] *= 1.21
    varied[:, columns["Z0D0"]] *= 1.1
    for name in columns:
        varied[:450, columns[name]] = varied[:450][:, columns[name][::-1]]
    sizes = envelope.largest_shifts(JET_FLAVOR, *(made_up(900, features=x), [made_up(900, features=varied)]))
    assert set(sizes) == {f"track_{slot}_{name}" for slot in (0, 1) for name in ("D0", "D0D0")}
    assert sizes["track_0_D0"]["b"] == pytest.approx(0.005, rel=1e-4)
    assert sizes["track_1_D0D0"] == pytest.approx(0.21, rel=1e-4)


def test_budget_file_is_read_as_a_budget(tmp_path):
    path = tmp_path / "envelope.toml"
    sizes = {"track_0_d0": {"b": 0.123456, "c": 0.0, "light": 1e-5}, "vertex_mass": 0.21}
    path.write_text(envelope.budget_file('of "two" variations', "toy", sizes))
    content = tomllib.loads(path.read_text())
    assert content["title"] == 'of "two" variations'
    assert content["toy"] == {"track_0_d0": {"b": 0.123, "c": 0.0, "light": 1e-5}, "vertex_mass": {"share": 0.21}}
    budget = budgets.Budget.of(TOY, np.ones(20), 1.0, str(path))
    assert budget.named.sum() == 2
    assert budget.scale[TOY.index("track_0_d0")] == pytest.approx(0.123)


def test_tables_say_what_was_measured(jets, sides):
    before = toy_logits(jets.label, 2.0)
    cuts = systematics.thresholds(jets.label, before)
    changes = {
        f"tagger {number}": {
            name: systematics.change(sides, before, toy_logits(jets.label, 2.0 - number * size), cuts)
            for name, size in (("small", 0.02), ("large", 0.1))
        }
        for number in range(5)
    }
    trainings = {f"tagger {number}": [f"tagger {number}"] for number in range(3)} | {"tagger 3": ["tagger 3", "tagger 4"]}
    losses = {tagger: {"FGSM": resampled(0.01 * number, 1e-3)} for number, tagger in enumerate(changes)}
    areas = dict.fromkeys(changes, resampled(0.92, 1e-3))
    groups = {"uncertainties": ["small"], "detector": ["small", "large"]}
    about = {name: {"kind": "detector", "paired": 1.0} for name in ("small", "large")}
    summary = systematics_tables.summary_rows(areas, changes, losses, groups)
    content = {
        "jets": JETS,
        "groups": groups,
        "trainings": trainings,
        "summary": summary,
        "predictions": systematics_tables.prediction_rows(changes, losses, groups, trainings),
        "rows": systematics_tables.change_rows(changes, about),
    }
    assert [row["worst"] for row in content["summary"][1:]] == ["large"] * 4
    last = content["summary"][3]
    assert last["detector, above tagger 0"].value == pytest.approx(-last["detector, area"].value, abs=1e-9)
    area = next(row for row in content["predictions"] if row["variations"] == "detector" and row["quantity"] == "area")
    assert area["correlation"].value == 1 and area["taggers"] == 4
    assert len(content["rows"]) == 10
    rows = systematics_tables.training_rows(summary, trainings)
    of_seeds = rows[3]
    assert [row["seeds"] for row in rows] == [1, 1, 1, 2] and rows[1]["area"] is summary[1]["area"]
    missing = NotDefined("no c jets")
    without = [{**row, "area": missing} if row["tagger"] == "tagger 4" else row for row in summary]
    assert systematics_tables.training_rows(without, trainings)[3]["area"] == missing
    assert of_seeds["loss under FGSM"].values == pytest.approx((0.03, 0.04))
    assert of_seeds["detector, above tagger 0"].mean == pytest.approx(-of_seeds["detector, area"].mean, abs=1e-9)
    assert (of_seeds["worst"], of_seeds["worst change"]) == ("large", summary[4]["worst change"])
    swapped = systematics_tables.training_rows(summary, {"last": ["tagger 3", "tagger 0"], "first": ["tagger 1"]})
    mean = np.mean([row["detector, above tagger 0"].value for row in summary[3:4]]) / 2
    assert swapped[1]["detector, above tagger 0"].value == pytest.approx(summary[1]["detector, above tagger 0"].value - mean)
    assert rows[0]["detector, above tagger 0"] == swapped[0]["detector, above tagger 0"] == NotDefined("the first tagger")
    points, _ = systematics_tables.figure_rows(content)
    point = next(row for row in points if row["tagger"] == "tagger 3")
    assert (point["loss"].value, point["loss"].error) == pytest.approx((0.035, summary[3]["loss under FGSM"].error))
    text = systematics_tables.markdown(json.loads(json.dumps(plain(content)), object_hook=revived))
    assert text == systematics_tables.markdown(content)
    assert "| tagger 3" in text and "+1.00" in text
    _, cells = systematics_tables.prediction_table(content["predictions"])
    assert cells[1][:3] == ["FGSM", "detector", f"{area['correlation']:+[]}"]
    header, cells = systematics_tables.detail_table(content["rows"])
    assert len(cells) == 10 and "b at 0.01, factor" in header
    assert isinstance(content["rows"][0]["BvL change"], Interval)


def test_areas_for_many_weights_are_those_for_each():
    """With ties, with weights of 0, and where a flavour has none left."""
    generator = np.random.default_rng(2)
    label, logits = generator.integers(0, 3, 400), np.round(generator.normal(size=(400, 3)), 1)
    weights = generator.integers(0, 3, (5, 400)).astype(np.float32)
    weights[4, label == 0] = 0
    pair = RankedPair(label, logits, DISCRIMINATORS["BvL"])
    np.testing.assert_allclose(pair.aucs(weights)[:4], [pair.auc(row) for row in weights[:4]], rtol=1e-12)
    assert np.isnan(pair.aucs(weights)[4])
    assert np.isnan(RankedPair(np.full(400, 1), logits, DISCRIMINATORS["BvL"]).aucs(weights)).all()


@pytest.mark.parametrize("same_events", [True, False])
def test_weights_of_both_files_count(jets, same_events):
    """Areas and factors against weighted counting."""
    generator = np.random.default_rng(7)
    sets = [
        Jets(jets.features, jets.label, jets.spectators | {"generator_weight": generator.uniform(0.2, 3, JETS)}, 3)
        for _ in range(2)
    ]
    sides = (Sides.same_events if same_events else Sides.other_events)(*sets, 5)
    logits = toy_logits(jets.label, 2.0), toy_logits(jets.label, 1.6)
    cuts = systematics.thresholds(jets.label, logits[0], sets[0].weights)
    change = systematics.change(sides, *logits, cuts)
    pair, light = DISCRIMINATORS["BvL"], jets.label == 2
    areas = [RankedPair(jets.label, values, pair).auc(of.weights) for values, of in zip(logits, sets, strict=True)]
    assert change.areas["BvL"].value == pytest.approx(areas[1], abs=1e-6)
    assert change.changes["BvL"].value == pytest.approx(areas[1] - areas[0], abs=1e-6)
    passed = [
        [of.weights[light & (values[:, 0] >= cuts[0.1])].sum(), of.weights[light].sum()]
        for values, of in zip(logits, sets, strict=True)
    ]
    assert passed[0][0] / passed[0][1] == pytest.approx(0.1, abs=3 / light.sum())
    row = next(row for row in change.factors if (row.working_point, row.flavour) == (0.1, "light"))
    assert row.factor.value == pytest.approx(passed[1][0] / passed[1][1] / (passed[0][0] / passed[0][1]), rel=1e-5)
