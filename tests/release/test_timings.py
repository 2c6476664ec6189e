"""What a call takes by its rows, as the proof measures it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from mlbench.release.exported import ExportedModel
from tests.release.exported_folder import (
    PREDICT,
    RNG,
    ROWS,
    Array,
    ExportedFolder,
    as_it_is,
    original,
)

BATCHES = ["1", "2", "4", "8", "16", "32", "64"]


@pytest.fixture
def exported(tmp_path: Path) -> ExportedFolder:
    return ExportedFolder(tmp_path / "out")


def model_of(folder: Path, node: onnx.NodeProto, rows: int | None = None) -> ExportedModel:
    """One node from `input`, rows x 3 floats, to `y`."""
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [rows, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    opsets = [helper.make_opsetid("", 17)]
    path = folder / "one.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return ExportedModel(path)


def test_the_proof_times_batches(exported: ExportedFolder) -> None:
    timings = exported.in_child().timings
    assert list(timings) == BATCHES
    assert all(0 < taken < 1000 for taken in timings.values())


def test_a_proof_that_fails_times_nothing(exported: ExportedFolder) -> None:
    exported.graph([helper.make_node("Neg", ["input"], ["rows"]), *PREDICT], "label")
    proof = exported.prove()
    assert not proof.parity.passed
    assert proof.timings == {}


def test_an_output_beside_the_scores_that_mixes_rows_forbids_batches(
    exported: ExportedFolder,
) -> None:
    """Parity looks at labels and scores alone, and a server answers with every output."""
    mixing = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[0]),
        helper.make_node("Sub", ["input", "mean"], ["centred"]),
    ]
    exported.graph([as_it_is("rows"), *PREDICT, *mixing], "label", "probabilities", "centred")
    exported.answers(**original())
    proof = exported.prove()
    assert proof.parity.passed
    assert list(proof.timings) == ["1"]


@pytest.mark.parametrize(
    ("node", "is_alone"),
    [
        (helper.make_node("Neg", ["input"], ["y"]), True),
        (helper.make_node("Softmax", ["input"], ["y"], axis=1), True),
        (helper.make_node("Softmax", ["input"], ["y"], axis=0), False),
        (helper.make_node("ReduceMax", ["input"], ["y"], axes=[0]), False),
        (helper.make_node("Flatten", ["input"], ["y"], axis=0), False),
        (helper.make_node("Transpose", ["input"], ["y"], perm=[1, 0]), False),
    ],
)
def test_whether_rows_are_answered_alone(
    tmp_path: Path, node: onnx.NodeProto, is_alone: bool
) -> None:
    assert model_of(tmp_path, node).answers_alone({"input": ROWS[:8]}) is is_alone


def test_not_a_number_is_like_itself(tmp_path: Path) -> None:
    rows = ROWS[:8].copy()
    rows[3, 1] = np.nan
    model = model_of(tmp_path, helper.make_node("Neg", ["input"], ["y"]))
    assert model.answers_alone({"input": rows})


def test_one_row_tells_nothing_of_batches(tmp_path: Path) -> None:
    model = model_of(tmp_path, helper.make_node("Neg", ["input"], ["y"]))
    assert not model.answers_alone({"input": ROWS[:1]})
    assert list(model.timings({"input": ROWS[:1]}, alone=True)) == ["1"]


def test_few_rows_are_taken_again(tmp_path: Path) -> None:
    model = model_of(tmp_path, helper.make_node("Neg", ["input"], ["y"]))
    assert list(model.timings({"input": ROWS[:3]}, alone=False)) == BATCHES


def test_a_graph_of_so_many_rows_is_timed_with_those(tmp_path: Path) -> None:
    model = model_of(tmp_path, helper.make_node("Neg", ["input"], ["y"]), rows=5)
    assert list(model.timings({"input": ROWS}, alone=False)) == ["5"]


def test_batches_that_the_graph_cannot_take_are_left_out(tmp_path: Path) -> None:
    node = helper.make_node("Constant", [], ["limit"], value_floats=[1.0] * 12)
    graph = helper.make_graph(
        [
            node,
            helper.make_node("Flatten", ["input"], ["flat"], axis=0),
            helper.make_node("Gather", ["limit", "index"], ["one"]),
            helper.make_node("Shape", ["flat"], ["shape"]),
            helper.make_node("Gather", ["shape", "last"], ["count"]),
            helper.make_node("Sub", ["count", "last"], ["index"]),
            helper.make_node("Mul", ["input", "one"], ["y"]),
        ],
        "short",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [helper.make_tensor("last", TensorProto.INT64, [], [1])],
    )
    opsets = [helper.make_opsetid("", 17)]
    path = tmp_path / "short.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    assert list(ExportedModel(path).timings({"input": ROWS}, alone=False)) == ["1", "2", "4"]


def test_what_takes_long_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(tmp_path, helper.make_node("Neg", ["input"], ["y"]))
    rows: Array = RNG.normal(size=(64, 3)).astype(np.float32)
    monkeypatch.setattr("mlbench.release.exported._TURN_SECONDS", 0.0)
    assert list(model.timings({"input": rows}, alone=False)) == ["1"]
