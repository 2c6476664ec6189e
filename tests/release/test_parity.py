"""How far an exported model's answers are from the original's, on arrays alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.release import ParityCheck
from mlbench.release.answers import Answers, Array
from mlbench.release.parity import FLIP_MARGIN, TOLERANCE, combine, compare
from mlbench.release.proof import verdict_of
from mlbench.release.worst import Shown

numbers = st.floats(width=32, allow_nan=False)
probabilities = st.floats(0, 1, width=32)


@st.composite
def tables(draw: st.DrawFn, values: st.SearchStrategy[float]) -> Array:
    """Scores of some rows, rows x classes."""
    width = draw(st.integers(1, 3))
    row = st.lists(values, min_size=width, max_size=width)
    return np.array(draw(st.lists(row, min_size=1, max_size=5)))


def against(
    scores: Array,
    exported: Array,
    labels: Any = None,
    exported_labels: Any = None,
    classes: Any = (),
) -> ParityCheck:
    """Two sets of scores beside each other, with labels where they are given."""
    return compare(
        "held-out",
        Answers(None if labels is None else np.array(labels), scores),
        Answers(None if exported_labels is None else np.array(exported_labels), exported),
        Shown({"input": np.arange(len(scores)).reshape(-1, 1)}, classes=np.array(classes)),
    )


@given(tables(st.floats(width=32)))
def test_equal_answers_have_no_error(scores: Array) -> None:
    check = against(scores, scores.copy())
    assert check.passed
    assert (check.rows, check.max_abs_error, check.max_rel_error) == (len(scores), 0.0, 0.0)
    assert (check.label_flips, check.worst_row, check.why) == (0, 0, "")


@given(tables(numbers), st.data())
def test_other_answers_have_an_error_on_their_row(scores: Array, data: st.DataObject) -> None:
    row = data.draw(st.integers(0, len(scores) - 1))
    column = data.draw(st.integers(0, scores.shape[1] - 1))
    exported = scores.copy()
    exported[row, column] = data.draw(numbers.filter(lambda other: other != scores[row, column]))
    check = against(scores, exported)
    assert check.max_abs_error > 0
    assert check.worst_row == row
    assert f"row {row}: input={row}: original " in check.worst


@given(tables(probabilities), st.data())
def test_nan_for_a_number_is_an_infinite_error_and_never_passes(
    scores: Array, data: st.DataObject
) -> None:
    row = data.draw(st.integers(0, len(scores) - 1))
    holed = scores.copy()
    holed[row, 0] = math.nan
    for original, exported in ((scores, holed), (holed, scores)):
        check = against(original, exported)
        assert check.passed is False
        assert check.max_abs_error == check.max_rel_error == math.inf
        assert check.worst_row == row
    assert against(holed, holed).passed


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1))
def test_every_flipped_label_counts(pairs: list[tuple[int, int]]) -> None:
    labels, exported = zip(*pairs, strict=True)
    flips = sum(one != other for one, other in pairs)
    scores = np.tile([0.5, 0.3, 0.2], (len(pairs), 1))
    for kind in (int, float, str):
        check = against(
            scores, scores, [kind(item) for item in labels], [kind(item) for item in exported]
        )
        assert check.label_flips == flips
        assert check.passed is (flips == 0)
        assert ("beyond the margin" in check.why) is (flips > 0)


@pytest.mark.parametrize(
    ("labels", "exported"),
    [([0.0, 1.0, 2.0], [0, 1, 2]), ([False, True, True], [0, 1, 1])],
)
def test_labels_are_compared_by_value(labels: list[float], exported: list[int]) -> None:
    scores = np.eye(3)
    assert against(scores, scores, labels, exported).passed
    assert against(scores, scores, labels, exported[::-1]).label_flips == 2


def test_a_label_of_several_targets_flips_where_one_of_them_does() -> None:
    scores = np.ones((2, 4))
    check = against(scores, scores, [[0, 1], [1, 1]], [[0, 1], [1, 0]])
    assert (check.label_flips, check.excused_flips, check.passed) == (1, 0, False)
    assert check.worst.endswith("1 1 → 1 0")


CLASSES = ["cat", "dog", "eel"]


@given(st.floats(0, 1e-3), st.permutations(range(3)))
def test_a_flip_is_excused_within_the_margin_alone(gap: float, order: list[int]) -> None:
    scores = np.array([[0.4 + gap, 0.4, 0.2 - gap]])[:, order]
    names = np.array(CLASSES)
    labels, flipped = names[[order.index(0)]], names[[order.index(1)]]
    check = against(scores, scores, labels, flipped, CLASSES)
    share = ((0.4 + gap) - 0.4) / (0.4 + gap)
    assert (check.label_flips, check.excused_flips) == (1, int(share <= FLIP_MARGIN))
    assert check.passed is (share <= FLIP_MARGIN)


def test_a_tie_of_two_does_not_excuse_a_third() -> None:
    scores = np.array([[0.45, 0.45, 0.1]])
    assert against(scores, scores, ["cat"], ["dog"], CLASSES).passed
    assert not against(scores, scores, ["cat"], ["eel"], CLASSES).passed
    assert not against(scores, scores, ["cat"], ["cow"], CLASSES).passed


def test_the_label_of_the_best_score_is_no_excuse_where_the_original_said_another() -> None:
    """As SVC does, whose labels don't come from its probabilities."""
    scores = np.array([[0.6, 0.3, 0.1]])
    assert not against(scores, scores, ["dog"], ["cat"], CLASSES).passed


