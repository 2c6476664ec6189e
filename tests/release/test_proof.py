"""The proof over what an exporter leaves behind: real graphs, real files, real children."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mlbench.release.parity import TOLERANCE
from mlbench.release.proof import verdict_of
from tests.release.exported_folder import (
    PREDICT,
    RNG,
    ROWS,
    SCORES,
    ExportedFolder,
    as_it_is,
    check,
    original,
)


@pytest.fixture
def exported(tmp_path: Path) -> ExportedFolder:
    return ExportedFolder(tmp_path / "out")


def test_a_true_model_is_proved(exported: ExportedFolder) -> None:
    proof = exported.prove()
    parity = proof.parity
    assert parity.passed
    assert (parity.rows, parity.label_flips) == (40, 0)
    assert 0 < parity.max_abs_error < 1e-6
    assert 0 < proof.latency["p50_ms"] <= proof.latency["p99_ms"]
    assert {item.name: item.passed for item in parity.checks} == {
        "held-out": True,
        "raw": None,
        "one by one": True,
        "missing": None,
        "unseen": None,
        "thresholds": None,
    }
    assert check(parity, "one by one").rows == 32
    assert all(item.why for item in parity.checks if item.passed is None)


def test_the_child_says_the_same(exported: ExportedFolder) -> None:
    assert exported.in_child().parity == exported.prove().parity
    assert not (exported.folder / "proof.json").exists()


def test_rows_of_some_thousands_go_in_pieces(exported: ExportedFolder) -> None:
    rows = RNG.normal(size=(9000, 3)).astype(np.float32)
    exported.answers(rows)
    assert check(exported.prove().parity, "held-out").rows == 9000


def test_metrics_are_scored_for_both_models(exported: ExportedFolder) -> None:
    truth = SCORES.argmax(axis=1)
    truth[:10] = (truth[:10] + 1) % 4
    exported.answers(**original(), y=truth)
    parity = exported.prove().parity
    assert parity.original_metrics["accuracy"] == parity.exported_metrics["accuracy"] == 0.75
    assert parity.exported_metrics["log_loss"] == pytest.approx(parity.original_metrics["log_loss"])


@pytest.mark.parametrize("operation", ["Neg", "Add"])
def test_a_model_with_other_scores_is_refused(exported: ExportedFolder, operation: str) -> None:
    operands = ["input"] if operation == "Neg" else ["input", "input"]
    rows = helper.make_node(operation, operands, ["rows"])
    exported.graph([rows, *PREDICT], "label", "probabilities")
    parity = exported.prove().parity
    assert not parity.passed
    assert (parity.label_flips > 0) is (operation == "Neg")
    assert parity.max_rel_error > TOLERANCE
    assert f"row {parity.worst_row}: input[0]=" in verdict_of(parity)


def test_a_model_that_looks_at_its_neighbours_is_refused(exported: ExportedFolder) -> None:
    """All rows at once it answers as the original did; alone, each row is its own mean."""
    centred = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[0]),
        helper.make_node("Sub", ["input", "mean"], ["rows"]),
    ]
    exported.graph([*centred, *PREDICT], "label", "probabilities")
    exported.answers(**original(ROWS - ROWS.mean(axis=0)))
    parity = exported.prove().parity
    assert check(parity, "held-out").passed
    assert check(parity, "one by one").passed is False
    assert parity.worst_check == "one by one"


def test_a_regressor_has_no_labels_to_flip(exported: ExportedFolder) -> None:
    exported.graph([as_it_is("rows"), PREDICT[0]], "scores")
    exported.answers(scores=SCORES, classes=np.array([]), y=SCORES)
    parity = exported.prove().parity
    assert (parity.passed, parity.label_flips) == (True, 0)
    assert parity.exported_metrics["r2"] == pytest.approx(1.0)

    exported.answers(scores=SCORES + 0.1)
    parity = exported.prove().parity
    assert (parity.passed, parity.label_flips) == (False, 0)
    assert parity.max_abs_error == pytest.approx(0.1, abs=1e-5)


def test_a_network_is_labelled_by_its_best_score(exported: ExportedFolder) -> None:
    exported.graph([as_it_is("rows"), PREDICT[0]], "scores")
    exported.answers(label=SCORES.argmax(axis=1), scores=SCORES)
    assert exported.prove().parity.passed
    exported.answers(label=SCORES.argmin(axis=1), scores=SCORES)
    assert check(exported.prove().parity, "held-out").label_flips == 40


def test_several_outputs_are_compared_side_by_side(exported: ExportedFolder) -> None:
    exported.graph([as_it_is("rows"), PREDICT[0], as_it_is("copy")], "scores", "copy")
    exported.answers(scores=np.hstack([SCORES, ROWS]))
    assert exported.prove().parity.passed
    exported.answers(scores=np.hstack([SCORES, ROWS + 1]))
    assert not exported.prove().parity.passed


def test_a_single_row_is_enough(exported: ExportedFolder) -> None:
    exported.answers(ROWS[:1])
    parity = exported.prove().parity
    assert (parity.passed, parity.rows, parity.worst_row) == (True, 1, 0)


def later_than(cut: float) -> list[onnx.NodeProto]:
    """A classifier by the first column, as float32 has it: 1 where it is above `cut`."""
    constants = {"column": np.array([0]), "cut": np.float32(cut), "unit": np.float32(1)}
    nodes = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.asarray(value)))
        for name, value in constants.items()
    ]
    return [
        *nodes,
        helper.make_node("Gather", ["input", "column"], ["time"], axis=1),
        helper.make_node("Greater", ["time", "cut"], ["is_late"]),
        helper.make_node("Cast", ["is_late"], ["late"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["unit", "late"], ["early"]),
        helper.make_node("Concat", ["early", "late"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
    ]


def test_rows_as_stored_are_told_with_their_float32(exported: ExportedFolder) -> None:
    seconds = 1_763_911_465.0 + np.arange(40)
    stored = np.column_stack([seconds, ROWS[:, 1:].astype(float)])
    fed = stored.astype(np.float32)
    late = (seconds > seconds[19]).astype(int)
    rounded = (fed[:, 0].astype(float) > seconds[19]).astype(int)
    shares = np.column_stack([1.0 - rounded, rounded])
    exported.graph(later_than(seconds[19]), "label", "probabilities")
    exported.answers(
        fed,
        classes=np.arange(2),
        label=rounded,
        scores=shares,
        label_raw=late,
        scores_raw=np.column_stack([1.0 - late, late]),
        **{"raw:input": stored},
    )
    parity = exported.prove().parity
    assert check(parity, "held-out").passed
    raw = check(parity, "raw")
    assert raw.passed is False
    assert raw.label_flips == (late != rounded).sum() > 0
    assert raw.worst == (
        "row 20: input[0]=1763911485 (as float32: 1763911424), "
        f"input[1]={ROWS[20, 1]!s}, input[2]={ROWS[20, 2]!s}: "
        "original 0 → exported 1 (score of 0), 1 → 0"
    )
    assert "subtract an offset" in raw.why


def test_a_row_at_the_very_edge_of_a_split_has_another_remedy(exported: ExportedFolder) -> None:
    stored = ROWS.astype(np.float64)
    stored[:, 0] += 1e-9
    answers = original()
    flipped = answers["scores"][:, ::-1].copy()
    exported.answers(
        **answers,
        label_raw=flipped.argmax(axis=1),
        scores_raw=flipped,
        **{"raw:input": stored},
    )
    raw = check(exported.prove().parity, "raw")
    assert raw.passed is False
    assert "train on float32 rows" in raw.why
    assert "subtract" not in raw.why


@pytest.mark.parametrize("group", ["missing", "unseen", "thresholds"])
def test_rows_that_were_made_to_find_faults_count(exported: ExportedFolder, group: str) -> None:
    rows = ROWS[:4].copy()
    exported.probe(group, rows, **original(rows))
    exported.report(groups={group: {"about": "one split is left out"}})
    made = check(exported.prove().parity, group)
    assert (made.passed, made.rows, made.why) == (True, 4, "one split is left out")

    answers = original(rows)
    answers["label"][2] = (answers["label"][2] + 1) % 4
    exported.probe(group, rows, **answers)
    parity = exported.prove().parity
    assert not parity.passed
    assert (parity.worst_check, parity.worst_row) == (group, 2)


def test_nan_must_go_the_same_way(exported: ExportedFolder) -> None:
    rows = ROWS[:2].copy()
    rows[0, 0] = np.nan
    answers = original(rows)
    exported.probe("missing", rows, label=answers["label"], scores=answers["scores"])
    assert check(exported.prove().parity, "missing").passed
    scores = np.where(np.isnan(answers["scores"]), 0.25, answers["scores"])
    exported.probe("missing", rows, label=answers["label"], scores=scores)
    assert check(exported.prove().parity, "missing").max_abs_error == math.inf


def test_a_kind_that_does_not_apply_says_why(exported: ExportedFolder) -> None:
    exported.report(groups={"missing": {"why": "the original refuses them"}})
    made = check(exported.prove().parity, "missing")
    assert (made.passed, made.why) == (None, "the original refuses them")


def test_rows_that_the_graph_cannot_take_fail_with_its_own_words(exported: ExportedFolder) -> None:
    exported.probe("missing", ROWS[:2, :2], **original(ROWS[:2]))
    made = check(exported.prove().parity, "missing")
    assert (made.passed, made.rows) == (False, 2)
    assert made.why.startswith("the exported model fails on them: ")


def test_missing_text_that_is_served_as_empty_text_is_explained(exported: ExportedFolder) -> None:
    words = np.array([["a"], [""]])
    encode = helper.make_node(
        "LabelEncoder",
        ["input"],
        ["scores"],
        domain="ai.onnx.ml",
        keys_strings=["a", ""],
        values_floats=[1.0, 2.0],
    )
    graph = helper.make_graph(
        [encode],
        "words",
        [helper.make_tensor_value_info("input", TensorProto.STRING, [None, 1])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, 1])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(
        helper.make_model(graph, opset_imports=opsets, ir_version=8), exported.folder / "model.onnx"
    )
    exported.answers(words, scores=np.array([[1.0], [2.0]]))
    exported.probe("missing", words, scores=np.array([[1.0], [0.0]]))
    made = check(exported.prove().parity, "missing")
    assert made.passed is False
    assert "a missing text is served as an empty one" in made.why


def test_an_output_that_went_lost_is_told(exported: ExportedFolder) -> None:
    tensors = [{"name": name, "datatype": "FP32", "shape": [-1, 4]} for name in ("a", "input")]
    outputs = [dict(tensors[0], name=name) for name in ("label", "probabilities")]
    exported.report(signature={"inputs": tensors[1:], "outputs": outputs})
    assert exported.prove().parity.passed
    renamed = [*PREDICT[:2], helper.make_node("Softmax", ["scores"], ["shares"], axis=1)]
    exported.graph([as_it_is("rows"), *renamed], "label", "shares")
    assert verdict_of(exported.prove().parity) == (
        'on the rows "held-out" the graph gives label, shares, its signature label, probabilities'
    )
    exported.graph([as_it_is("rows"), *PREDICT], "label")
    assert not exported.prove().parity.passed


# --- without an original


def test_without_an_original_the_model_must_at_least_agree_with_itself(
    exported: ExportedFolder,
) -> None:
    exported.answers(y=SCORES.argmax(axis=1))
    parity = exported.prove().parity
    assert parity.passed
    held_out = check(parity, "held-out")
    assert (held_out.passed, held_out.rows) == (None, 40)
    assert "no original to compare with" in held_out.why
    assert check(parity, "one by one").passed
    assert parity.exported_metrics["accuracy"] == 1.0
    assert parity.original_metrics == {}


def test_answers_at_random_are_refused(exported: ExportedFolder) -> None:
    noise = helper.make_node("RandomNormalLike", ["input"], ["noise"], dtype=1)
    rows = helper.make_node("Add", ["input", "noise"], ["rows"])
    exported.graph([noise, rows, *PREDICT], "label", "probabilities")
    exported.answers(y=SCORES.argmax(axis=1))
    held_out = check(exported.prove().parity, "held-out")
    assert held_out.passed is False
    assert "differ from run to run" in held_out.why
