"""Thresholds in float32: the same branch for every float32, and rows that show it."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

from tests.release.exports import EXPORT

sys.path.append(str(EXPORT.parent))

import float_steps
import forest_graph
import framework
import from_lightgbm
import path_rows
import sklearn_trees
import trees

SINGLE = st.floats(width=32, allow_nan=False, allow_infinity=False)
DOUBLE = st.floats(-3e38, 3e38)
ANY = st.floats(allow_nan=False, allow_infinity=False)
TUMOURS, BENIGN = load_breast_cancer(return_X_y=True)


def stump(threshold: float, *, strict: bool) -> trees.Tree:
    """One split on the first column: 1 to the left, 2 to the right."""
    return trees.Tree(
        feature=np.array([0, 0, 0]),
        threshold=np.array([threshold, 0.0, 0.0]),
        left=np.array([1, -1, -1]),
        right=np.array([2, -1, -1]),
        missing_left=np.array([True, False, False]),
        values=np.array([[0.0], [1.0], [2.0]]),
        targets=(0,),
        strict=strict,
    )


@given(threshold=DOUBLE, value=SINGLE, near=st.integers(-2, 2), strict=st.booleans())
def test_each_float32_takes_the_branch_of_the_float64_threshold(
    threshold: float, value: float, near: int, strict: bool
) -> None:
    tree = stump(threshold, strict=strict)
    around = float_steps.stepped(np, np.array([threshold], np.float32), near)[0]
    cut, largest = trees.exact_threshold(tree)[0], trees.largest_left(tree)[0]
    for number in (np.float32(value), around):
        wide = float(number)
        left = wide < threshold if strict else wide <= threshold
        assert bool(number < cut if strict else number <= cut) == left
        assert bool(number <= largest) == left


@given(value=SINGLE, steps=st.integers(-1000, 1000))
def test_float32_steps_count_neighbours(value: float, steps: int) -> None:
    start = np.array([value], np.float32)
    ordinals = float_steps.ordinal(np, start)
    np.testing.assert_array_equal(float_steps.number(np, ordinals, np.float32), start)
    moved = float_steps.stepped(np, start, steps)
    if np.isfinite(moved[0]):
        assert int(float_steps.ordinal(np, moved)[0] - ordinals[0]) == steps
        toward = np.float32(np.inf if steps > 0 else -np.inf)
        if abs(steps) == 1:
            assert moved[0] == np.nextafter(start[0], toward)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("threshold", [0.1, -0.1, 1e-40, 0.0, 16777217.0])
def test_a_stump_is_answered_around_its_threshold(threshold: float, strict: bool) -> None:
    """Also where the threshold lies between float32 numbers, or among the smallest."""
    tree = stump(threshold, strict=strict)
    forest = trees.Forest([tree], [0.0])
    model = forest_graph.whole_graph(forest, 1, [])
    session = onnxruntime.InferenceSession(model.SerializeToString())
    middle = np.array([threshold], np.float32)
    rows = np.array([float_steps.stepped(np, middle, step) for step in range(-3, 4)])
    [answers] = session.run(None, {"input": np.vstack([rows, [[np.float32("nan")]]])})
    wide = rows.astype(np.float64).ravel()
    left = wide < threshold if strict else wide <= threshold
    assert answers.ravel().tolist() == [*np.where(left, 1.0, 2.0).tolist(), 1.0]


@pytest.mark.parametrize(
    "model",
    [
        RandomForestClassifier(4, random_state=0),
        RandomForestClassifier(4, random_state=0, max_features=1, min_samples_leaf=2),
        HistGradientBoostingClassifier(max_iter=4, min_samples_leaf=2),
    ],
)
def test_a_threshold_moved_by_one_step_is_shown_by_a_row(model: Any) -> None:
    """Wherever it is: an answer of the faulty forest differs from the original's."""
    forest = trees.narrowed(sklearn_trees.whole_forest(model.fit(TUMOURS, BENIGN)))
    rows = path_rows.around(forest, framework.Rows(TUMOURS, BENIGN)).X
    right = leaf_values(forest, rows)
    for number, tree in enumerate(forest.trees):
        cuts = trees.exact_threshold(tree)
        for node in np.flatnonzero(tree.left >= 0).tolist():
            if len(set(below(tree, node))) == 1:
                continue  # a split between equal answers, which nobody can tell
            for toward in (-np.inf, np.inf):
                moved = cuts.astype(np.float64)
                moved[node] = np.nextafter(cuts[node], np.float32(toward))
                wrong = leaf_values(forest._replace(trees=[tree._replace(threshold=moved)]), rows)
                assert (wrong[:, 0] != right[:, number]).any(), (number, node, toward)


