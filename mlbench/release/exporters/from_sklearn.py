"""Scikit-learn's estimators and pipelines to ONNX, whatever trees they hold."""

from __future__ import annotations

import functools
import re
from typing import Any

import path_rows
import pipeline_rows
import sklearn_converters
import sklearn_trees
from framework import Answers, Converted, Probe, Rows, as_served, as_stored, is_frame
from matrices import check_width, one_double_matrix, one_matrix, served_matrix
from prepared import is_mixed, prepared, tensors_by_column
from refusal import Refusal, class_name, one_line, require
from sklearn_refusals import check_parts, is_classifier, unsupported
from trees import Forest, narrowed

TAKES_FLOAT64 = True
OWN_CODE_REMEDY = (
    "Do that step in a stage before training, or use a scikit-learn class that does the same."
)


def recognises(model: Any) -> bool:
    """Whether a model is built on scikit-learn's base classes."""
    return any(base.__module__.partition(".")[0] == "sklearn" for base in type(model).__mro__)


def columns(model: Any) -> list[str] | None:
    """The columns that the model was trained on by name."""
    names = getattr(model, "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]


def served(X: Any) -> Any:
    """The rows as a server gets them: a mixed table keeps its columns of integers and text."""
    return as_served(X) if is_frame(X) and is_mixed(X) else served_matrix(X)


def check(model: Any, rows: Rows) -> None:
    """Refuse what has no exact counterpart, and rows of another width."""
    check_parts(model)
    check_width(rows, getattr(model, "n_features_in_", None))


def convert(model: Any, rows: Rows) -> Converted:
    """The graph; Refusal unsupported where there is no converter.

    One input `input` (n x features), or, for a table of numbers and text, one for each column.
    Outputs: `label` (n) and `probabilities` (n x classes), or `prediction` (n x targets).
    """
    skl2onnx = require("skl2onnx")
    sklearn_converters.register(double=rows.double)
    labels = list(model.classes_) if is_classifier(model) else []
    names = columns(model) or []
    mixed = is_frame(rows.X) and is_mixed(rows.X)
    whole = prepared(best(model))
    outputs = ["label", "probabilities"] if labels else ["prediction"]
    by_name = is_frame(rows.X) and _asks_by_name(whole)
    try:
        made = skl2onnx.convert_sklearn(
            whole,
            name="model",  # the default is a random one, and then no two exports are alike
            initial_types=_inputs(rows, mixed=mixed, by_name=by_name),
            final_types=[(output, None) for output in outputs],
            options={id(whole): {"zipmap": False}} if labels else None,
        )
    except Refusal:
        raise
    except Exception as error:
        raise _no_conversion(model, error) from error
    if labels:
        _flatten_label(made)
    if mixed:
        _name_inputs(made, [str(name) for name in rows.X.columns])
        fed = functools.partial(tensors_by_column, double=rows.double)
        return Converted(made, fed, labels, [])
    if by_name:
        _join_inputs(made, names)
    return Converted(made, one_double_matrix if rows.double else one_matrix, labels, names)


def best(model: Any) -> Any:
    """What a search found, or the model itself."""
    return getattr(model, "best_estimator_", model)


def _asks_by_name(model: Any) -> bool:
    """Whether some step picks columns, which skl2onnx then wants as inputs of their names."""
    steps = [step for _, step in model.steps] if hasattr(model, "steps") else [model]
    return any(
        hasattr(step, "transformers_") or hasattr(step, "transformer_list") for step in steps
    )


def _inputs(rows: Rows, *, mixed: bool, by_name: bool) -> list[tuple[str, Any]]:
    """The inputs as skl2onnx has them: one, or one a column."""
    types, X = require("skl2onnx.common.data_types"), rows.X
    number = types.DoubleTensorType if rows.double else types.FloatTensorType
    if not mixed and not by_name:
        return [("input", number([None, X.shape[1]]))]
    if not mixed:
        return [(name, number([None, 1])) for name in X.columns]
    kinds = {"f": number, "i": types.Int64TensorType, "U": types.StringTensorType}
    tensors = tensors_by_column(X.iloc[:1])
    return [(name, kinds[array.dtype.kind]([None, 1])) for name, array in tensors.items()]


def _flatten_label(model: Any) -> None:
    """Give one label a row: skl2onnx's quadratic discriminant gives one row of labels."""
    onnx = require("onnx")
    graph = model.graph
    [node] = [node for node in graph.node if "label" in node.output]
    if node.op_type == "Gather":  # mlbench's own, which is flat
        return
    node.output[list(node.output).index("label")] = "labels"
    rows = onnx.helper.make_tensor("one_label_a_row", onnx.TensorProto.INT64, [1], [-1])
    graph.initializer.append(rows)
    flat = onnx.helper.make_node("Reshape", ["labels", rows.name], ["label"], name="label_flat")
    graph.node.append(flat)
    dimensions = graph.output[0].type.tensor_type.shape.dim
    del dimensions[1:]


def _name_inputs(model: Any, names: list[str]) -> None:
    """Call the inputs as the columns are called: skl2onnx turns spaces and signs into _."""
    make_node = require("onnx").helper.make_node
    for value, name in zip(list(model.graph.input), names):  # noqa: B905 (3.9)
        if value.name != name:
            node = make_node("Identity", [name], [value.name], name=f"named_{value.name}")
            model.graph.node.insert(0, node)
            value.name = name


def _join_inputs(model: Any, names: list[str]) -> None:
    """Put one input of n x features in the place of one for each column."""
    onnx = require("onnx")
    graph = model.graph
    inner = [value.name for value in graph.input]
    kind = graph.input[0].type.tensor_type.elem_type
    del graph.input[:]
    graph.input.append(onnx.helper.make_tensor_value_info("input", kind, [None, len(names)]))
    sizes = onnx.helper.make_tensor(
        "input_widths", onnx.TensorProto.INT64, [len(names)], [1] * len(names)
    )
    graph.initializer.append(sizes)
    split = onnx.helper.make_node(
        "Split", ["input", "input_widths"], inner, name="input_split", axis=1
    )
    graph.node.insert(0, split)
    onnx.checker.check_model(model)


def _no_conversion(model: Any, error: Exception) -> Refusal:
    """Why skl2onnx gave up, by the class that it stumbled over."""
    named = re.search(r"<class '([^']+)'>", str(error))
    if type(error).__name__ in ("MissingShapeCalculator", "MissingConverter") and named:
        problem = f"skl2onnx has no converter for {named.group(1)}."
        return Refusal("unsupported", problem, OWN_CODE_REMEDY)
    lack = f"is more than skl2onnx can convert: {one_line(error)}"
    return unsupported(model, lack, "Use another estimator, or another version of skl2onnx.")


def answers(model: Any, X: Any) -> Answers:
    """What the model predicts."""
    np = require("numpy")
    if not is_classifier(model):
        return Answers(None, np.asarray(model.predict(X), dtype=np.float64))
    return Answers(model.predict(X), model.predict_proba(X))


def threshold_rows(model: Any, rows: Rows) -> Probe:
    """Rows around every split of the trees that a model holds, through what comes before them."""
    inner = best(model)
    steps = [step for _, step in inner.steps] if hasattr(inner, "steps") else [inner]
    parts = sklearn_trees.parts(steps[-1])
    trees = [tree for part in parts for tree in (part if rows.double else narrowed(part)).trees]
    if not trees:
        return Probe(None, f"{class_name(steps[-1])} is not made of trees alone")
    if len(steps) > 1:
        some = (as_stored if rows.double else served)(rows.X[: pipeline_rows.BASE_ROWS])
        return pipeline_rows.around(inner[:-1], trees, some, double=rows.double)
    return path_rows.around(Forest(trees, []), rows)
