"""Training-serving skew: a server's answers beside the training code's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlbench.domain.release import Signature, TensorSpec
from mlbench.release.answers import Answers
from mlbench.release.parity import TOLERANCE
from mlbench.release.skew import MOST_ROWS, HeldOut, held_out, judge_served, served_answers

CLASSIFIER = Signature(
    (TensorSpec("input", "FP32", (-1, 2)),),
    (TensorSpec("label", "INT64", (-1,)), TensorSpec("probabilities", "FP32", (-1, 2))),
    ("no", "yes"),
    ("width", "height"),
)
COLUMNS = Signature(
    (TensorSpec("width", "FP32", (-1, 1)), TensorSpec("island", "BYTES", (-1, 1))),
    (TensorSpec("prediction", "FP32", (-1, 1)),),
)
ROWS = np.array([[0.1, 1.0], [0.2, 2.0], [0.3, 3.0]])
LABEL = np.array([0, 1, 1])
SCORES = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]])


def saved(folder: Path, **arrays: Any) -> Path:
    path = folder / "answers.npz"
    np.savez(path, **{name.replace("_to_", ":"): array for name, array in arrays.items()})
    return path


def response(label: Any, scores: Any) -> dict[str, Any]:
    return {
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": [len(label)], "data": list(label)},
            {
                "name": "probabilities",
                "datatype": "FP32",
                "shape": list(np.shape(scores)),
                "data": np.ravel(scores).tolist(),
            },
        ]
    }


def asked() -> HeldOut:
    return HeldOut({"input": ROWS}, Answers(LABEL, SCORES))


def judged(label: Any, scores: Any) -> Any:
    answers = served_answers([response(label, scores)], CLASSIFIER, asked())
    return judge_served("digits", CLASSIFIER, asked(), answers)


def test_rows_go_out_as_stored_and_are_held_to_the_answers_on_them(tmp_path: Path) -> None:
    path = saved(
        tmp_path,
        in_to_input=ROWS.astype(np.float32),
        raw_to_input=ROWS,
        label=LABEL[::-1],
        scores=SCORES[::-1],
        label_raw=LABEL,
        scores_raw=SCORES,
    )
    found = held_out(path, CLASSIFIER)
    assert found is not None
    assert found.inputs["input"].dtype == np.float64
    assert found.inputs["input"].tolist() == ROWS.tolist()
    assert found.original.label is not None
    assert found.original.label.tolist() == LABEL.tolist()


def test_rows_that_are_fed_as_stored_have_one_answer(tmp_path: Path) -> None:
    given = ROWS.astype(np.float32)
    path = saved(tmp_path, in_to_input=given, label=LABEL, scores=SCORES)
    found = held_out(path, CLASSIFIER)
    assert found is not None
    assert found.inputs["input"].dtype == np.float32
    assert found.original.scores is not None
    assert found.original.scores.tolist() == SCORES.tolist()


def test_rows_with_nan_are_left_out_and_counted(tmp_path: Path) -> None:
    holes = ROWS.copy()
    holes[1, 0] = np.nan
    path = saved(tmp_path, in_to_input=holes, label=LABEL, scores=SCORES)
    found = held_out(path, CLASSIFIER)
    assert found is not None
    assert (found.rows, found.left_out) == (2, 1)
    served = served_answers([response(LABEL[[0, 2]], SCORES[[0, 2]])], CLASSIFIER, found)
    result = judge_served("digits", CLASSIFIER, found, served)
    assert result.passed is True
    assert result.why == ("2 held-out rows over HTTP; 1 with NaN left out, which JSON can't hold")


def test_columns_of_several_kinds_are_sent_by_name(tmp_path: Path) -> None:
    path = saved(
        tmp_path,
        in_to_width=np.ones((700, 1), np.float32),
        in_to_island=np.full((700, 1), "Dream"),
        scores=np.zeros((700, 1)),
    )
    found = held_out(path, COLUMNS)
    assert found is not None
    assert found.rows == MOST_ROWS
    assert sum(len(batch["island"]) for batch in found.batches()) == MOST_ROWS
    missing = saved(tmp_path, in_to_width=np.ones((2, 1), np.float32))
    assert held_out(missing, COLUMNS) is None


def test_wide_rows_go_out_in_small_requests() -> None:
    pictures = HeldOut({"input": np.zeros((40, 3, 100, 100))}, Answers())
    sizes = [len(batch["input"]) for batch in pictures.batches()]
    assert sum(sizes) == 40
    assert max(sizes) <= 4


def test_equal_answers_agree_with_their_margin() -> None:
    result = judged(LABEL, SCORES.astype(np.float32))
    assert (result.passed, result.level) == (True, "error")
    assert result.value is not None
    assert result.margin == pytest.approx(TOLERANCE - result.value)


def test_another_score_label_or_order_is_skew() -> None:
    wrong = SCORES.copy()
    wrong[2] = [0.3, 0.7]
    shifted = judged(LABEL, wrong)
    assert shifted.passed is False
    assert shifted.refuses
    assert "row 2" in shifted.why
    assert judged([0, 1, 0], SCORES).passed is False
    assert judged(LABEL[::-1], SCORES[::-1]).passed is False
    assert judged(LABEL, SCORES[:, ::-1]).passed is False


def test_a_lost_class_is_skew_and_a_lost_row_no_answer() -> None:
    assert judged(LABEL, SCORES[:, :1]).passed is False
    with pytest.raises(ValueError, match='its output "label" has 2 rows for 3'):
        judged(LABEL[:2], SCORES)
    with pytest.raises(ValueError, match='its output "probabilities" has 2 rows for 3'):
        judged(LABEL, SCORES[:2])


def test_without_an_original_it_only_has_to_answer() -> None:
    rows = HeldOut({"input": ROWS}, Answers())
    served = served_answers([response(LABEL, SCORES)], CLASSIFIER, rows)
    result = judge_served("digits", CLASSIFIER, rows, served)
    assert (result.passed, result.value) == (True, None)
    assert "there is no original to compare with" in result.why


def test_an_answer_without_an_output_is_refused() -> None:
    short = {"outputs": response(LABEL, SCORES)["outputs"][:1]}
    with pytest.raises(ValueError, match='lacks the output "probabilities"'):
        served_answers([short], CLASSIFIER, asked())


def test_a_network_says_its_label_by_its_best_score() -> None:
    network = Signature(CLASSIFIER.inputs, (TensorSpec("output", "FP32", (-1, 2)),))
    given = {"name": "output", "datatype": "FP32", "shape": [3, 2], "data": SCORES.ravel().tolist()}
    answers = served_answers([{"outputs": [given]}], network, asked())
    assert answers.label is not None
    assert answers.label.tolist() == [0, 1, 1]
