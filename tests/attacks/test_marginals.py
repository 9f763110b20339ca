import keras
import numpy as np
import pytest

from kerastag import models
from kerastag.attacks import FGSM, PAPER, Condition, ThreatModel, compare_marginals, marginal_preserving
from kerastag.attacks.exchange import Exchange, exchange
from kerastag.attacks.samples import attacked_features, attacked_logits
from kerastag.errors import UserError
from kerastag.metrics import discriminator_auc

WIDTH = 6
ABSENT = -99


def threat_model(epsilon, **options):
    return ThreatModel(epsilon, np.ones(WIDTH), np.arange(WIDTH) == 5, np.full(WIDTH, ABSENT), **options)


@pytest.fixture(scope="module")
def jets():
    """Correlated features of two flavours; of one a tenth of the cells is absent, of another half are exactly 0."""
    generator = np.random.default_rng(0)
    label = generator.integers(0, 2, 6000) * 2
    x = generator.normal(size=(6000, WIDTH)) @ generator.normal(size=(WIDTH, WIDTH)) / 2 + label[:, None] * 0.4
    x[:, 5] = np.rint(x[:, 5])
    x[generator.random(6000) < 0.1, 4] = ABSENT
    x[generator.random(6000) < 0.5, 3] = 0
    return x.astype(np.float32), np.eye(3, dtype=np.float32)[label]


@pytest.fixture(scope="module")
def tagger(jets):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((WIDTH,))
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Dense(16, "tanh")(inputs)))
    model.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True))
    model.fit(*jets, epochs=3, verbose=0)
    return model


def area(tagger, x, y):
    return discriminator_auc(y, attacked_logits(tagger, x, y, None))["BvL"]


def attacked_with(attack, tagger, x, y):
    return np.asarray(attack(tagger, x, y))


def flavours(y):
    return [rows for rows in (y.T == 1) if rows.any()]


def largest_shift(clean, attacked):
    """Largest change of the number of values below any, by hand."""
    return max(abs(int((clean <= value).sum()) - int((attacked <= value).sum())) for value in np.concatenate([clean, attacked]))


@pytest.fixture(scope="module")
def numbers():
    generator = np.random.default_rng(1)
    return generator.normal(size=400).astype(np.float32), generator.normal(1, 1, 400).astype(np.float32)


@pytest.mark.parametrize("slack", [0, 1, 10])
def test_exchange_keeps_values_within_limits_and_their_distribution(numbers, slack):
    values, gain = numbers
    step = np.random.default_rng(2).uniform(0, 0.3, 400).astype(np.float32)
    new = exchange(values, values - step, values + step, gain, slack)
    assert (abs(new - values) <= step + 1e-6).all()
    assert largest_shift(values, new) <= slack
    if not slack:
        np.testing.assert_array_equal(np.sort(new), np.sort(values))
    assert gain @ (new - values) > 0


def test_more_slack_gains_more_up_to_what_the_attack_itself_does(numbers):
    values, gain = numbers
    gains = [gain @ (exchange(values, values - 0.1, values + 0.1, gain, slack) - values) for slack in (0, 5, 20, 400)]
    assert gains == sorted(gains) and gains[0] < 0.7 * gains[-1]
    assert gains[-1] == pytest.approx(0.1 * abs(gain).sum(), rel=1e-3)


def test_the_jet_of_median_gain_stays_although_it_could_go_up_furthest():
    values = np.array([1.0, 2.0, 3.0])
    high, gain = np.array([5.0, 9.0, 5.0]), np.array([-1.0, 0.5, 1.0])
    np.testing.assert_array_equal(exchange(values, np.zeros(3), high, gain), values)


def test_two_jets_exchange_their_values_if_they_reach():
    values, gain = np.array([0.0, 1.0]), np.array([2.0, 1.0])
    np.testing.assert_array_equal(exchange(values, values - 1, values + 1, gain), [1, 0])
    np.testing.assert_array_equal(exchange(values, values - 0.9, values + 0.9, gain), values)
    np.testing.assert_array_equal(exchange(values, values - 1, values + 1, -gain), values)


def test_every_flavour_keeps_its_values_exactly(tagger, jets):
    x, y = jets
    attack = FGSM(threat_model(0.3))
    attacked, marginals = marginal_preserving(attack, tagger, x, y)
    for rows in flavours(y):
        np.testing.assert_array_equal(np.sort(attacked[rows], axis=0), np.sort(x[rows], axis=0))
    assert marginals.distance.max() == 0
    assert compare_marginals(x, attacked_with(attack, tagger, x, y), y, attack.threat_model).distance.max() > 0.05


def test_values_that_many_jets_share_stay(tagger, jets):
    """Moves that leave a spike and balance each other in coarse bins went unnoticed."""
    x, y = jets
    attack = FGSM(threat_model(0.3))
    assert (attacked_with(attack, tagger, x, y)[:, 3] == 0).mean() < 0.01
    for tolerance in (0.0, 0.02):
        attacked, _ = marginal_preserving(attack, tagger, x, y, tolerance=tolerance)
        np.testing.assert_array_equal(attacked[x[:, 3] == 0, 3], 0)