def below(tree: trees.Tree, node: int) -> list[float]:
    """What the leaves below a node add."""
    if tree.left[node] < 0:
        return [float(tree.values[node, -1])]
    return below(tree, tree.left[node]) + below(tree, tree.right[node])


def leaf_values(forest: Any, rows: Any) -> Any:
    """What each tree adds for the last target, rows x trees."""
    columns = []
    for tree in forest.trees:
        node = np.zeros(len(rows), int)
        while (tree.left[node] >= 0).any():
            value = rows[np.arange(len(rows)), tree.feature[node]]
            left = value <= tree.threshold[node]
            further = np.where(left, tree.left[node], tree.right[node])
            node = np.where(tree.left[node] >= 0, further, node)
        columns.append(tree.values[node, -1])
    return np.column_stack(columns)


def test_many_splits_are_sampled_evenly_and_that_is_said() -> None:
    splits = [path_rows.Split(tree, 0, {}) for tree in range(1000)]
    chosen, why = path_rows.sample(splits, 10)
    assert [split.tree for split in chosen] == list(range(0, 1000, 100))
    assert why == "10 of 1000 splits, evenly spread"
    assert path_rows.sample(splits, 1000) == (splits, "")


def test_what_lightgbm_takes_as_zero_is_zero_in_float64_too() -> None:
    import lightgbm

    zero = 1.0000000180025095e-35  # its kZeroThreshold
    rng = np.random.default_rng(0)
    X = rng.choice([-1.0, 0.0, 1e-300, -1e-36, 2.0], size=(300, 2))
    y = (X > 0).sum(axis=1) + 0.1 * rng.normal(size=300)
    model = lightgbm.LGBMRegressor(n_estimators=4, min_child_samples=2, verbose=-1, n_jobs=1)
    model.fit(X, y)
    converted = from_lightgbm.convert(model, framework.Rows(X, y, double=True))
    session = onnxruntime.InferenceSession(converted.model.SerializeToString())

    edges = [side * np.nextafter(zero, to) for side in (-1, 1) for to in (0.0, zero, 1.0)]
    rows = np.array(np.meshgrid([*edges, -1.0, 0.0, 2.0], [*edges, 0.0])).reshape(2, -1).T
    [answers] = session.run(None, converted.inputs(rows))
    np.testing.assert_allclose(answers.ravel(), model.predict(rows), rtol=1e-6)


@given(value=ANY, steps=st.integers(-1000, 1000), other=ANY)
def test_float64_steps_count_neighbours(value: float, steps: int, other: float) -> None:
    start, end = np.array([value]), np.array([other])
    low, high = float_steps.ordinal(np, start), float_steps.ordinal(np, end)
    np.testing.assert_array_equal(float_steps.number(np, low, np.float64), start)
    assert (low < high)[0] == (value < other)
    middle = float_steps.number(np, float_steps.between(low, high), np.float64)[0]
    assert min(value, other) <= middle <= max(value, other)
    moved = float_steps.stepped(np, start, steps)
    if np.isfinite(moved[0]):
        assert int(float_steps.ordinal(np, moved)[0] - low[0]) == steps
    with np.errstate(over="ignore"):  # beyond the largest lies infinity
        assert float_steps.stepped(np, start, 1)[0] == np.nextafter(value, np.inf)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("threshold", [0.1, -1 / 3, 1e-320, 0.0, 1e300])
def test_a_wide_stump_is_answered_around_its_threshold(threshold: float, strict: bool) -> None:
    tree = stump(threshold, strict=strict)._replace(wide=True)
    graph = forest_graph.whole_graph(trees.Forest([tree], [0.5]), 1, [])
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    rows = np.array([[np.nextafter(threshold, side)] for side in (-np.inf, threshold, np.inf)])
    [answers] = session.run(None, {"input": np.vstack([rows, [[np.nan]]])})
    left = rows < threshold if strict else rows <= threshold
    assert answers.ravel().tolist() == [*np.where(left, 1.5, 2.5).ravel().tolist(), 1.5]
