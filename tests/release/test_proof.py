"""The proof over what an exporter leaves behind: real graphs, real files, real children."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mlbench.domain.errors import ExportError
from mlbench.domain.release import Parity, ParityCheck
from mlbench.release import proof as proof_module
from mlbench.release.parity import TOLERANCE
from mlbench.release.proof import Proof, prove_in_child, verdict_of
from mlbench.release.proving import prove

Array = NDArray[Any]

RNG = np.random.default_rng(7)
ROWS = RNG.normal(size=(40, 3)).astype(np.float32)
WEIGHTS = RNG.normal(size=(3, 4)).astype(np.float32)
SCORES = ROWS.astype(np.float64) @ WEIGHTS


def softmax(scores: Array) -> Array:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


PREDICT = [
    helper.make_node("MatMul", ["rows", "W"], ["scores"]),
    helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
    helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
]


def as_it_is(name: str) -> onnx.NodeProto:
    return helper.make_node("Identity", ["input"], [name])


class Exported:
    """A folder as an exporter leaves it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "probes").mkdir(parents=True)

    def graph(self, nodes: list[onnx.NodeProto], *outputs: str) -> None:
        """A model on n x 3 rows from nodes that may use the weights W; `label` is INT64."""
        graph = helper.make_graph(
            nodes,
            "linear",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, 3])],
            [
                helper.make_tensor_value_info(
                    name, TensorProto.INT64 if name == "label" else TensorProto.FLOAT, None
                )
                for name in outputs
            ],
            [numpy_helper.from_array(WEIGHTS, "W")],
        )
        opsets = [helper.make_opsetid("", 17)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        onnx.save(model, self.folder / "model.onnx")

    def classifier(self) -> None:
        """The graph that answers as the original does."""
        self.graph([as_it_is("rows"), *PREDICT], "label", "probabilities")

    def answers(self, rows: Array = ROWS, **arrays: Any) -> None:
        """The held-out rows; by default with the classifier's answers."""
        given: dict[str, Any] = {"in:input": rows, "classes": np.arange(4)}
        np.savez(self.folder / "answers.npz", **(given | (arrays or original(rows))))

    def probe(self, name: str, rows: Array, **arrays: Any) -> None:
        np.savez(self.folder / "probes" / f"{name}.npz", **({"in:input": rows} | arrays))

    def report(self, **fields: Any) -> None:
        (self.folder / "report.json").write_text(json.dumps({"ok": True, **fields}))

    def prove(self) -> Proof:
        return prove(self.folder)

    def in_child(self, timeout: float = 60.0) -> Proof:
        return prove_in_child(self.folder, log=self.folder / "log", timeout=timeout)


def original(rows: Array = ROWS) -> dict[str, Array]:
    """What the classifier answers."""
    scores = rows.astype(np.float64) @ WEIGHTS
    return {"label": scores.argmax(axis=1), "scores": softmax(scores)}


def check(parity: Parity, name: str) -> ParityCheck:
    return next(item for item in parity.checks if item.name == name)


@pytest.fixture
def exported(tmp_path: Path) -> Exported:
    folder = Exported(tmp_path / "out")
    folder.classifier()
    folder.answers()
    return folder


def test_a_true_model_is_proved(exported: Exported) -> None:
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


def test_the_child_says_the_same(exported: Exported) -> None:
    assert exported.in_child().parity == exported.prove().parity
    assert not (exported.folder / "proof.json").exists()


def test_rows_of_some_thousands_go_in_pieces(exported: Exported) -> None:
    rows = RNG.normal(size=(9000, 3)).astype(np.float32)
    exported.answers(rows)
    assert check(exported.prove().parity, "held-out").rows == 9000


def test_metrics_are_scored_for_both_models(exported: Exported) -> None:
    truth = SCORES.argmax(axis=1)
    truth[:10] = (truth[:10] + 1) % 4
    exported.answers(**original(), y=truth)
    parity = exported.prove().parity
    assert parity.original_metrics["accuracy"] == parity.exported_metrics["accuracy"] == 0.75
    assert parity.exported_metrics["log_loss"] == pytest.approx(parity.original_metrics["log_loss"])


@pytest.mark.parametrize("operation", ["Neg", "Add"])
def test_a_model_with_other_scores_is_refused(exported: Exported, operation: str) -> None:
    operands = ["input"] if operation == "Neg" else ["input", "input"]
    rows = helper.make_node(operation, operands, ["rows"])
    exported.graph([rows, *PREDICT], "label", "probabilities")
    parity = exported.prove().parity
    assert not parity.passed
    assert (parity.label_flips > 0) is (operation == "Neg")
    assert parity.max_rel_error > TOLERANCE
    assert f"row {parity.worst_row}: input[0]=" in verdict_of(parity)


def test_a_model_that_looks_at_its_neighbours_is_refused(exported: Exported) -> None:
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


def test_a_regressor_has_no_labels_to_flip(exported: Exported) -> None:
    exported.graph([as_it_is("rows"), PREDICT[0]], "scores")
    exported.answers(scores=SCORES, classes=np.array([]), y=SCORES)
    parity = exported.prove().parity
    assert (parity.passed, parity.label_flips) == (True, 0)
    assert parity.exported_metrics["r2"] == pytest.approx(1.0)

    exported.answers(scores=SCORES + 0.1)
    parity = exported.prove().parity
    assert (parity.passed, parity.label_flips) == (False, 0)
    assert parity.max_abs_error == pytest.approx(0.1, abs=1e-5)


def test_a_network_is_labelled_by_its_best_score(exported: Exported) -> None:
    exported.graph([as_it_is("rows"), PREDICT[0]], "scores")
    exported.answers(label=SCORES.argmax(axis=1), scores=SCORES)
    assert exported.prove().parity.passed
    exported.answers(label=SCORES.argmin(axis=1), scores=SCORES)
    assert check(exported.prove().parity, "held-out").label_flips == 40


def test_several_outputs_are_compared_side_by_side(exported: Exported) -> None:
    exported.graph([as_it_is("rows"), PREDICT[0], as_it_is("copy")], "scores", "copy")
    exported.answers(scores=np.hstack([SCORES, ROWS]))
    assert exported.prove().parity.passed
    exported.answers(scores=np.hstack([SCORES, ROWS + 1]))
    assert not exported.prove().parity.passed


def test_a_single_row_is_enough(exported: Exported) -> None:
    exported.answers(ROWS[:1])
    parity = exported.prove().parity
    assert (parity.passed, parity.rows, parity.worst_row) == (True, 1, 0)


def test_rows_as_stored_are_told_with_their_float32(exported: Exported) -> None:
    seconds = 1_763_911_465.0 + np.arange(40)
    stored = np.column_stack([seconds, ROWS[:, 1:].astype(float)])
    fed = stored.astype(np.float32)
    late = (seconds > seconds[19]).astype(int)
    rounded = (fed[:, 0].astype(float) > seconds[19]).astype(int)
    shares = np.column_stack([1.0 - rounded, rounded])
    constants = {"column": np.array([0]), "cut": np.float32(seconds[19]), "unit": np.float32(1)}
    nodes = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.asarray(value)))
        for name, value in constants.items()
    ]
    nodes += [
        helper.make_node("Gather", ["input", "column"], ["time"], axis=1),
        helper.make_node("Greater", ["time", "cut"], ["is_late"]),
        helper.make_node("Cast", ["is_late"], ["late"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["unit", "late"], ["early"]),
        helper.make_node("Concat", ["early", "late"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
    ]
    exported.graph(nodes, "label", "probabilities")
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


def test_a_row_at_the_very_edge_of_a_split_has_another_remedy(exported: Exported) -> None:
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
def test_rows_that_were_made_to_find_faults_count(exported: Exported, group: str) -> None:
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


def test_nan_must_go_the_same_way(exported: Exported) -> None:
    rows = ROWS[:2].copy()
    rows[0, 0] = np.nan
    answers = original(rows)
    exported.probe("missing", rows, label=answers["label"], scores=answers["scores"])
    assert check(exported.prove().parity, "missing").passed
    scores = np.where(np.isnan(answers["scores"]), 0.25, answers["scores"])
    exported.probe("missing", rows, label=answers["label"], scores=scores)
    assert check(exported.prove().parity, "missing").max_abs_error == math.inf


def test_a_kind_that_does_not_apply_says_why(exported: Exported) -> None:
    exported.report(groups={"missing": {"why": "the original refuses them"}})
    made = check(exported.prove().parity, "missing")
    assert (made.passed, made.why) == (None, "the original refuses them")


def test_rows_that_the_graph_cannot_take_fail_with_its_own_words(exported: Exported) -> None:
    exported.probe("missing", ROWS[:2, :2], **original(ROWS[:2]))
    made = check(exported.prove().parity, "missing")
    assert (made.passed, made.rows) == (False, 2)
    assert made.why.startswith("the exported model fails on them: ")


def test_an_output_that_went_lost_is_told(exported: Exported) -> None:
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


def test_without_an_original_the_model_must_at_least_agree_with_itself(exported: Exported) -> None:
    exported.answers(y=SCORES.argmax(axis=1))
    parity = exported.prove().parity
    assert parity.passed
    held_out = check(parity, "held-out")
    assert (held_out.passed, held_out.rows) == (None, 40)
    assert "no original to compare with" in held_out.why
    assert check(parity, "one by one").passed
    assert parity.exported_metrics["accuracy"] == 1.0
    assert parity.original_metrics == {}


def test_answers_at_random_are_refused(exported: Exported) -> None:
    noise = helper.make_node("RandomNormalLike", ["input"], ["noise"], dtype=1)
    rows = helper.make_node("Add", ["input", "noise"], ["rows"])
    exported.graph([noise, rows, *PREDICT], "label", "probabilities")
    exported.answers(y=SCORES.argmax(axis=1))
    held_out = check(exported.prove().parity, "held-out")
    assert held_out.passed is False
    assert "differ from run to run" in held_out.why


# --- the child


def test_a_model_that_cannot_be_loaded_is_one_sentence(exported: Exported) -> None:
    (exported.folder / "model.onnx").write_bytes(b"no protobuf")
    with pytest.raises(ExportError, match=r"^onnxruntime [\d.]+ can't load .*; upgrade") as refused:
        exported.in_child()
    assert "\n" not in str(refused.value)


def test_a_model_with_tensors_outside_its_file_is_refused(exported: Exported) -> None:
    model = onnx.load(exported.folder / "model.onnx")
    onnx.save(
        model,
        exported.folder / "model.onnx",
        save_as_external_data=True,
        location="weights",
        size_threshold=0,
    )
    assert (exported.folder / "weights").exists()
    with pytest.raises(ExportError, match="outside its file; export it as one file"):
        exported.in_child()


def test_pickles_are_not_read(exported: Exported) -> None:
    unpickled: dict[str, Any] = {"in:input": np.array([{}], dtype=object)}
    np.savez(exported.folder / "answers.npz", **unpickled)
    with pytest.raises(ExportError, match="allow_pickle=False"):
        exported.in_child()


def test_a_folder_without_a_proof_says_how_the_child_ended(
    exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof_module, "_PROGRAM", "mlbench.release.no_such_program")
    with pytest.raises(ExportError, match="ended with exit status 1; its output is in") as refused:
        exported.in_child()
    assert str(exported.folder / "log") in str(refused.value)
    assert "no_such_program" in (exported.folder / "log").read_text()


def test_a_child_that_hangs_is_ended(exported: Exported) -> None:
    """Reading a pipe that nobody writes to is as endless as any graph."""
    (exported.folder / "model.onnx").unlink()
    os.mkfifo(exported.folder / "model.onnx")
    with pytest.raises(ExportError, match=r"^the proof .* took longer than 1 s; its output is in"):
        exported.in_child(timeout=1.0)


@pytest.mark.parametrize("module", ["numpy", "onnxruntime", "mlbench", "json"])
def test_modules_of_the_users_do_not_get_in(
    exported: Exported, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    for folder in (exported.folder, exported.folder / "probes"):
        (folder / f"{module}.py").write_text("raise SystemExit('the wrong module')")
    monkeypatch.setenv("PYTHONPATH", str(exported.folder / "probes"))
    assert exported.in_child().parity.passed
