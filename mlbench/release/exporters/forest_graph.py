"""The ONNX nodes that answer as a forest does."""

from __future__ import annotations

from typing import Any

from refusal import require
from trees import Forest, ensemble, is_wide

ML_DOMAIN, ML_OPSET, OPSET = "ai.onnx.ml", 1, 17
ML_OPSET_WIDE = 3  # the first whose trees have float64 thresholds


class Graph:
    """The few things that `add_forest` asks of a graph: the interface of skl2onnx's container."""

    def __init__(self) -> None:
        """An empty graph."""
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add_node(self, op_type: str, inputs: list[str], outputs: list[str], **given: Any) -> None:
        """Add a node; `op_domain` and `op_version` are no attributes."""
        domain = given.pop("op_domain", "")
        given.pop("op_version", None)
        make_node = require("onnx").helper.make_node
        self.nodes.append(
            make_node(
                op_type, inputs, outputs, domain=domain, name=f"{op_type}_{outputs[0]}", **given
            )
        )

    def add_initializer(self, name: str, kind: int, shape: list[int], values: Any) -> None:
        """Add a constant."""
        make_tensor = require("onnx").helper.make_tensor
        self.constants.append(make_tensor(name, kind, shape, values))


def add_forest(
    graph: Any, forest: Forest, feed: str, prediction: str, fresh: Any, *, linked: bool = True
) -> None:
    """Add the nodes that answer as a forest does: `feed` (n x features) to `prediction`.

    `feed` is of float64 where the forest is wide, else of float32; `prediction` always of float32.
    `fresh(name)` makes a name that is free in the graph. Without `linked`, the sums themselves;
    of a single one for two classes then -s and s, as skl2onnx's converters have it.
    """
    sums = fresh("sums") if forest.link != "identity" else prediction
    graph.add_node(
        "TreeEnsembleRegressor",
        [feed],
        [sums],
        op_domain=ML_DOMAIN,
        op_version=ML_OPSET_WIDE if is_wide(forest) else ML_OPSET,
        **ensemble(forest),
    )
    if forest.link != "identity":
        add_link(graph, forest.link, sums, prediction, fresh, slope=forest.slope, linked=linked)


def add_link(
    graph: Any,
    link: str,
    sums: str,
    prediction: str,
    fresh: Any,
    *,
    slope: float = 1.0,
    linked: bool = True,
) -> None:
    """Add the nodes that make predictions of sums, as `link` of Forest says."""
    if link == "exp":
        graph.add_node("Exp", [sums], [prediction], op_version=13)
        return
    if link == "softmax":
        operation = {"op_type": "Softmax", "axis": 1} if linked else {"op_type": "Identity"}
        graph.add_node(inputs=[sums], outputs=[prediction], op_version=13, **operation)
        return
    steep = sums
    if slope != 1.0 and linked:
        steep, factor = fresh("steep"), fresh("slope")
        graph.add_initializer(factor, require("onnx").TensorProto.FLOAT, [1], [slope])
        graph.add_node("Mul", [sums, factor], [steep], op_version=14)
    last = "Sigmoid" if linked else "Identity"
    if link != "logistic":
        graph.add_node(last, [steep], [prediction], op_version=13)
        return
    # Not 1 - p, in whose rounding the smaller of two probabilities would drown.
    pair = [fresh("negative"), fresh("positive")]
    opposite = fresh("opposite")
    graph.add_node("Neg", [steep], [opposite], op_version=13)
    graph.add_node(last, [opposite], [pair[0]], op_version=13)
    graph.add_node(last, [steep], [pair[1]], op_version=13)
    graph.add_node("Concat", pair, [prediction], axis=1, op_version=13)


def add_label(graph: Any, classes: list[Any], scores: str, label: str, fresh: Any) -> None:
    """Add the nodes that name the class of the best score (the first, of equal ones)."""
    kinds = require("onnx").TensorProto
    best, names = fresh("best"), fresh("classes")
    text = all(isinstance(label, str) for label in classes)
    values = [name.encode() for name in classes] if text else [int(name) for name in classes]
    graph.add_initializer(names, kinds.STRING if text else kinds.INT64, [len(values)], values)
    graph.add_node("ArgMax", [scores], [best], axis=1, keepdims=0, op_version=13)
    graph.add_node("Gather", [names, best], [label], axis=0, op_version=13)


def whole_graph(forest: Forest, n_features: int, classes: list[Any]) -> Any:
    """The ONNX ModelProto of a model that is nothing but a forest; no classes: a regressor.

    Its input is of float64 where the forest is wide, else of float32.
    """
    onnx = require("onnx")
    helper, kinds = onnx.helper, onnx.TensorProto
    graph = Graph()
    scores = "probabilities" if classes else "prediction"
    width = max(2, len(forest.base)) if classes else len(forest.base)
    outputs = [helper.make_tensor_value_info(scores, kinds.FLOAT, [None, width])]

    def fresh(name: str) -> str:
        return name

    add_forest(graph, forest, "input", scores, fresh)
    if classes:
        add_label(graph, classes, scores, "label", fresh)
        kind = kinds.STRING if isinstance(classes[0], str) else kinds.INT64
        outputs.insert(0, helper.make_tensor_value_info("label", kind, [None]))
    number, version = (kinds.FLOAT, ML_OPSET)
    if is_wide(forest):
        number, version = (kinds.DOUBLE, ML_OPSET_WIDE)
    inputs = [helper.make_tensor_value_info("input", number, [None, n_features])]
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(ML_DOMAIN, version)]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "model", inputs, outputs, graph.constants),
        opset_imports=opsets,
        producer_name="mlbench",
        ir_version=8,  # the first that opset 17 asks for: old runtimes read it too
    )
    onnx.checker.check_model(model)
    return model
