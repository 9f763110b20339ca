import keras
import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from kerastag.attacks import FGSM, ThreatModel, compare_marginals, marginal_preserving
from kerastag.attacks.samples import attacked_features, attacked_logits
from kerastag.errors import UserError
from kerastag.metrics import discriminator_auc

WIDTH = 6


def threat_model(epsilon, **options):
    return ThreatModel(epsilon, np.ones(WIDTH), np.arange(WIDTH) == 5, np.full(WIDTH, -99.0), **options)


@pytest.fixture(scope="module")
def jets():
    """Correlated features of two flavours, a tenth of the cells of one feature absent."""
    generator = np.random.default_rng(0)
    label = generator.integers(0, 2, 6000) * 2
    x = generator.normal(size=(6000, WIDTH)) @ generator.normal(size=(WIDTH, WIDTH)) / 2 + label[:, None] * 0.4
    x[:, 5] = np.rint(x[:, 5])
    x[generator.random(6000) < 0.1, 4] = -99
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


@pytest.mark.parametrize(("measure", "bound"), [("chi2", 0.2), ("chi2", 1.0), ("jensen_shannon", 1e-4)])
def test_every_marginal_stays_within_its_bound(tagger, jets, measure, bound):
    x, y = jets
    attack = FGSM(threat_model(0.3))
    attacked, marginals = marginal_preserving(attack, tagger, x, y, measure=measure, bound=bound, uncertainty=0.0, bins=20)
    for column in range(WIDTH):
        present = x[:, column] != -99
        edges = np.unique(np.quantile(x[present, column], np.linspace(0, 1, 21)))
        edges[[0, -1]] = -np.inf, np.inf
        clean, moved = (np.histogram(values[present, column], edges)[0].astype(float) for values in (x, attacked))
        chi2 = ((clean - moved) ** 2 / np.maximum(clean, 1)).sum() / (len(clean) - 1)
        divergence = jensenshannon(clean, moved, base=2) ** 2
        assert (chi2 if measure == "chi2" else divergence) <= bound + 1e-9
        assert marginals.chi2[column] == pytest.approx(chi2, abs=1e-6)
        assert marginals.jensen_shannon[column] == pytest.approx(divergence, abs=1e-6)
    plain = compare_marginals(x, attacked_with(attack, tagger, x, y), attack.threat_model, 0.0, 20)
    assert max(plain.chi2) > 2, "plain FGSM would have passed as well"


def attacked_with(attack, tagger, x, y):
    return np.asarray(attack(tagger, x, y))


def test_it_obeys_the_threat_model_and_hurts_less_than_fgsm_but_does_hurt(tagger, jets):
    x, y = jets
    model = threat_model(0.3, relative_cap=0.5)
    attacked, marginals = marginal_preserving(FGSM(model), tagger, x, y, uncertainty=0.0)
    budget = np.asarray(model.budget(x))
    assert (abs(attacked - x) <= budget + 1e-5).all()
    np.testing.assert_array_equal(attacked[budget == 0], x[budget == 0])
    assert 0.3 < marginals.moved < 1
    clean, preserving, plain = (area(tagger, values, y) for values in (x, attacked, attacked_with(FGSM(model), tagger, x, y)))
    assert plain < preserving < clean - 0.3 * (clean - plain)


def test_correlations_stay_within_their_bound(tagger, jets):
    x, y = jets
    attack = FGSM(threat_model(0.3))
    _, free = marginal_preserving(attack, tagger, x, y, uncertainty=0.0)
    attacked, marginals = marginal_preserving(attack, tagger, x, y, uncertainty=0.0, correlation=0.01)
    assert marginals.correlation <= 0.01 < free.correlation
    complete = [0, 1, 2, 3, 5]
    change = np.corrcoef(attacked[:, complete].T) - np.corrcoef(x[:, complete].T)
    assert abs(change).max() <= 0.01 + 1e-6
    assert 0 < marginals.moved < free.moved


def test_no_bound_leaves_nothing_and_a_wide_one_everything(tagger, jets):
    x, y = jets
    attack = FGSM(threat_model(0.3))
    none, _ = marginal_preserving(attack, tagger, x, y, bound=0.0, uncertainty=0.0)
    assert compare_marginals(x, none, attack.threat_model, 0.0).chi2.max() == 0
    everything, _ = marginal_preserving(attack, tagger, x, y, bound=1e9)
    np.testing.assert_array_equal(everything, attacked_with(attack, tagger, x, y))


def test_jets_that_are_attacked_already_are_taken_as_they_are(tagger, jets):
    x, y = jets
    attack = FGSM(threat_model(0.3))
    attacked = attacked_features(tagger, x, y, attack)
    before = attacked.copy()
    preserved, marginals = marginal_preserving(attack, tagger, x, y, attacked=attacked, uncertainty=0.0)
    np.testing.assert_array_equal(attacked, before)
    expected, marginals_of_expected = marginal_preserving(attack, tagger, x, y, uncertainty=0.0)
    np.testing.assert_array_equal(preserved, expected)
    assert marginals.moved == marginals_of_expected.moved
    none, marginals = marginal_preserving(attack, tagger, x, y, attacked=x)
    np.testing.assert_array_equal(none, x)
    assert marginals.moved == 0


def test_impossible_options_are_refused(tagger, jets):
    for options in ({"measure": "kl"}, {"bound": -1}, {"bins": 1}, {"uncertainty": -0.1}):
        with pytest.raises(UserError):
            marginal_preserving(FGSM(threat_model(0.1)), tagger, *jets, **options)
