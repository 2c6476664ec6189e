"""The trained model behaves as people who rely on it expect."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import recall_score
from sklearn.pipeline import Pipeline

from prepare import Digits


def test_no_digit_is_left_behind(model: Pipeline, held_out: Digits) -> None:
    """A good average must not hide a digit that is mostly missed."""
    recalls = recall_score(held_out.y, model.predict(held_out.X), average=None)
    assert min(recalls) >= 0.85, f"digit {np.argmin(recalls)} is recognised too rarely"


def test_probabilities_are_probabilities(model: Pipeline, held_out: Digits) -> None:
    """Each row has one share for each digit, and they add up to one."""
    shares = model.predict_proba(held_out.X)
    assert shares.shape == (len(held_out.y), 10)
    assert shares.min() >= 0
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)


def test_a_row_alone_gets_the_same_answer_as_in_a_batch(model: Pipeline, held_out: Digits) -> None:
    """Who else is in the batch makes no difference."""
    batch = model.predict_proba(held_out.X[:50])
    single = np.vstack([model.predict_proba(row[np.newaxis]) for row in held_out.X[:50]])
    np.testing.assert_allclose(single, batch, atol=1e-5)


def test_one_pixel_a_shade_brighter_changes_nothing(model: Pipeline, held_out: Digits) -> None:
    """Of a thousand such digits at most twenty are read differently."""
    rng = np.random.default_rng(0)
    rows = rng.integers(len(held_out.X), size=1000)
    brighter = held_out.X[rows]
    brighter[np.arange(1000), rng.integers(64, size=1000)] += 1
    changed = model.predict(np.minimum(brighter, 16)) != model.predict(held_out.X[rows])
    assert changed.sum() <= 20


def test_it_is_less_sure_where_it_is_wrong(model: Pipeline, held_out: Digits) -> None:
    """Its confidence says something: mistakes come with less of it."""
    confidence = model.predict_proba(held_out.X).max(axis=1)
    right = model.predict(held_out.X) == held_out.y
    assert right.all() or confidence[~right].mean() < confidence[right].mean()


def test_a_blank_image_gets_an_answer(model: Pipeline) -> None:
    """Nothing on the paper is no reason to crash."""
    assert np.isfinite(model.predict_proba(np.zeros((1, 64), dtype=np.float32))).all()
