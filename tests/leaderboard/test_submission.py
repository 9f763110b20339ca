"""Attacked jets of others: what stays in the box passes as it is, and what does not is refused with jet and feature named."""

import zipfile

import numpy as np
import pytest

from kerastag.attacks import PGD, ThreatModel, attacked_features
from kerastag.errors import UserError
from kerastag.leaderboard import submission
from kerastag.leaderboard.submission import in_box, read_attacked

JETS = 60


@pytest.fixture(scope="module")
def clean(dataset):
    return dataset.arrays("test").take(slice(JETS))


@pytest.fixture(scope="module")
def threat_model(dataset):
    return ThreatModel.from_schema(dataset.schema, dataset.statistics.sigma, 0.01)


@pytest.fixture(scope="module")
def attacked(dataset, clean, threat_model):
    """Jets under PGD on a network that is not trained."""
    import keras

    from kerastag import models

    keras.utils.set_random_seed(1)
    tagger = models.mlp(dataset.schema, dataset.statistics, hidden=(8,))
    return attacked_features(tagger, clean.features, clean.y, PGD(threat_model, steps=3))


def test_attacked_jets_pass_as_they_are(clean, attacked, threat_model, dataset, tmp_path):
    np.savez_compressed(tmp_path / "attacked.npz", features=attacked)
    found = read_attacked(tmp_path / "attacked.npz", attacked.shape)
    points = in_box(found, clean, threat_model, dataset.schema)
    assert (attacked != clean.features).any() and points.dtype == np.float32
    np.testing.assert_allclose(points, attacked, rtol=2e-4, atol=1e-6)
    np.testing.assert_array_equal(in_box(clean.features, clean, threat_model, dataset.schema), clean.features)


def test_what_rounding_adds_is_taken_off(clean, threat_model, dataset):
    """A point a little outside passes, and what comes back is on the edge of the box."""
    box = threat_model.box(clean.features, clean.y)
    high, free = np.asarray(box.high), np.asarray(box.budget) > 0
    jet, feature = np.argwhere(free & (high > clean.features))[0]
    beyond = np.asarray(box.complete(np.where(np.arange(JETS)[:, None] == jet, np.where(free, high, box.x), box.x)))
    beyond = beyond.copy()
    beyond[jet, feature] = np.nextafter(high[jet, feature], np.float32(np.inf))
    points = in_box(beyond, clean, threat_model, dataset.schema)
    assert points[jet, feature] == high[jet, feature] < beyond[jet, feature]


def cells(threat_model, clean, dataset, kind):
    """Whether each cell is of a kind, bool `(jets, features)`."""
    box = threat_model.box(clean.features, clean.y)
    free, moves = np.asarray(box.budget) > 0, np.asarray(box.moves)
    default, integer = clean.features == dataset.schema.defaults, np.broadcast_to(dataset.schema.integer, free.shape)
    special = np.stack([np.isin(*pair) for pair in zip(clean.features.T, threat_model.special, strict=True)], axis=1)
    return {
        "free": free,
        "tied": moves & ~free,
        "default": default & ~integer,
        "integer": integer & ~default,
        "special": special & ~default & ~integer,
    }[kind]


@pytest.mark.parametrize(
    ("kind", "change", "said"),
    [
        ("free", lambda value, reach: np.nan, "nan, which is not finite"),
        ("free", lambda value, reach: np.inf, "inf, which is not finite"),
        ("free", lambda value, reach: value + 2 * reach, "out of its box of"),
        ("integer", lambda value, reach: value + 1, "it is a whole number and stays"),
        ("default", lambda value, reach: value + 1, "stands for no value there, and stays"),
        ("special", lambda value, reach: value + reach, "has a meaning of its own, and stays"),
        ("tied", lambda value, reach: value + 10 * reach, "the inputs that it is tied to make it"),
    ],
    ids=["NaN", "infinite", "out of the box", "whole number", "default", "special value", "tie"],
)
def test_a_wrong_cell_is_named(kind, change, said, clean, attacked, threat_model, dataset):
    jet, feature = np.argwhere(cells(threat_model, clean, dataset, kind))[-1]
    wrong = attacked.copy()
    reach = np.broadcast_to(threat_model.box(clean.features, clean.y).reach, wrong.shape)[jet, feature]
    wrong[jet, feature] = change(clean.features[jet, feature], reach)
    with pytest.raises(UserError, match=f"^Jet {jet}: '{dataset.schema.names[feature]}' is .*{said}") as refused:
        in_box(wrong, clean, threat_model, dataset.schema)
    assert "order" not in str(refused.value)


def test_what_the_box_of_the_entry_freezes_stays(clean, dataset):
    schema, wrong = dataset.schema, clean.features.copy()
    frozen = ThreatModel.from_schema(schema, dataset.statistics.sigma, 0.01, freeze=[schema.pt])
    wrong[3, schema.index(schema.pt)] *= 1.0001
    with pytest.raises(UserError, match=f"^Jet 3: '{schema.pt}' is .* does not move in this box, and stays"):
        in_box(wrong, clean, frozen, schema)


