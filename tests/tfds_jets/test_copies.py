import numpy as np

from tfds_jets.copies import Copies


def test_copies_go_where_the_first_of_them_went():
    """Against a dictionary, chunk by chunk."""
    generator = np.random.default_rng(0)
    pool = generator.normal(size=(300, 5)).astype(np.float32)
    copies, first, number, moved = Copies(5), {}, 0, 0
    for _ in range(4):
        rows = generator.integers(0, 300, 200)
        split = generator.integers(0, 3, 200)
        placed = copies.place(pool[rows], split)
        for row, own, found in zip(rows, split, placed, strict=True):
            number += row in first
            moved += first.get(row, own) != own
            assert found == first.setdefault(row, own)
    assert (copies.number, copies.moved) == (number, moved)
    assert number > 400 and moved > 100


def test_jets_that_differ_in_a_bit_are_no_copies():
    """Also in sign, and in the highest and lowest bit of a number."""
    x = np.full((200, 3), 1.5, np.float32)
    bits = x.view(np.uint32)
    for row in range(1, 97):
        bits[row, row % 3] ^= np.uint32(1) << np.uint32((row - 1) // 3)
    copies = Copies(3)
    copies.place(x[:97], np.zeros(97, np.int64))
    assert copies.number == 0
    copies.place(x[97:], np.zeros(103, np.int64))
    assert copies.number == 103
