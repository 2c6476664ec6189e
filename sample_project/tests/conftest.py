"""What the tests share: the model as it was just trained, and the digits it has not seen."""

from __future__ import annotations

from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.pipeline import Pipeline

from prepare import Digits

BUILD = Path(__file__).parents[1] / "build"


@pytest.fixture(scope="session")
def model() -> Pipeline:
    """The trained pipeline; don't change it."""
    return joblib.load(BUILD / "model.joblib")


@pytest.fixture(scope="session")
def held_out() -> Digits:
    """The digits that training has not seen."""
    rows = np.load(BUILD / "test.npz")
    return Digits(rows["X"], rows["y"])