@pytest.mark.parametrize("tolerance", [0.005, 0.03])
def test_distances_stay_within_a_tolerance(tagger, jets, tolerance):
    x, y = jets
    attacked, marginals = marginal_preserving(FGSM(threat_model(0.3)), tagger, x, y, tolerance=tolerance)
    assert 0 < marginals.distance.max() <= tolerance + 1e-9
    for flavour, rows in ((0, y[:, 0] == 1), (2, y[:, 2] == 1)):
        for column in range(WIDTH):
            present = rows & (x[:, column] != ABSENT)
            shift = largest_shift(x[present, column], attacked[present, column])
            assert marginals.distance[flavour, column] == pytest.approx(shift / present.sum(), abs=1e-6)


def test_it_obeys_the_threat_model_and_hurts_less_than_fgsm_but_does_hurt(tagger, jets):
    x, y = jets
    model = threat_model(0.3, relative_cap=0.5)
    attacked, marginals = marginal_preserving(FGSM(model), tagger, x, y)
    budget = np.asarray(model.budget(x))
    assert (abs(attacked - x) <= budget + 1e-5).all()
    np.testing.assert_array_equal(attacked[budget == 0], x[budget == 0])
    assert 0.3 < marginals.moved < 1
    clean, preserving, plain = (area(tagger, values, y) for values in (x, attacked, attacked_with(FGSM(model), tagger, x, y)))
    assert plain < preserving < clean - 0.2 * (clean - plain)


def test_a_tolerance_hurts_more(tagger, jets):
    x, y = jets
    attacks = [marginal_preserving(FGSM(threat_model(0.3)), tagger, x, y, tolerance=size)[0] for size in (0.0, 0.02, 0.1)]
    areas = [area(tagger, attacked, y) for attacked in attacks]
    assert areas == sorted(areas, reverse=True)


def test_correlations_stay_within_their_bound(tagger, jets):
    x, y = jets
    attack = FGSM(threat_model(0.3))
    _, free = marginal_preserving(attack, tagger, x, y)
    attacked, marginals = marginal_preserving(attack, tagger, x, y, correlation=0.01)
    assert marginals.correlation <= 0.01 < free.correlation
    complete = [0, 1, 2, 3, 5]
    for rows in flavours(y):
        change = np.corrcoef(attacked[rows][:, complete].T) - np.corrcoef(x[rows][:, complete].T)
        assert abs(change).max() <= 0.01 + 1e-6
    assert marginals.distance.max() == 0 and marginals.moved > 0


def test_jets_that_are_attacked_already_are_taken_as_they_are(tagger, jets):
    x, y = jets
    attack = FGSM(threat_model(0.3))
    attacked = attacked_features(tagger, x, y, attack)
    before = attacked.copy()
    preserved, _ = marginal_preserving(attack, tagger, x, y, attacked=attacked)
    np.testing.assert_array_equal(attacked, before)
    np.testing.assert_array_equal(preserved, marginal_preserving(attack, tagger, x, y)[0])
    none, marginals = marginal_preserving(attack, tagger, x, y, attacked=x)
    np.testing.assert_array_equal(none, x)
    assert marginals.moved == 0


@pytest.mark.parametrize("rules", [{}, {"physics": PAPER}], ids=["physics", "paper"])
def test_jets_with_features_that_follow_others(dataset, rules):
    keras.utils.set_random_seed(1)
    tagger = models.mlp(dataset.schema, dataset.statistics, hidden=(16,))
    attack = Condition("fgsm", 0.05, **rules).build_attack(dataset)
    jets = dataset.arrays("train")
    x, y = jets.features, jets.y
    attacked, marginals = marginal_preserving(attack, tagger, x, y)
    assert marginals.moved > 0.02
    np.testing.assert_allclose(attack.threat_model.project(x, attacked, y), attacked, rtol=1e-5)
    ties = attack.threat_model.ties
    followers = sorted({link.follower for link in (*ties.links, *ties.summaries)}) if ties else []
    free = np.setdiff1d(np.arange(x.shape[1]), followers)
    assert marginals.distance[:, free].max() == 0
    for flavour, rows in enumerate(y.T == 1):
        assert marginals.distance[flavour, followers].max(initial=0) <= 0.15 * np.sqrt(2 / rows.sum())
    table = dataset.schema.index("track_0_vertex_displacement")
    np.testing.assert_array_equal(attacked[:, table] == 0, x[:, table] == 0)


def test_impossible_options_are_refused(tagger, jets):
    for options in ({"tolerance": -1}, {"correlation": -0.1}):
        with pytest.raises(UserError):
            marginal_preserving(FGSM(threat_model(0.1)), tagger, *jets, **options)


def test_parts_that_are_kept_apart_exchange_as_if_each_were_alone(tagger, jets):
    x, y = jets
    attack, apart = FGSM(threat_model(0.3)), np.random.default_rng(1).random(len(x)) < 0.4
    attacked = attacked_features(tagger, x, y, attack)
    exchanged = Exchange(attack, tagger, x, y, apart)(attacked)
    for rows in (apart, ~apart):
        alone, _ = marginal_preserving(attack, tagger, x[rows], y[rows], attacked=attacked[rows])
        np.testing.assert_array_equal(exchanged[rows], alone)


def test_one_exchange_serves_many_attacks(tagger, jets):
    """What the first gives up, the next may use."""
    x, y = jets
    attack = FGSM(threat_model(0.3))
    attacked, exchange_of_jets = attacked_features(tagger, x, y, attack), Exchange(attack, tagger, x, y)
    first, strict, again = (exchange_of_jets(attacked, **options) for options in ({}, {"correlation": 0.01}, {}))
    np.testing.assert_array_equal(first, again)
    assert (strict != first).any()
