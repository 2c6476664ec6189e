"""Scikit-learn estimators to ONNX."""

from __future__ import annotations

import re
from typing import Any

from refusal import Refusal, class_name, one_line, require

DATATYPES = {"FLOAT": "FP32", "DOUBLE": "FP64", "INT64": "INT64", "INT32": "INT32"}
DATATYPES.update({"STRING": "BYTES", "BOOL": "BOOL"})
"""ONNX element types by their Open Inference Protocol names."""

OWN_CODE_REMEDY = (
    "Do that step in a stage before training, or use a scikit-learn class that does the same."
)


def is_sklearn(model: object) -> bool:
    """Whether a model is built on scikit-learn's base classes."""
    return any(base.__module__.partition(".")[0] == "sklearn" for base in type(model).__mro__)


def is_classifier(model: Any) -> bool:
    """Whether a model answers with classes, and not with numbers."""
    return bool(require("sklearn.base").is_classifier(model))


def check_supported(model: Any) -> None:
    """Refusal unsupported unless this is a fitted regressor, or classifier with probabilities."""
    if not is_fitted(model):
        raise unsupported(model, "is not fitted", "Save it after training.")
    if not is_classifier(model):
        if not require("sklearn.base").is_regressor(model):
            lack = "is neither a classifier nor a regressor"
            raise unsupported(model, lack, "End the pipeline with one of them.")
        return
    if not hasattr(model, "predict_proba"):
        remedy = "Wrap it in CalibratedClassifierCV, or choose a loss that gives them."
        raise unsupported(model, "gives no probabilities", remedy)
    if isinstance(model.classes_, list):
        remedy = "Train one classifier for each target."
        raise unsupported(model, "predicts several targets at once", remedy)


def is_fitted(model: Any) -> bool:
    """Whether a model was trained before it was saved."""
    validation, exceptions = require("sklearn.utils.validation"), require("sklearn.exceptions")
    try:
        validation.check_is_fitted(model)
    except exceptions.NotFittedError:
        return False
    return True


def unsupported(model: Any, lack: str, remedy: str) -> Refusal:
    """A model that can't be exported, by its class, or by its last step's in a pipeline."""
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    return Refusal("unsupported", f"{class_name(last)} {lack}.", remedy)


def convert(model: Any, n_features: int) -> Any:
    """The ONNX ModelProto of a fitted estimator; Refusal unsupported where there is no converter.

    One input `input`, FLOAT n x features; outputs `label` (n) and `probabilities` (n x classes),
    or `prediction` (n x targets) for a regressor.
    """
    skl2onnx, types = require("skl2onnx"), require("skl2onnx.common.data_types")
    classifier = is_classifier(model)
    outputs = ["label", "probabilities"] if classifier else ["prediction"]
    try:
        return skl2onnx.convert_sklearn(
            model,
            name="model",  # the default is a random one, and then no two exports are alike
            initial_types=[("input", types.FloatTensorType([None, n_features]))],
            final_types=[(output, None) for output in outputs],
            options={id(model): {"zipmap": False}} if classifier else None,
        )
    except Exception as error:
        raise _no_conversion(model, error) from error


def _no_conversion(model: Any, error: Exception) -> Refusal:
    """Why skl2onnx gave up, by the class that it stumbled over."""
    named = re.search(r"<class '([^']+)'>", str(error))
    if type(error).__name__ in ("MissingShapeCalculator", "MissingConverter") and named:
        problem = f"skl2onnx has no converter for {named.group(1)}."
        return Refusal("unsupported", problem, OWN_CODE_REMEDY)
    lack = f"is more than skl2onnx can convert: {one_line(error)}"
    return unsupported(model, lack, "Use another estimator, or another version of skl2onnx.")


def signature(onnx_model: Any, classes: list[str]) -> dict[str, Any]:
    """A model's inputs, outputs and classes; a dimension that may vary is -1."""
    graph = onnx_model.graph
    return {
        "inputs": [_tensor(value) for value in graph.input],
        "outputs": [_tensor(value) for value in graph.output],
        "classes": classes,
    }


def _tensor(value: Any) -> dict[str, Any]:
    """One tensor of the signature."""
    onnx = require("onnx")
    tensor = value.type.tensor_type
    shape = [size.dim_value if size.HasField("dim_value") else -1 for size in tensor.shape.dim]
    datatype = DATATYPES[onnx.TensorProto.DataType.Name(tensor.elem_type)]
    return {"name": value.name, "datatype": datatype, "shape": shape}


def opset(onnx_model: Any) -> int:
    """The version of the main operator set that a model asks for."""
    opsets = {entry.domain: int(entry.version) for entry in onnx_model.opset_import}
    return opsets.get("", 0)