@pytest.mark.parametrize(("names", "exported"), [([0.0, 1.0], [1]), ([False, True], [1])])
def test_the_margin_knows_classes_by_value(names: list[float], exported: list[int]) -> None:
    scores = np.array([[0.5, 0.5]])
    assert against(scores, scores, names[:1], exported, names).passed


@pytest.mark.parametrize("exported", [np.ones((2, 1)), np.ones((2, 2)), np.ones((2, 4))])
def test_another_number_of_scores_never_passes(exported: Array) -> None:
    check = against(np.ones((2, 3)), exported)
    assert not check.passed
    assert check.max_abs_error == math.inf
    assert check.worst.endswith(f"original 3 scores → exported {exported.shape[1]}")


def test_scores_or_labels_that_are_missing_never_pass() -> None:
    shown, scores, label = Shown({"input": np.ones((2, 1))}), np.ones((2, 1)), np.array([1, 2])
    assert not compare("held-out", Answers(label, scores), Answers(label), shown).passed
    assert not compare("held-out", Answers(label, scores), Answers(None, scores), shown).passed
    assert compare("held-out", Answers(label), Answers(label, scores), shown).passed
    with pytest.raises(ValueError, match="no answers"):
        compare("held-out", Answers(), Answers(label, scores), shown)


def test_an_error_is_relative_to_the_rows_largest_score() -> None:
    scores = np.array([[1e-9, 0.8], [0.5, 0.5]])
    check = against(scores, np.array([[3e-9, 0.8], [0.5, 0.5 + 5e-5]]))
    assert check.passed
    assert check.max_abs_error == pytest.approx(5e-5)
    assert check.max_rel_error == pytest.approx(1e-4)
    assert not against(scores, np.array([[0.1, 0.8], [0.5, 0.5]])).passed


def test_a_prediction_near_zero_is_judged_beside_the_usual_ones() -> None:
    predictions = np.array([[1.5], [-0.9], [1e-8], [0.7]])
    assert against(predictions, predictions + 1e-7).passed
    wrong = predictions.copy()
    wrong[2] = 1e-3
    assert not against(predictions, wrong).passed


# --- rows around split thresholds


def float32_steps(value: float, count: int) -> list[Any]:
    """This many float32 numbers, the first just below `value`."""
    steps = [np.nextafter(np.float32(value), np.float32(-np.inf))]
    for _ in range(count - 1):
        steps.append(np.nextafter(steps[-1], np.float32(np.inf)))
    return steps


def around(values: Array, rows: Array, answers: Array, exported: Array) -> ParityCheck:
    """A check of probes: one column of `values`, beside one that is the same for all."""
    shown = Shown({"input": np.column_stack([values, rows])}, ("width", "height"))
    return compare("thresholds", Answers(None, answers), Answers(None, exported), shown, steps=True)


@given(
    threshold=numbers.filter(lambda value: abs(value) < 1e30),
    leaf=st.floats(1e-5, 1e-3),
    moved=st.sampled_from([-1, 1]),
)
def test_a_step_at_the_next_float32_number_is_found_however_small(
    threshold: float, leaf: float, moved: int
) -> None:
    values = np.array(float32_steps(threshold, 3), dtype=np.float32)
    same = np.full(3, 7.0, dtype=np.float32)
    answers = 0.5 + np.where(values <= values[1], 0.0, leaf).reshape(-1, 1)
    assert around(values, same, answers, answers.astype(np.float32).astype(float)).passed

    edge = np.nextafter(values[1], np.float32(moved * np.inf))
    wrong = 0.5 + np.where(values <= edge, 0.0, leaf).reshape(-1, 1)
    check = around(values, same, answers, wrong.astype(np.float32).astype(float))
    assert check.passed is False
    if leaf < 4e-4:  # below TOLERANCE
        assert "the answer changes at another place" in check.why
    assert "width=" in check.worst
    assert "height" not in check.worst


def test_rounding_around_a_threshold_is_no_step() -> None:
    values = np.array(float32_steps(1.0, 3), dtype=np.float32)
    answers = np.array([[0.25], [0.25], [0.75]])
    rounded = answers + np.array([[3e-7], [3e-7], [-4e-7]])
    assert around(values, values * 0, answers, rounded).passed


