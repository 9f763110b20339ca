from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from kerastag import data
from kerastag.data import JetDataset, KinematicWeights
from kerastag.data.scales import core
from kerastag.errors import UserError
from kerastag.schema import Spectator
from kerastag.statistics import Statistics

BOTH = pytest.mark.parametrize("in_memory", [True, False], ids=["in memory", "streamed"])


def epochs(dataset, number, first_epoch=0, batch_size=200, **options):
    batches = iter(dataset.batches("train", batch_size, shuffle=True, first_epoch=first_epoch, spectators=True, **options))
    return [[next(batches) for _ in range(dataset.steps("train", batch_size))] for _ in range(number)]


def entries(epoch):
    return np.concatenate([spectators["source"].numpy() * 1000 + spectators["entry"].numpy() for *_, spectators in epoch])


@BOTH
def test_shapes_and_types(dataset, in_memory):
    x, y, w = next(iter(dataset.batches("train", 64, in_memory=in_memory)))
    assert (x.shape, y.shape, w.shape) == ((64, 184), (64, 3), (64,))
    assert x.dtype == y.dtype == w.dtype == tf.float32
    np.testing.assert_array_equal(y.numpy().sum(axis=1), 1)


@BOTH
def test_unshuffled_pass_holds_each_jet_once_with_its_label(dataset, in_memory):
    batches = list(dataset.batches("test", 100, in_memory=in_memory))
    stored = dataset.arrays("test")
    np.testing.assert_array_equal(np.concatenate([x for x, _, _ in batches]), stored.features)
    np.testing.assert_array_equal(np.concatenate([y for _, y, _ in batches]), stored.y)


def test_a_split_that_does_not_fit_in_memory_is_never_held_as_a_whole(dataset, monkeypatch):
    expected = dataset.arrays("test").features
    monkeypatch.setattr(JetDataset, "arrays", lambda *arguments: pytest.fail("decoded as a whole"))
    for limit, in_memory in ((10**12, False), (expected.nbytes, None)):
        monkeypatch.setattr("kerastag.data.dataset.memory_limit", lambda limit=limit: limit)
        x = np.concatenate([x for x, _, _ in dataset.batches("test", 100, in_memory=in_memory)])
        np.testing.assert_array_equal(x, expected)


@BOTH
@pytest.mark.parametrize("global_seed", [None, 5])
def test_order_is_a_function_of_seed_and_epoch(dataset, in_memory, global_seed):
    tf.random.set_seed(global_seed)
    first, second = epochs(dataset, 2, seed=3, in_memory=in_memory)
    (resumed,) = epochs(dataset, 1, first_epoch=1, seed=3, in_memory=in_memory)
    (seed_4,) = epochs(dataset, 1, seed=4, in_memory=in_memory)
    np.testing.assert_array_equal(entries(second), entries(resumed))
    assert not np.array_equal(entries(first), entries(second))
    assert not np.array_equal(entries(first), entries(seed_4))
    assert len(np.unique(entries(first))) == len(entries(first))


@BOTH
def test_every_batch_holds_all_flavours_in_proportion(dataset, in_memory):
    (epoch,) = epochs(dataset, 1, in_memory=in_memory)
    share = np.array(list(dataset.jets["train"].values())) / dataset.count("train")
    for _, y, _, _ in epoch:
        np.testing.assert_allclose(y.numpy().mean(axis=0), share, atol=5 * np.sqrt(0.25 / 200))


def test_both_ways_give_the_same_weights(dataset):
    in_memory, streamed = (
        np.concatenate([w for _, _, w in dataset.batches("train", 500, weights="variable", in_memory=resident)])
        for resident in (True, False)
    )
    np.testing.assert_array_equal(in_memory, streamed)
    assert in_memory.mean() == pytest.approx(1, abs=1e-5)
    train = dataset.arrays("train")
    expected = KinematicWeights(dataset.schema, "variable")
    expected.update(train.features, train.label)
    expected.normalise()
    np.testing.assert_array_equal(in_memory, expected(train.features, train.label))
    assert in_memory.std() > 0.1


