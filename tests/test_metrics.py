import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import norm
from sklearn.metrics import log_loss, roc_auc_score, roc_curve

from kerastag import metrics
from kerastag.errors import UserError
from kerastag.metrics import DISCRIMINATORS, Bootstrap, RankedPair, discriminant, discriminator_auc
from kerastag.results import NotDefined
from kerastag.schema import Separation
from kerastag.schema.discriminators import default


def sample(jets=20_000, strength=4.0, seed=0):
    generator = np.random.default_rng(seed)
    label = generator.choice(3, jets, p=[0.4, 0.15, 0.45])
    logits = (generator.normal(size=(jets, 3)) + strength * np.eye(3)[label]).astype(np.float32)
    return label, logits, generator.uniform(0.1, 3, jets)


@pytest.mark.parametrize("name", DISCRIMINATORS)
@pytest.mark.parametrize("strength", [0.5, 4.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_area_equals_scikit_learn(name, strength, weighted):
    label, logits, w = sample(strength=strength)
    ((over,), (against,)) = DISCRIMINATORS[name].columns
    pair = (label == over) | (label == against)
    p = softmax(logits.astype(np.float64), axis=1)
    expected = roc_auc_score(
        label[pair] == over, (p[:, over] / (p[:, over] + p[:, against]))[pair], sample_weight=w[pair] if weighted else None
    )
    area = discriminator_auc(label, logits, w if weighted else None, separations=[DISCRIMINATORS[name]])[name]
    assert area == pytest.approx(expected, abs=1e-6)
    if strength > 1:
        assert area > 0.98  # where 200 thresholds are not enough


def test_one_hot_and_probabilities_give_the_same():
    label, logits, _ = sample()
    from_logits = discriminator_auc(label, logits)
    from_probabilities = discriminator_auc(np.eye(3)[label], softmax(logits.astype(np.float64), axis=1))
    assert from_logits == pytest.approx(from_probabilities, abs=1e-9)


def test_logits_tell_jets_apart_that_tie_at_probability_one():
    label = np.array([0, 2] * 500)
    margin = np.where(label == 0, 60.0, 50.0)
    logits = np.stack([margin, np.zeros(1000), np.zeros(1000)], axis=1).astype(np.float32)
    probabilities = softmax(logits, axis=1)
    assert discriminator_auc(label, logits)["BvL"] == 1.0
    assert discriminator_auc(label, probabilities)["BvL"] == 0.5


def test_ties_count_half_as_in_scikit_learn():
    generator = np.random.default_rng(1)
    label, logits = generator.integers(0, 3, 3000), generator.integers(0, 4, (3000, 3)).astype(np.float32)
    pair = label != 1
    expected = roc_auc_score(label[pair] == 0, (logits[:, 0] - logits[:, 2])[pair])
    assert discriminator_auc(label, logits)["BvL"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_equals_scikit_learn(weighted):
    rng = np.random.default_rng(3)
    label, logits = rng.integers(0, 3, 200), rng.normal(0, 5, (200, 3)).astype(np.float32)
    weights = rng.uniform(0, 2, 200) if weighted else None
    expected = log_loss(label, softmax(logits.astype(np.float64), axis=1), sample_weight=weights)
    assert metrics.mean_cross_entropy(np.eye(3)[label], logits, weights) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("jets", [0, 5])
def test_cross_entropy_without_weight_is_no_number(jets):
    """It ended in a traceback."""
    assert np.isnan(metrics.mean_cross_entropy(np.eye(3)[np.zeros(jets, int)], np.zeros((jets, 3)), np.zeros(jets)))


def test_missing_flavour_is_said():
    label, logits, _ = sample()
    areas = discriminator_auc(label[label != 0], logits[label != 0])
    assert areas["BvL"] == areas["CvB"] == NotDefined("no b jets")
    assert str(areas["BvL"]) == "not defined: no b jets"
    assert 0.9 < areas["CvL"] < 1


def test_negative_weights_cancel_jets():
    label, logits, _ = sample(2000)
    doubled = np.concatenate([np.ones(2000), -np.ones(500), np.ones(500)])
    index = np.concatenate([np.arange(2000), np.arange(500), np.arange(500)])
    areas = discriminator_auc(label[index], logits[index], doubled)
    assert areas == pytest.approx(discriminator_auc(label, logits), abs=1e-12)


def test_mistag_rate_is_that_of_scikit_learns_curve():
    label, logits, w = sample(3000, strength=1.5)
    pair = label != 1
    fpr, tpr, _ = roc_curve(
        label[pair] == 0, (logits[:, 0].astype(float) - logits[:, 2])[pair], sample_weight=w[pair], drop_intermediate=False
    )
    for efficiency in (0.7, 0.9, 0.99):
        rate = RankedPair(label, logits, DISCRIMINATORS["BvL"]).mistag(efficiency, w)
        assert rate == pytest.approx(np.interp(efficiency, tpr, fpr))
    assert RankedPair(label, logits, DISCRIMINATORS["BvL"]).mistag(0.02) == NotDefined("fewer than 20 mistagged jets")
    assert RankedPair(label[label != 0], logits[label != 0], DISCRIMINATORS["BvL"]).mistag(0.7) == NotDefined("no b jets")


def test_roc_curve_equals_scikit_learn():
    label, logits, w = sample(3000)
    efficiency, mistag, mistagged = RankedPair(label, logits, DISCRIMINATORS["BvL"]).roc(w)
    pair = label != 1
    fpr, tpr, _ = roc_curve(
        label[pair] == 0, (logits[:, 0].astype(float) - logits[:, 2])[pair], sample_weight=w[pair], drop_intermediate=False
    )
    np.testing.assert_allclose(efficiency, tpr[1:], atol=1e-12)
    np.testing.assert_allclose(mistag, fpr[1:], atol=1e-12)
    assert mistagged[-1] == (label == 2).sum()


def test_bootstrap_error_is_that_of_hanley_and_mcneil():
    """For independent jets the error of an area is known: Radiology 143 (1982) 29."""
    label, logits, _ = sample(4000, strength=1.0)
    pair = RankedPair(label, logits, DISCRIMINATORS["BvL"])
    area = pair.auc()
    n, m = (label == 0).sum(), (label == 2).sum()
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    expected = np.sqrt((area * (1 - area) + (n - 1) * (q1 - area**2) + (m - 1) * (q2 - area**2)) / (n * m))
    interval = Bootstrap(np.arange(4000), replicates=400).resample(pair.auc).interval
    assert interval.value == area
    assert interval.error == pytest.approx(expected, rel=0.2)


def test_bootstrap_keeps_events_together():
    """Each jet four times: resampling jets would halve the error, resampling events must not."""
    label, logits, _ = sample(1000, strength=1.0)
    once = Bootstrap(np.arange(1000), 300).values(RankedPair(label, logits, DISCRIMINATORS["BvL"]).auc).std()
    copied = RankedPair(np.tile(label, 4), np.tile(logits, (4, 1)), DISCRIMINATORS["BvL"])
    assert Bootstrap(np.tile(np.arange(1000), 4), 300).values(copied.auc).std() == pytest.approx(once, rel=0.15)
    assert Bootstrap(np.arange(4000), 300).values(copied.auc).std() < 0.65 * once


def delong(label, first, second):
    """Areas of two scores on the same jets and their covariance: DeLong et al., Biometrics 44 (1988) 837, equations 4 to 6."""
    over, against = (np.stack([score[label == flavour] for score in (first, second)]) for flavour in (0, 2))
    wins = (over[:, :, None] > against[:, None, :]) + 0.5 * (over[:, :, None] == against[:, None, :])
    areas = wins.mean(axis=(1, 2))
    covariance = np.cov(wins.mean(axis=2)) / over.shape[1] + np.cov(wins.mean(axis=1)) / against.shape[1]
    return areas, covariance


def two_taggers(jets=1500, seed=0):
    label, logits, _ = sample(jets, strength=1.0, seed=seed)
    noise = np.random.default_rng(seed + 1).normal(size=logits.shape)
    return label, logits, (logits + 0.7 * noise).astype(np.float32)


def test_bootstrap_errors_are_delongs():
    label, first, second = two_taggers()
    areas, covariance = delong(label, *(scores[:, 0].astype(float) - scores[:, 2] for scores in (first, second)))
    pairs = [RankedPair(label, scores, DISCRIMINATORS["BvL"]) for scores in (first, second)]
    assert [pair.auc() for pair in pairs] == pytest.approx(areas)
    bootstrap = Bootstrap(np.arange(len(label)), replicates=600)
    first, second = (bootstrap.resample(pair.auc) for pair in pairs)
    errors = [area.values.std() for area in (first, second)]
    np.testing.assert_allclose(errors, np.sqrt(np.diag(covariance)), rtol=0.1)
    of_difference = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    assert (first - second).value == pytest.approx(areas[0] - areas[1])
    assert (first - second).values.std() == pytest.approx(of_difference, rel=0.1)
    assert of_difference < 0.8 * np.sqrt(np.trace(covariance))  # pairing matters here


def test_intervals_cover_a_known_area():
    """Two normal scores a distance d apart have the area Φ(d/√2); 68 % of the intervals must hold it."""
    generator = np.random.default_rng(3)
    truth, inside = norm.cdf(1 / np.sqrt(2)), 0
    for trial in range(300):
        label = np.repeat([0, 2], 150)
        logits = np.zeros((300, 3), np.float32)
        logits[:, 0] = generator.normal(size=300) + (label == 0)
        interval = (
            Bootstrap(np.arange(300), 120, seed=trial).resample(RankedPair(label, logits, DISCRIMINATORS["BvL"]).auc).interval
        )
        inside += interval.low < truth < interval.high
    assert 0.60 < inside / 300 < 0.75  # 68 % ± 2.7 %


def test_weighted_bootstrap_is_that_of_repeated_jets():
    """A jet of weight 3 in an event counts as three jets of that event."""
    label, logits, _ = sample(800, strength=1.0)
    times = np.random.default_rng(5).integers(1, 4, 800)
    weighted = Bootstrap(np.arange(800), 50, weights=times.astype(float)).resample(
        RankedPair(label, logits, DISCRIMINATORS["BvL"]).auc
    )
    repeated = np.repeat(np.arange(800), times)
    expected = Bootstrap(repeated, 50).resample(RankedPair(label[repeated], logits[repeated], DISCRIMINATORS["BvL"]).auc)
    assert weighted.value == pytest.approx(expected.value)
    np.testing.assert_allclose(weighted.values, expected.values)


def test_resamples_without_a_value_are_not_finite_and_jets_without_one_say_why():
    label, logits = np.array([0, 2, 2]), np.zeros((3, 3), np.float32)
    bootstrap = Bootstrap(np.arange(3), 50)
    area = bootstrap.resample(RankedPair(label, logits, DISCRIMINATORS["BvL"]).auc)
    assert area.value == 0.5 and np.isnan(area.values).any() and np.nanmax(area.values) == 0.5
    assert (area.interval.low, area.interval.high) == (0.5, 0.5)
    assert bootstrap.resample(RankedPair(label, logits, DISCRIMINATORS["CvL"]).auc) == NotDefined("no c jets")


LABELS = np.array([0, 0, 2, 2, 1])
LOGITS = np.array([[2.0, 0, 0], [1, 0, 2], [0, 0, 1], [0, 0, -1], [0, 3, 0]])


@pytest.mark.parametrize(
    ("weights", "reason"),
    (
        ([1, 1, np.nan, 1, 1], "do not add up to a finite number above 0"),
        ([np.inf, 1, 1, 1, 1], "do not add up to a finite number above 0"),
        ([1, 1, np.inf, 1, 1], "do not add up to a finite number above 0"),
        ([0, 0, 1, 1, 1], "do not add up to a finite number above 0"),
        ([1, 1, 1, -1, 1], "do not add up to a finite number above 0"),
    ),
)
def test_areas_of_impossible_weights_are_not_defined(weights, reason):
    area = discriminator_auc(LABELS, LOGITS, np.array(weights, float))["BvL"]
    assert isinstance(area, NotDefined) and reason in area.reason


def test_tiny_weights_are_weights():
    area = discriminator_auc(LABELS, LOGITS, np.full(5, 1e-3))["BvL"]
    assert area == pytest.approx(discriminator_auc(LABELS, LOGITS)["BvL"])


@pytest.mark.parametrize("value", (np.nan, np.inf))
def test_areas_of_outputs_that_are_not_finite_are_not_defined(value):
    """Two infinite logits have no difference; one alone is only very large."""
    logits = LOGITS.copy()
    logits[1, [0, 2]] = value
    pair = RankedPair(LABELS, logits, DISCRIMINATORS["BvL"])
    assert pair.auc() == pair.mistag(0.5) == NotDefined("the outputs of 1 jets are not finite")
    assert np.isnan(pair.aucs(np.ones((2, 5)))).all()
    logits[1, 2] = 0
    if np.isinf(value):
        assert RankedPair(LABELS, logits, DISCRIMINATORS["BvL"]).auc() == 1.0


def test_both_flavours_may_be_missing():
    assert RankedPair(np.array([1, 1]), LOGITS[:2], DISCRIMINATORS["BvL"]).auc() == NotDefined("no b and no light jets")


def test_areas_of_many_weights_are_those_of_each():
    generator = np.random.default_rng(0)
    label, scores = generator.integers(0, 3, 300), np.round(generator.normal(size=(300, 3)), 1)  # with ties
    weights = generator.exponential(size=(5, 300)).astype(np.float32)
    weights[2] *= 1e-6
    for row, flavour in ((3, 1), (4, 2)):
        weights[row, label == flavour] = 0
    pair = RankedPair(label, scores, DISCRIMINATORS["CvL"])
    np.testing.assert_allclose(pair.aucs(weights)[:3], [pair.auc(row) for row in weights[:3]], rtol=1e-12)
    assert np.isnan(pair.aucs(weights)[3:]).all()
    assert all(isinstance(pair.auc(row), NotDefined) for row in weights[3:])


def test_probabilities_are_told_from_logits():
    """Also certain ones, ones of neither flavour, and ones that add up to 1 within the rounding of 16 bits."""
    label = np.array([0, 2, 0, 2])
    probabilities = np.array([[0.02, 0.94, 0.04], [0.3, 0.3, 0.4005], [1, 0, 0], [0, 1, 0]])
    # b/(b + light) is 0.33, 0.43, 1 and, where neither is possible, a half.
    assert discriminator_auc(label, probabilities)["BvL"] == 2 / 4
    # As logits, by their differences: -0.02, -0.1, 1 and 0.
    for factor in (0.5, 2):
        assert discriminator_auc(label, factor * probabilities)["BvL"] == 3 / 4
    assert discriminator_auc(label, np.add(probabilities, [2, -1, -1]))["BvL"] == 3 / 4


def test_each_resample_draws_as_many_events_as_there_are():
    events = np.repeat(np.arange(50), 3)
    for times in Bootstrap(events, 20).times():
        assert times[::3].sum() == 50 and (times.reshape(50, 3) == times[::3, None]).all()


def test_a_roc_curve_ends_at_1():
    """By hand: margins are 2 and -1 of b jets, -1 and 1 of light jets, so one pair is tied."""
    efficiency, mistag, mistagged = RankedPair(LABELS, LOGITS, DISCRIMINATORS["BvL"]).roc(np.array([2.0, 1, 1, 3, 1]))
    np.testing.assert_allclose(efficiency, [2 / 3, 2 / 3, 1])
    np.testing.assert_allclose(mistag, [0, 3 / 4, 1])
    assert mistagged.tolist() == [0, 1, 2]


FIVE = ("tau", "light", "c", "gluon", "b")
# b / (0.1 c + 0.9 light + 0.5 gluon), and quarks against leptons: no side is a single class of weight 1.
RATIO = Separation("b_ratio", FIVE, ((4, 1.0),), ((2, 0.1), (1, 0.9), (3, 0.5)))
HADRONS = Separation("hadrons", FIVE, ((1, 2.0), (2, 1.0), (4, 1.0)), ((0, 0.3),))


@pytest.mark.parametrize("separation", [RATIO, HADRONS], ids=lambda one: one.name)
@pytest.mark.parametrize("as_probabilities", [False, True])
def test_area_of_a_weighted_ratio_equals_scikit_learn(separation, as_probabilities):
    generator = np.random.default_rng(0)
    label, w = generator.integers(0, 5, 5000), generator.uniform(0.1, 3, 5000)
    logits = generator.normal(size=(5000, 5)) + 2 * np.eye(5)[label]
    p = softmax(logits, axis=1)
    over, against = (sum(weight * p[:, column] for column, weight in side) for side in (separation.over, separation.against))
    found, rejected = (np.isin(label, [column for column, _ in side]) for side in (separation.over, separation.against))
    pair = found | rejected
    expected = roc_auc_score(found[pair], (over / against)[pair], sample_weight=w[pair])
    (area,) = discriminator_auc(label, p if as_probabilities else logits, w, [separation]).values()
    assert area == pytest.approx(expected, abs=1e-9)


def test_between_two_classes_of_weight_one_it_is_the_difference_of_logits_bit_for_bit():
    _, logits, _ = sample(1000)
    expected = logits[:, 0].astype(np.float64) - logits[:, 2].astype(np.float64)
    np.testing.assert_array_equal(discriminant(logits, DISCRIMINATORS["BvL"]), expected)


@pytest.mark.parametrize("order", [("light", "c", "b"), ("c", "light", "b")])
def test_areas_do_not_depend_on_the_order_of_the_classes(order):
    label, logits, w = sample(3000, strength=1.0)
    columns = [("b", "c", "light").index(name) for name in order]
    separations = [Separation.of(one, order) for one in default(order)[:3]]
    permuted = discriminator_auc(np.eye(3)[label][:, columns], logits[:, columns], w, separations)
    assert permuted == discriminator_auc(label, logits, w)


def test_finer_classes_count_as_their_flavour_and_two_classes_are_enough():
    label, logits, _ = sample(3000, strength=1.0)
    names = ("g", "b", "uds", "c", "tau")
    b_against_light = Separation.of(default(names)[0], names)
    assert (b_against_light.name, b_against_light.sides) == ("BvL", ("b", "g+uds"))
    of_five = np.array([1, 3, 2])[label]
    of_five[::2][of_five[::2] == 2] = 0  # half of the light jets are gluons
    scores = np.full((3000, 5), -30.0)
    scores[:, [1, 3, 2]] = logits
    (area,) = discriminator_auc(of_five, scores, None, [b_against_light]).values()
    assert area == pytest.approx(discriminator_auc(label, logits)["BvL"])
    pair = label != 1
    (two,) = (Separation.of(one, ("signal", "other")) for one in default(("signal", "other")))
    areas = discriminator_auc(label[pair] // 2, logits[pair][:, [0, 2]], None, [two])
    assert areas == {"signal_vs_other": discriminator_auc(label, logits)["BvL"]}


@pytest.mark.parametrize("columns", [2, 5])
def test_other_numbers_of_columns_are_refused(columns):
    with pytest.raises(UserError, match=f"BvL needs scores of b, c, light, not {columns} columns"):
        discriminator_auc(np.arange(10) % columns, np.zeros((10, columns)))


def test_sides_without_jets_are_named():
    area = RankedPair(np.full(3, 4), np.zeros((3, 5)), RATIO).auc()
    assert area == NotDefined("no c+light+gluon jets")


@pytest.mark.parametrize(
    ("y", "scores"),
    [(np.zeros(4, int), np.zeros((5, 3))), (np.eye(3), np.zeros((3, 4))), (np.eye(2), np.zeros((2, 3)))],
)
def test_labels_of_other_jets_or_classes_are_refused(y, scores):
    with pytest.raises(UserError, match="do not go with scores of shape"):
        discriminator_auc(y, scores)


def test_weights_of_other_jets_are_refused():
    pair = RankedPair(np.array([0, 2, 0]), np.eye(3), DISCRIMINATORS["BvL"])
    for weights in (np.ones(4), np.ones((3, 1)), 1.0):
        with pytest.raises(UserError, match="do not go with 3 jets"):
            pair.auc(weights)


@pytest.mark.parametrize("weighted", [False, True])
def test_areas_of_resamples_equal_scikit_learn(weighted, monkeypatch):
    """Also where scores tie, and where resamples come in several blocks, of which the last is smaller."""
    generator = np.random.default_rng(3)
    events, label = generator.integers(0, 150, 400), generator.integers(0, 3, 400)
    logits = np.round(generator.normal(size=(400, 3)) + np.eye(3)[label], 1)
    weights = generator.random(400) + 0.5 if weighted else np.ones(400)
    bootstrap = Bootstrap(events, 25, weights=weights)
    monkeypatch.setattr(metrics, "_AT_ONCE", 4_000)
    area = bootstrap.area(RankedPair(label, logits, DISCRIMINATORS["BvL"]))
    rows, score = label != 1, logits[:, 0] - logits[:, 2]
    expected = [roc_auc_score(label[rows] == 0, score[rows], sample_weight=draw[rows]) for draw in bootstrap.draws()]
    np.testing.assert_allclose(area.values, expected, rtol=1e-12)
    assert area.value == pytest.approx(roc_auc_score(label[rows] == 0, score[rows], sample_weight=weights[rows]), rel=1e-12)


def test_areas_of_resamples_of_weight_one_are_those_of_each_bit_for_bit():
    generator = np.random.default_rng(4)
    label, logits = generator.integers(0, 3, 3000), generator.normal(size=(3000, 3)).astype(np.float32)
    bootstrap, pair = Bootstrap(np.arange(3000), 30), RankedPair(label, logits, DISCRIMINATORS["CvB"])
    np.testing.assert_array_equal(bootstrap.area(pair).values, bootstrap.resample(pair.auc).values)


def test_area_without_jets_says_why():
    pair = RankedPair(np.zeros(5, int), np.ones((5, 3)), DISCRIMINATORS["BvL"])
    assert Bootstrap(np.arange(5)).area(pair) == NotDefined("no light jets")
