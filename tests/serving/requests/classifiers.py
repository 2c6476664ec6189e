"""Small classifiers whose answers follow from their weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from blake3 import blake3
from onnx import TensorProto, helper

from mlbench.domain.release import DeployedModel, Signature, TensorSpec
from mlbench.serving.protocol.building import build_response
from mlbench.serving.protocol.parsing import parse_request
from mlbench.serving.protocol.rows import build_predictions, parse_rows
from mlbench.serving.requests.records import Kept
from mlbench.serving.running.loading import LoadedModel, load
from tests.serving.requests.kept import kept, tensor

CLASSES = ("setosa", "virginica")


def classifier(
    folder: Path,
    version: int,
    weights: Sequence[float] = (1.0, 0.0, 0.0, 1.0),
    width: int = 2,
    name: str = "m",
) -> DeployedModel:
    """Rows × width to a label by the larger of two weighted sums, and their softmax."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, width])
    label = helper.make_tensor_value_info("label", TensorProto.INT64, [None])
    probabilities = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "weights"], ["sums"]),
            helper.make_node("Softmax", ["sums"], ["probabilities"], axis=1),
            helper.make_node("ArgMax", ["sums"], ["label"], axis=1, keepdims=0),
        ],
        "classifier",
        [x],
        [label, probabilities],
        [helper.make_tensor("weights", TensorProto.FLOAT, [width, 2], list(weights))],
    )
    opsets = [helper.make_opsetid("", 21)]
    data = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    path = folder / str(version) / "model.onnx"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    signature = Signature(
        inputs=(TensorSpec("x", "FP32", (-1, width)),),
        outputs=(
            TensorSpec("label", "INT64", (-1,)),
            TensorSpec("probabilities", "FP32", (-1, 2)),
        ),
        classes=CLASSES,
        columns=tuple("abcdefgh"[:width]),
    )
    return DeployedModel(name, version, blake3(data).hexdigest(), "r", str(path), signature)


def loaded(folder: Path, version: int, *weights: float) -> LoadedModel:
    return load(classifier(folder, version, weights or (1.0, 0.0, 0.0, 1.0)))


def asked(number: int, model: LoadedModel, *values: float, **parameters: Any) -> Kept:
    """What the log has once a version has answered rows of two values, each of them."""
    body: dict[str, Any] = {"inputs": [tensor("x", [len(values) // 2, 2], list(values))]}
    raw = json.dumps(body | parameters).encode()
    request = parse_request(raw, None, model.signature)
    reply, length = build_response(
        "m", model.version, request, model.infer(request.inputs), f"id-{number}", CLASSES
    )
    return kept(number, version=model.version, body=raw, reply=reply, reply_header_length=length)


def asked_rows(number: int, model: LoadedModel, *records: dict[str, float]) -> Kept:
    """As `asked`, by /predict."""
    raw = json.dumps({"rows": list(records)}).encode()
    request = parse_rows(raw, model.signature)
    outputs = model.infer(request.inputs)
    reply = build_predictions("m", model.version, request, outputs, f"id-{number}", model.signature)
    return kept(number, version=model.version, body=raw, reply=reply, is_rows=True)
