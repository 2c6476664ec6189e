"""Small models of the kinds that the other servers' own tests ask."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import TensorProto, helper

from mlbench.domain.release import DeployedModel, Signature, TensorSpec
from tests.serving.conftest import Sandbox, save, slow

TYPES = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}

CLASSES = ("ash", "birch", "cedar", "dogwood")

Node = onnx.NodeProto


def put(
    sandbox: Sandbox,
    name: str,
    nodes: Sequence[Node],
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    classes: tuple[str, ...] = (),
) -> DeployedModel:
    """A model of these nodes in the sandbox's folder."""
    graph = helper.make_graph(nodes, name, _infos(inputs), _infos(outputs))
    path = sandbox.layout.models / name / "1" / "model.onnx"
    signature = Signature(tuple(inputs), tuple(outputs), classes=classes)
    return DeployedModel(name, 1, save(graph, path), "run", str(path), signature)


def echo(
    sandbox: Sandbox,
    name: str,
    datatypes: Sequence[str],
    shape: tuple[int, ...],
    classes: tuple[str, ...] = (),
) -> DeployedModel:
    """A model that gives back each of its inputs."""
    places = range(len(datatypes))
    return put(
        sandbox,
        name,
        [helper.make_node("Identity", [f"in{place}"], [f"out{place}"]) for place in places],
        [TensorSpec(f"in{place}", datatypes[place], shape) for place in places],
        [TensorSpec(f"out{place}", datatypes[place], shape) for place in places],
        classes,
    )


def sum_and_difference(sandbox: Sandbox) -> DeployedModel:
    """Two rows of four whole numbers in, their sum and their difference out."""
    four = (-1, 4)
    return put(
        sandbox,
        "sums",
        [
            helper.make_node("Add", ["a", "b"], ["sum"]),
            helper.make_node("Sub", ["a", "b"], ["difference"]),
        ],
        [TensorSpec("a", "INT32", four), TensorSpec("b", "INT32", four)],
        [TensorSpec("sum", "INT32", four), TensorSpec("difference", "INT32", four)],
    )


def halves(sandbox: Sandbox) -> DeployedModel:
    """Single precision in, half and single precision out."""
    return put(
        sandbox,
        "halves",
        [
            helper.make_node("Cast", ["x"], ["half"], to=TensorProto.FLOAT16),
            helper.make_node("Identity", ["x"], ["single"]),
        ],
        [TensorSpec("x", "FP32", (-1, 4))],
        [TensorSpec("half", "FP16", (-1, 4)), TensorSpec("single", "FP32", (-1, 4))],
    )


def all_of(sandbox: Sandbox) -> tuple[DeployedModel, ...]:
    """Every model that the tests here ask, with version 3 of the multiplier."""
    path = sandbox.layout.models / "slow" / "1" / "model.onnx"
    three = (-1, 3)
    signature = Signature((TensorSpec("x", "FP32", three),), (TensorSpec("y", "FP32", three),))
    digest = save(slow(400_000), path)
    return (
        sandbox.model(3),
        sum_and_difference(sandbox),
        halves(sandbox),
        echo(sandbox, "numbers", ["FP32"], (-1, -1)),
        echo(sandbox, "cubes", ["FP32"], (-1, -1, -1)),
        echo(sandbox, "triple", ["FP32"] * 3, (-1, 8)),
        echo(sandbox, "text", ["BYTES"], (-1, 1)),
        echo(sandbox, "texts", ["BYTES"], (-1, 2)),
        echo(sandbox, "every", list(TYPES), (-1, 2)),
        echo(sandbox, "trees", ["FP32"], (-1, 4), CLASSES),
        DeployedModel("slow", 1, digest, "run", str(path), signature),
    )


def _infos(specs: Sequence[TensorSpec]) -> list[onnx.ValueInfoProto]:
    return [
        helper.make_tensor_value_info(
            spec.name, TYPES[spec.datatype], [None if size < 0 else size for size in spec.shape]
        )
        for spec in specs
    ]
