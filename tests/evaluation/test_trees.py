import keras
import numpy as np
from scipy.special import softmax
from sklearn.ensemble import HistGradientBoostingClassifier

from kerastag.attacks import FGSM, RandomSearch, ThreatModel
from kerastag.evaluation.taggers import Tagger
from kerastag.evaluation.trees import as_model, boosted_trees
from kerastag.jets import Jets


def test_logits_are_those_of_scikit_learns_trees_for_the_jets_that_are_asked():
    generator = np.random.default_rng(0)
    label = np.arange(300) % 3
    x, others = (generator.normal(label[:, None], size=(300, 4)).astype(np.float32) for _ in range(2))
    logits = boosted_trees(Jets(x, label, {}, 3), seed=5)(others)
    expected = HistGradientBoostingClassifier(random_state=5).fit(x, label).predict_proba(others)
    np.testing.assert_allclose(softmax(logits, axis=1), expected, rtol=1e-6)


def made_up(seed, jets=400):
    """Jets of three flavours that four features tell apart."""
    generator = np.random.default_rng(seed)
    label = np.arange(jets) % 3
    return Jets(generator.normal(label[:, None], size=(jets, 4)).astype(np.float32), label, {}, 3)


def test_trees_meet_attacks_on_a_network_but_are_asked_by_those_without_gradients():
    train, jets = made_up(0), made_up(1)
    inputs = keras.Input((4,))
    network = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    trees = Tagger.trees(train, network)
    model = ThreatModel(0.3, np.ones(4), np.zeros(4, bool), np.full(4, -99.0))
    np.testing.assert_allclose(trees.asked(jets.features), trees.logits(jets.features), rtol=1e-6)
    of_network = FGSM(model)(network, jets.features, jets.y).numpy()
    np.testing.assert_array_equal(trees.under(FGSM(model), jets), of_network)
    np.testing.assert_array_equal(trees.under(None, jets), jets.features)

    def right(features):
        return (trees.logits(features).argmax(axis=1) == jets.label).mean()

    searched = trees.under(RandomSearch(model), jets)
    assert (np.abs(searched - jets.features) <= 0.3 * (1 + 1e-6)).all()
    assert right(searched) < right(of_network) - 0.1 and right(searched) < right(jets.features) - 0.1


def test_a_model_of_trees_has_no_gradient():
    jets = made_up(2, 60)
    asked = as_model(lambda features: features[:, :3] ** 2, 4, 3)
    model = ThreatModel(0.3, np.ones(4), np.zeros(4, bool), np.full(4, -99.0))
    np.testing.assert_array_equal(FGSM(model)(asked, jets.features, jets.y), jets.features)
