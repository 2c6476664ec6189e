"""Split the digits into rows to train on and rows held out to judge the model."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split


class Digits(NamedTuple):
    """Labelled images: X is rows x 64 pixels of brightness 0 to 16, y the digit of each row."""

    X: NDArray[np.float32]
    y: NDArray[np.int64]


def read_digits(path: Path) -> Digits:
    """Read a table with a header, a column for each pixel and the label last."""
    table = np.loadtxt(path, delimiter=",", skiprows=1, dtype=np.int64, ndmin=2)
    return Digits(table[:, :-1].astype(np.float32), table[:, -1])


def split_rows(
    y: NDArray[np.int64], test_fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The row numbers of the train and the test part, each with its share of every digit."""
    train, test = train_test_split(
        np.arange(len(y)), test_size=test_fraction, stratify=y, random_state=seed
    )
    return train, test


def main() -> None:
    """Read data/digits.csv, write build/train.npz and build/test.npz."""
    params = tomllib.loads(Path("params.toml").read_text())
    digits = read_digits(Path("data/digits.csv"))
    train, test = split_rows(digits.y, params["prepare"]["test_fraction"], params["seed"])

    Path("build").mkdir(exist_ok=True)
    np.savez("build/train.npz", X=digits.X[train], y=digits.y[train])
    np.savez("build/test.npz", X=digits.X[test], y=digits.y[test])
    print(f"{len(train)} digits to train on, {len(test)} held out")


if __name__ == "__main__":
    main()