def test_another_order_is_noticed(clean, attacked, threat_model, dataset):
    with pytest.raises(UserError, match=r"^Jet 0: .* jets; is their order that of the entry\?"):
        in_box(attacked[::-1], clean, threat_model, dataset.schema)


def test_other_jets_are_noticed(dataset, clean, threat_model):
    others = dataset.arrays("test").take(slice(JETS, 2 * JETS)).features
    with pytest.raises(UserError, match=rf"^Jet 0: .* So are cells of {JETS} of {JETS} jets"):
        in_box(others, clean, threat_model, dataset.schema)


class Harmful:
    """What runs when it is unpickled."""

    def __reduce__(self):
        return pytest.fail, ("unpickled",)


BAD = {
    "fewer jets": (lambda path: np.savez(path, features=np.zeros((5, 4), np.float32)), r"shape \(5, 4\).* 6 jets of 4"),
    "one dimension": (lambda path: np.savez(path, features=np.zeros(24, np.float32)), r"shape \(24,\)"),
    "another type": (lambda path: np.savez(path, features=np.zeros((6, 4))), "is float64; it must be float32"),
    "objects": (lambda path: np.savez(path, features=np.full((6, 4), Harmful())), "Python objects, which are not read"),
    "another array": (lambda path: np.savez(path, jets=np.zeros((6, 4), np.float32)), "has no array 'features'"),
    "no archive": (lambda path: path.write_bytes(b"no zip at all"), "is no file of attacked jets"),
    "a bare array": (lambda path: path.write_bytes(npy((6, 4))), "is no file of attacked jets"),
    "no array inside": (lambda path: zip_of(path, b"text"), "is no file of attacked jets"),
    "cut off": (lambda path: zip_of(path, npy((6, 4))[:-5]), "is no file of attacked jets"),
    "a huge claim": (lambda path: zip_of(path, npy((6, 4)).replace(b"(6, 4)", b"(6, 9999999999)")), "shape"),
    "a huge header": (
        lambda path: zip_of(path, b"\x93NUMPY\x02\x00" + (1 << 29).to_bytes(4, "little") + b" " * 9999),
        "is no file",
    ),
    "a cut header": (lambda path: zip_of(path, header("{'descr': ('<f4', 'fortran")), "is no file of attacked jets"),
    "a header of signs": (lambda path: zip_of(path, header("-" * 3000)), "is no file of attacked jets"),
    "an odd header": (lambda path: zip_of(path, header("{[]: 1}")), "is no file of attacked jets"),
    "an odd type": (
        lambda path: zip_of(path, header("{'descr': ('<f4',), 'fortran_order': False, 'shape': (6, 4)}")),
        "is no file of attacked jets",
    ),
    "bad compression": (lambda path: lzma_damaged(path), "is no file of attacked jets"),
    "missing": (lambda path: None, "cannot be read"),
}


def header(text):
    """An array that says of itself what it should not."""
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def lzma_damaged(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("features.npy", npy((6, 4)) * 50)
    content = bytearray(path.read_bytes())
    content[60:90] = bytes(30)
    path.write_bytes(bytes(content))


def npy(shape):
    import io

    stream = io.BytesIO()
    np.save(stream, np.zeros(shape, np.float32))
    return stream.getvalue()


def zip_of(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("features.npy", content)


@pytest.mark.parametrize("kind", BAD)
def test_bad_files_are_refused_unread(kind, tmp_path):
    make, said = BAD[kind]
    make(tmp_path / "attacked.npz")
    with pytest.raises(UserError, match=said) as refused:
        read_attacked(tmp_path / "attacked.npz", (6, 4))
    assert "\n" not in str(refused.value)


def test_the_box_is_that_of_each_jets_flavour_in_every_batch(clean, dataset, monkeypatch):
    monkeypatch.setattr(submission, "_AT_ONCE", 7)
    small = ThreatModel.from_schema(dataset.schema, dataset.statistics.sigma, 0.01, by_flavour={"light": 0.1})
    box = small.box(clean.features, clean.y)
    free = (np.asarray(box.budget) > 0) & (np.asarray(box.high) > clean.features + np.asarray(box.budget) / 2)
    jet = int(np.flatnonzero((clean.label == 2) & free.any(axis=1))[-1])
    feature = int(np.flatnonzero(free[jet])[0])
    assert jet >= 7
    moved = clean.features.copy()
    moved[jet, feature] += 5 * np.asarray(box.budget)[jet, feature]  # within the box of a b jet
    with pytest.raises(UserError, match=rf"^Jet {jet}: '{dataset.schema.names[feature]}' is .* out of its box"):
        in_box(moved, clean, small, dataset.schema)
