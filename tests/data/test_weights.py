import numpy as np
import pytest

from kerastag.data.weights import BINNINGS, KinematicWeights
from kerastag.errors import UserError
from kerastag.schema import JET_FLAVOR, PARTICLE_TRANSFORMER_AK4


@pytest.fixture(params=BINNINGS)
def weighted(request):
    generator = np.random.default_rng(0)
    label = generator.choice(3, 60_000, p=[0.4, 0.1, 0.5])
    x = np.tile(JET_FLAVOR.defaults, (len(label), 1))
    x[:, 0] = 25 + generator.exponential(20 + 10 * label)
    x[:, 1] = np.clip(generator.normal(0, 1 + 0.2 * label), -2.5, 2.5)
    weights = KinematicWeights(JET_FLAVOR, request.param)
    for part in np.array_split(np.arange(len(label)), 3):
        weights.update(x[part], label[part])
    weights.normalise()
    return x, label, weights(x, label).numpy().astype(np.float64), BINNINGS[request.param]


def test_mean_is_one_and_flavours_have_the_same_sum(weighted):
    _, label, w, _ = weighted
    assert w.mean() == pytest.approx(1, abs=1e-4)
    sums = np.bincount(label, w)
    # A bin that one flavour does not populate cannot be made equal: a per cent.
    np.testing.assert_allclose(sums / sums.mean(), 1, atol=0.02)


def test_spectra_agree_where_all_flavours_have_jets(weighted):
    x, label, w, edges = weighted
    spectra = np.array([np.histogram(x[label == f, 0], edges, weights=w[label == f])[0] for f in range(3)])
    populated = (np.array([np.histogram(x[label == f, 0], edges)[0] for f in range(3)]) > 500).all(axis=0)
    np.testing.assert_allclose(spectra[:, populated] / spectra[0, populated], 1, atol=0.1)


def test_jets_in_empty_bins_and_outside_have_finite_weights(weighted):
    x, _, _, edges = weighted
    weights = KinematicWeights(JET_FLAVOR, "uniform" if len(edges) == 51 else "variable")
    weights.update(x[:100], np.zeros(100, int))
    weights.normalise()
    far = x[:3].copy()
    far[:, 0] = [1.0, 5000.0, 899.0]
    assert np.isfinite(weights(far, np.array([0, 1, 2]))).all()


def test_unknown_binning_is_refused():
    with pytest.raises(UserError, match="'fine'"):
        KinematicWeights(JET_FLAVOR, "fine")
    with pytest.raises(UserError, match="particle_transformer_ak4 has no pT and η among its inputs"):
        KinematicWeights(PARTICLE_TRANSFORMER_AK4, "uniform")


def test_spectra_in_both_quantities_are_the_mean_of_those_of_the_flavours(weighted):
    x, label, w, edges = weighted
    bins = [edges, np.linspace(-2.5, 2.5, 51)]
    counts = np.array([np.histogram2d(x[label == f, 0], x[label == f, 1], bins)[0] for f in range(3)])
    target = np.mean([one / one.sum() for one in counts], axis=0)
    full = (counts > 0).all(axis=0)
    assert full.sum() > 20
    for flavour in range(3):
        of = label == flavour
        found = np.histogram2d(x[of, 0], x[of, 1], bins, weights=w[of])[0]
        # Bins without jets of a flavour take a few per cent of its sum.
        np.testing.assert_allclose((found / found.sum())[full] / target[full], 1, atol=0.08)