def test_leaves_that_cancel_out_may_leave_a_rounding() -> None:
    """The original stays where two trees step against each other, a float32 sum nearly so."""
    values = np.array(float32_steps(1.0, 5), dtype=np.float32)
    answers = np.array([[89.34], [89.34], [89.34], [87.98], [87.98]])
    moved = np.array([[0.0], [0.0], [-7.6e-6], [7e-6], [7e-6]])
    assert around(values, values * 0, answers, answers + moved).passed


def test_a_model_that_is_not_of_trees_alone_may_move_with_every_step() -> None:
    values = np.array(float32_steps(1.0, 40), dtype=np.float32)
    answers = np.full((40, 1), 0.5)
    wavering = answers + np.linspace(0, 4e-6, 40).reshape(-1, 1)
    assert around(values, values * 0, answers, wavering).passed


def test_rows_that_lie_apart_are_no_neighbours() -> None:
    values = np.array([1.0, 2.0, 3.0], dtype=np.float32)
    answers = np.array([[0.5], [0.5], [0.5001]])
    assert around(values, values * 0, answers, np.array([[0.5], [0.5001], [0.5001]])).passed


# --- all kinds of rows together, and their words


def check_of(name: str, **fields: Any) -> ParityCheck:
    return ParityCheck(name, **{"passed": True, "rows": 4, **fields})


def test_parity_holds_where_no_check_fails() -> None:
    checks = [
        check_of("held-out", rows=40, max_abs_error=1e-7, max_rel_error=2e-7, worst_row=3),
        check_of("raw", passed=None, rows=0, why="nothing to round"),
        check_of("missing", max_abs_error=4e-7, max_rel_error=1e-7, label_flips=1, excused_flips=1),
    ]
    parity = combine(checks, {"accuracy": 0.9}, {"accuracy": 0.8})
    assert parity.passed
    assert (parity.rows, parity.label_flips) == (40, 1)
    assert (parity.max_abs_error, parity.max_rel_error) == (4e-7, 2e-7)
    assert (parity.worst_check, parity.worst_row) == ("held-out", 3)
    assert (parity.tolerance, parity.flip_margin) == (TOLERANCE, FLIP_MARGIN)
    assert (parity.original_metrics, parity.exported_metrics) == (
        {"accuracy": 0.9},
        {"accuracy": 0.8},
    )
    assert verdict_of(parity) == "it answers as the original does"


def test_a_failing_check_is_named_before_a_larger_error_that_is_tolerated() -> None:
    checks = [
        check_of("held-out", max_rel_error=9e-4),
        check_of("unseen", passed=False, label_flips=1, worst_row=2, why="1 of 4 label flips"),
        check_of("thresholds", passed=False, rows=0, why="it fails"),
    ]
    parity = combine(checks, {}, {})
    assert not parity.passed
    assert (parity.worst_check, parity.worst_row) == ("unseen", 2)
    assert verdict_of(parity) == (
        'on the rows "unseen" (as do the rows "thresholds") 1 of 4 label flips'
    )


def test_the_worst_row_is_told_with_both_answers() -> None:
    shown = Shown(
        {"width": np.array([[0.5], [0.25]]), "island": np.array([["Dream"], ["Biscoe"]])},
        classes=np.array(CLASSES[:2]),
    )
    check = compare(
        "held-out",
        Answers(np.array(["cat", "cat"]), np.array([[0.9, 0.1], [0.81, 0.19]])),
        Answers(np.array(["cat", "dog"]), np.array([[0.9, 0.1], [0.12, 0.88]])),
        shown,
    )
    assert check.worst == (
        "row 1: width=0.25, island=Biscoe: original 0.81 → exported 0.12 (score of cat), cat → dog"
    )
    assert check.why == (
        "1 of 2 label flips beyond the margin of 0.0001; "
        "the largest error is 0.69, 0.8519 relative (0.001 is tolerated)"
    )


def test_of_many_columns_the_unusual_ones_are_told() -> None:
    rows = np.zeros((9, 50), dtype=np.float32)
    rows[:, 10] = np.arange(9)
    rows[4, 20] = 1e6
    scores = np.ones((9, 1))
    exported = scores.copy()
    exported[4] = 2.0
    check = compare("held-out", Answers(None, scores), Answers(None, exported), Shown({"x": rows}))
    assert "x[20]=1000000: " in check.worst
    assert check.worst.count("=") == 6
    assert check.worst.endswith("original 1 → exported 2")


def test_images_are_not_told() -> None:
    images = np.zeros((2, 1, 8, 8), dtype=np.float32)
    answers = Answers(None, np.array([[1.0], [2.0]]))
    check = compare("held-out", answers, answers, Shown({"input": images}))
    assert check.worst == "row 0: original 1 → exported 1"


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [(0.8, 0.1, "original 0.8 → exported 0.1"), (0.123456789, 0.1234568, "original 0.12345679 → ")],
)
def test_answers_are_told_in_as_many_digits_as_they_differ_in(
    one: float, other: float, told: str
) -> None:
    assert told in against(np.array([[one]]), np.array([[other]])).worst
