"""A folder as an exporter leaves it, for the proof to read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mlbench.domain.release import Parity, ParityCheck
from mlbench.release.proof import Proof, prove_in_child
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


class ExportedFolder:
    """A folder as an exporter leaves it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "probes").mkdir(parents=True)
        self.classifier()
        self.answers()

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
