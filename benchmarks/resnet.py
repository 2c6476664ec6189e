"""`python resnet.py SIDE MODEL_FILE SAMPLE_FILE`: ResNet-18 with random weights, and images for it.

After He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition" (2015), with its batch
normalisation folded into the convolutions, as an export of a trained one has it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CLASSES = 1000
IMAGES = 64
_STAGES = (64, 128, 256, 512)


class Network:
    """Nodes and weights, as layers are put behind each other."""

    def __init__(self) -> None:
        """Nothing is in it yet."""
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._rng = np.random.default_rng(0)

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """The name of a new node's output."""
        output = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def weight(self, *shape: int) -> str:
        """Random weights that keep the size of what goes through them."""
        name = f"w{len(self.weights)}"
        spread = np.sqrt(2 / np.prod(shape[1:]))
        values = self._rng.normal(scale=spread, size=shape).astype(np.float32)
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def convolution(self, name: str, before: int, after: int, width: int, stride: int) -> str:
        """A convolution with so many channels before and after it."""
        pads = [width // 2] * 4
        weights = self.weight(after, before, width, width)
        return self.node("Conv", name, weights, strides=[stride] * 2, pads=pads)

    def block(self, name: str, before: int, after: int, stride: int) -> str:
        """Two convolutions beside a short cut."""
        inner = self.node("Relu", self.convolution(name, before, after, 3, stride))
        outer = self.convolution(inner, after, after, 3, 1)
        short = name if before == after else self.convolution(name, before, after, 1, stride)
        return self.node("Relu", self.node("Add", outer, short))


def resnet18(side: int) -> onnx.ModelProto:
    """From `input`, n x 3 x side x side floats, to `scores`, n x CLASSES: 11.7 million weights."""
    network = Network()
    name = network.node("Relu", network.convolution("input", 3, _STAGES[0], 7, 2))
    name = network.node("MaxPool", name, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    before = _STAGES[0]
    for after in _STAGES:
        name = network.block(name, before, after, 1 if before == after else 2)
        name, before = network.block(name, after, after, 1), after
    flat = network.node("Flatten", network.node("GlobalAveragePool", name))
    network.nodes.append(
        helper.make_node("Gemm", [flat, network.weight(CLASSES, before)], ["scores"], transB=1)
    )
    graph = helper.make_graph(
        network.nodes,
        "resnet18",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, 3, side, side])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, CLASSES])],
        network.weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def main(words: list[str]) -> int:
    """Write the model, and images of noise."""
    side, model, sample = int(words[0]), Path(words[1]), Path(words[2])
    model.parent.mkdir(parents=True, exist_ok=True)
    model.write_bytes(resnet18(side).SerializeToString())
    images = np.random.default_rng(1).normal(size=(IMAGES, 3, side, side))
    np.savez(sample, X=images.astype(np.float32))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
