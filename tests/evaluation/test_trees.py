import numpy as np
from scipy.special import softmax
from sklearn.ensemble import HistGradientBoostingClassifier

from kerastag.evaluation.trees import boosted_trees
from kerastag.jets import Jets


def test_logits_are_those_of_scikit_learns_trees_for_the_jets_that_are_asked():
    generator = np.random.default_rng(0)
    label = np.arange(300) % 3
    x, others = (generator.normal(label[:, None], size=(300, 4)).astype(np.float32) for _ in range(2))
    logits = boosted_trees(Jets(x, label, {}, 3), seed=5)(others)
    expected = HistGradientBoostingClassifier(random_state=5).fit(x, label).predict_proba(others)
    np.testing.assert_allclose(softmax(logits, axis=1), expected, rtol=1e-6)