def test_a_large_split_does_not_become_a_constant_of_a_graph(dataset):
    stages = [dataset.batches("train", 10, in_memory=True, shuffle=True)]
    sizes = []
    while stages:
        stage = stages.pop()
        stages.extend(stage._inputs())
        function = getattr(getattr(stage, "_map_func", None), "function", None)
        if function is not None:
            sizes.append(function.graph.as_graph_def().ByteSize())
    assert sizes
    assert max(sizes) < 100_000 < dataset.arrays("train").features.nbytes


def test_events_are_unique_over_sources_and_jets_without_one(dataset):
    split = dataset.arrays("train")
    assert len(np.unique(split.events)) == len(split.label)  # the published data set has no event ids


def test_all_jets_are_those_of_every_split(dataset):
    splits = [dataset.arrays(name) for name in ("train", "validation", "test")]
    everything = dataset.arrays("all")
    assert dataset.count("all") == len(everything) == sum(map(len, splits))
    np.testing.assert_array_equal(everything.features, np.concatenate([jets.features for jets in splits]))
    places = np.stack([everything.spectators["source"], everything.spectators["entry"]], axis=1)
    assert len(np.unique(places, axis=0)) == len(everything)


def test_what_is_kept_beside_has_a_data_set_of_its_own(dataset, jet_files, data_dir):
    """In any order the same one; only spectators and fingerprint differ."""
    eta, pt = (Spectator(f"kept_{name}", f"jet_{name}", optional=False, real=True) for name in ("eta", "pt"))
    built = data.prepare("jet_flavor", data_dir=data_dir, manual_dir=jet_files, kept=[pt, eta])
    again = data.prepare("jet_flavor", data_dir=data_dir, kept=[eta, pt])
    assert built.path == again.path != dataset.path
    assert built.fingerprint == again.fingerprint != dataset.fingerprint
    jets, plain = built.arrays("test"), dataset.arrays("test")
    np.testing.assert_array_equal(jets.features, plain.features)
    assert jets.spectators.keys() - plain.spectators.keys() == {"kept_eta", "kept_pt"}
    np.testing.assert_array_equal(jets.spectators["kept_pt"].astype(np.float32), jets.features[:, 0])
    with pytest.raises(UserError, match="'track_D0' must be a number in each jet"):
        data.prepare("jet_flavor", data_dir=data_dir, manual_dir=jet_files, kept=[Spectator("kept_d0", "track_D0")])


def test_unknown_split_is_refused(dataset):
    with pytest.raises(UserError, match="no split 'tests', only"):
        dataset.batches("tests", 10)


def test_batch_larger_than_the_split_shrinks(dataset):
    assert dataset.steps("validation", 10**6) == 1
    x, _, _ = next(iter(dataset.batches("validation", 10**6, shuffle=True)))
    assert len(x) == dataset.count("validation")


def test_core_scale_is_the_spread_between_the_quantiles(dataset):
    x = dataset.arrays("train").features
    column = dataset.schema.index("track_0_D0")
    values = np.sort(x[:, column][x[:, column] != dataset.schema.defaults[column]].astype(float))
    inner = values[(values >= np.quantile(values, 0.2)) & (values <= np.quantile(values, 0.8))]
    assert dataset.scale("core")[column] == pytest.approx(inner.std())
    assert (dataset.scale("core") > 0).all()
    np.testing.assert_array_equal(dataset.scale(), dataset.statistics.sigma)
    with pytest.raises(UserError, match="no scale 'iqr'"):
        dataset.scale("iqr")


def test_core_scale_is_sigma_where_the_core_does_not_vary():
    x = np.random.default_rng(0).normal(size=(1000, 2)).astype(np.float32)
    x[100:, 0] = 5  # nine in ten jets have the same value
    defaults = np.full(2, -9, np.float32)
    made_up = SimpleNamespace(
        arrays=lambda split: SimpleNamespace(features=x),
        schema=SimpleNamespace(defaults=defaults),
        statistics=Statistics.of(x, defaults),
    )
    assert core(made_up)[0] == pytest.approx(x[:, 0].std(dtype=np.float64))
    assert 0 < core(made_up)[1] < 0.6 * x[:, 1].std()
