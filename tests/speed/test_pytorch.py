"""The network in PyTorch is ours: the same logits and the same attacked jets, so that speeds are those of the same work."""

import sys

import numpy as np
import pytest

from kerastag import models, runs
from kerastag.attacks import FGSM, Condition, attacked_features
from kerastag.errors import UserError
from kerastag.request import Physics
from kerastag.speed import pytorch


def test_without_pytorch_a_sentence_says_so_before_anything_is_measured(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UserError, match="not installed: pip install torch"):
        runs.benchmark(tmp_path / "speed", parts=["data", "pytorch"])
    assert not (tmp_path / "speed").exists()


@pytest.fixture
def both(dataset):
    """Our tagger, PyTorch's, and features and labels for both."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    tagger, jets = models.paper_mlp(dataset.schema, dataset.statistics), dataset.arrays("test")
    features, label = torch.from_numpy(jets.features), torch.from_numpy(jets.label)
    return tagger, pytorch.PlainTraining(tagger, dataset), jets, features, label


def test_logits_and_attacked_jets_are_those_of_keras(both, dataset):
    tagger, plain, jets, features, label = both
    plain.network.eval()
    logits = plain.logits(features).detach().numpy()
    np.testing.assert_allclose(logits, tagger.predict(jets.features, verbose=0), atol=1e-5)
    box = Condition("fgsm", 0.01, physics=Physics(paper=True)).threat_model(dataset)
    ours = attacked_features(tagger, jets.features, jets.y, FGSM(box))
    alike = np.isclose(plain.attacked(features, label).numpy(), ours, rtol=1e-5)
    assert alike.mean() > 0.999  # gradients next to 0 have either sign
    assert (ours != jets.features).mean() > 0.1


def test_the_first_step_moves_weights_by_the_rate_of_adam(both):
    _, plain, _, features, label = both
    before = [weights.detach().clone() for weights in plain.network.parameters()]
    plain.step(features, label, attack=True)
    for old, new in zip(before, plain.network.parameters(), strict=True):
        assert (new - old).abs().max().item() == pytest.approx(1e-4, rel=0.01)
