"""The split is fair: nothing leaks, every digit is there, and it can be made again."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from prepare import read_digits, split_rows

LABELS = np.repeat(np.arange(10), 50)


def test_reads_pixels_and_labels(tmp_path: Path) -> None:
    """The last column is the label, all others are pixels."""
    table = tmp_path / "digits.csv"
    table.write_text("pixel_00,pixel_01,label\n0,16,3\n7,2,9\n")

    X, y = read_digits(table)

    assert X.tolist() == [[0, 16], [7, 2]]
    assert X.dtype == np.float32
    assert y.tolist() == [3, 9]


def test_no_row_is_in_both_parts() -> None:
    """Every row lands in exactly one part."""
    train, test = split_rows(LABELS, test_fraction=0.2, seed=1)
    assert sorted([*train, *test]) == list(range(len(LABELS)))


def test_each_digit_keeps_its_share() -> None:
    """A fifth of the rows means a fifth of each digit."""
    _, test = split_rows(LABELS, test_fraction=0.2, seed=1)
    assert np.bincount(LABELS[test]).tolist() == [10] * 10


def test_the_seed_decides_the_split() -> None:
    """The same seed gives the same rows, another seed others."""
    first, again, other = (split_rows(LABELS, 0.2, seed)[1] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
