"""Small models on disk, and one that waits at a gate, for what runs them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import onnx
from blake3 import blake3
from onnx import TensorProto, helper
from onnxruntime import RunOptions

from mlbench.domain.release import DeployedModel, Signature, TensorSpec
from mlbench.serving.protocol.tensors import Array
from mlbench.serving.running.loading import LoadedModel, load

FREE = (-1, -1)


def rows_of_floats(*names: str) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name, "FP32", FREE) for name in names)


def graph_of(
    *nodes: onnx.NodeProto,
    kind: int = TensorProto.FLOAT,
    weights: tuple[onnx.TensorProto, ...] = (),
) -> onnx.GraphProto:
    """A graph from `x`, of any shape with two dimensions, to `y`, which is named and no more."""
    return helper.make_graph(
        list(nodes),
        "small",
        [helper.make_tensor_value_info("x", kind, [None, None])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        list(weights),
    )


def negating() -> onnx.GraphProto:
    """y = -x."""
    return graph_of(helper.make_node("Neg", ["x"], ["y"]))


def looking_up() -> onnx.GraphProto:
    """y = x / 2, for whole numbers from 0 to 7; others are refused."""
    table = helper.make_tensor("table", TensorProto.FLOAT, [8], [n / 2 for n in range(8)])
    node = helper.make_node("Gather", ["table", "x"], ["y"])
    return graph_of(node, kind=TensorProto.INT64, weights=(table,))


def reducing() -> onnx.GraphProto:
    """y is the largest of each column, one row whatever is asked."""
    return graph_of(helper.make_node("ReduceMax", ["x"], ["y"], axes=[0]))


def turning() -> onnx.GraphProto:
    """y = x, after as many turns as its largest value says."""
    turn = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["still"]),
            helper.make_node("Identity", ["before"], ["after"]),
        ],
        "turn",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, None),
        ],
    )
    return graph_of(
        helper.make_node("ReduceMax", ["x"], ["largest"], keepdims=0),
        helper.make_node("Cast", ["largest"], ["turns"], to=TensorProto.INT64),
        helper.make_node("Loop", ["turns", "", "x"], ["y"], body=turn),
    )


@dataclass(frozen=True)
class Shelf:
    """A folder of models."""

    folder: Path

    def put(
        self,
        graph: onnx.GraphProto,
        signature: Signature | None = None,
        timings: Mapping[str, float] | None = None,
        opset: int = 17,
        *domains: str,
    ) -> DeployedModel:
        """Write a graph as version 1 of a model; by default it takes `x` and gives `y`."""
        opsets = [helper.make_opsetid("", opset)]
        opsets += [helper.make_opsetid(name, 1) for name in domains]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        path = self.folder / f"{graph.name}.onnx"
        path.write_bytes(model.SerializeToString())
        digest = blake3(path.read_bytes()).hexdigest()
        signature = signature or Signature(rows_of_floats("x"), rows_of_floats("y"))
        return DeployedModel("small", 1, digest, "run", str(path), signature, timings or {})

    def multiplier(self, version: int) -> DeployedModel:
        """A version whose `y` is x times its number, for rows of three; it gives that, too."""
        graph = helper.make_graph(
            [
                helper.make_node("Mul", ["x", "factor"], ["y"]),
                helper.make_node("Identity", ["number"], ["version"]),
            ],
            f"multiplier-{version}",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 3])],
            [
                helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 3]),
                helper.make_tensor_value_info("version", TensorProto.INT64, [1]),
            ],
            [
                helper.make_tensor("factor", TensorProto.FLOAT, [1], [float(version)]),
                helper.make_tensor("number", TensorProto.INT64, [1], [version]),
            ],
        )
        signature = Signature(
            (TensorSpec("x", "FP32", (-1, 3)),),
            (TensorSpec("y", "FP32", (-1, 3)), TensorSpec("version", "INT64", (1,))),
        )
        return replace(self.put(graph, signature), name="multiplier", version=version)


@dataclass
class Gate:
    """Holds a model's calls until it is opened, and keeps the rows of each."""

    calls: list[int] = field(default_factory=list)
    entered: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    opened: threading.Event = field(default_factory=threading.Event)


class Gated(LoadedModel):
    """A loaded model whose calls wait at a gate."""

    def __init__(self, deployed: DeployedModel, gate: Gate) -> None:
        super().__init__(deployed, load(deployed)._session)
        self.gate = gate

    def infer(
        self, inputs: Mapping[str, Array], stop: RunOptions | None = None
    ) -> dict[str, Array]:
        self.gate.calls.append(len(inputs["x"]))
        self.gate.entered.release()
        assert self.gate.opened.wait(30)
        return super().infer(inputs, stop)
