import numpy as np
import pytest

from tests.toy import TOY
from tfds_jets.copies import Copies, Hashes


def random_jets(jets: int, seed: int = 0) -> np.ndarray:
    """Jets of the toy schema, half of their cells absent."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(jets, len(TOY.features))).astype(np.float32)
    return np.where(generator.random(x.shape) < 0.5, TOY.defaults, x).astype(np.float32)


def rounded(x: np.ndarray, bits: int) -> np.ndarray:
    """Numbers with so many bits of mantissa, as NanoAOD stores them."""
    mantissa, exponent = np.frexp(x.astype(np.float64))
    return np.ldexp(np.rint(mantissa * 2.0 ** (bits + 1)) / 2.0 ** (bits + 1), exponent).astype(np.float32)


HASHES = Hashes(TOY)


def copies_of(x: np.ndarray, others: np.ndarray) -> int:
    """How many of some jets count as copies of others."""
    copies = Copies()
    copies.place(HASHES(x), np.zeros(len(x), np.int64))
    before = copies.number
    copies.place(HASHES(others), np.zeros(len(others), np.int64))
    return copies.number - before


def test_copies_go_where_the_first_of_them_went():
    """Against a dictionary, chunk by chunk."""
    generator = np.random.default_rng(0)
    pool = random_jets(300)
    copies, first, number, moved = Copies(), {}, 0, 0
    for _ in range(4):
        rows = generator.integers(0, 300, 200)
        split = generator.integers(0, 3, 200)
        placed = copies.place(HASHES(pool[rows]), split)
        for row, own, found in zip(rows, split, placed, strict=True):
            number += row in first
            moved += first.get(row, own) != own
            assert found == first.setdefault(row, own)
    assert (copies.number, copies.moved) == (number, moved)
    assert number > 400 and moved > 100


@pytest.mark.parametrize("bits", (10, 12))
def test_jets_that_were_stored_with_fewer_bits_go_where_the_jets_went(bits):
    x = random_jets(2000)
    x = x[((x != TOY.defaults) & ~TOY.integer).sum(axis=1) >= 8]
    split = np.random.default_rng(1).integers(0, 3, len(x))
    copies = Copies()
    copies.place(HASHES(x), split)
    stored = np.where((x == TOY.defaults) | TOY.integer, x, rounded(x, bits)).astype(np.float32)
    assert (stored != x).any(axis=1).all()
    placed = copies.place(HASHES(stored), (split + 1) % 3)
    assert (placed == split).mean() > 0.97
    assert copies.number > 0.97 * len(x)


def test_jets_at_the_edges_of_the_bins_have_copies():
    """All numbers of a jet lie at edges of one grid, up to a part in a million to either side."""
    generator = np.random.default_rng(2)
    x = 1 + (2 * generator.integers(0, 32, (500, 20)) + generator.integers(0, 2, (500, 1))) / 64
    x = np.where(TOY.integer, 3, x).astype(np.float32)
    assert copies_of(x * np.float32(1 - 1e-6), x * np.float32(1 + 1e-6)) == 500


def test_different_jets_with_the_same_leading_values_are_told_apart_by_the_eighth():
    x = np.full((2, 20), 1.5, np.float32)
    x[:, TOY.integer] = 3
    eighth = np.flatnonzero(~TOY.integer)[7]
    x[1, eighth] = 1.7
    assert copies_of(x[:1], x[1:]) == 0
    x[1, eighth], x[1, eighth + 1] = 1.5, 1.7
    assert copies_of(x[:1], x[1:]) == 1


def test_jets_with_few_measured_values_that_differ_in_a_bit_are_no_copies():
    """Also in sign, and in the highest and lowest bit of a number."""
    x = np.tile(TOY.defaults, (97, 1))
    x[:, :7] = 1.5
    bits = x.view(np.uint32)
    for row in range(1, 97):
        bits[row, row % 3] ^= np.uint32(1) << np.uint32((row - 1) // 3)
    assert copies_of(x[:1], x[1:]) == 0
    assert copies_of(x, x[::-1]) == 97
