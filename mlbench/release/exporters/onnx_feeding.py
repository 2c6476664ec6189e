"""Rows as the inputs of a graph take them."""

from __future__ import annotations

from typing import Any

from framework import is_frame
from onnx_checks import inputs
from refusal import Refusal, require


def feed(model: Any, X: Any) -> dict[str, Any]:
    """Rows as the inputs take them: by type and shape, and by name where there are several."""
    found = inputs(model)
    names = [value.name for value in found]
    if is_frame(X) and set(names) <= set(X.columns):
        return {value.name: _fitted(value, X[value.name].to_numpy()) for value in found}
    if len(found) > 1:
        remedy = "Hold out a table that has them as columns."
        raise Refusal("bad_sample", f"The model has the inputs {', '.join(names)}.", remedy)
    return {names[0]: _fitted(found[0], X.to_numpy() if is_frame(X) else X)}


def _cast(value: Any, array: Any) -> Any:
    """An array in the type that an input declares; Refusal where that would change numbers."""
    onnx, np = require("onnx"), require("numpy")
    kind = value.type.tensor_type.elem_type
    if kind == onnx.TensorProto.STRING:
        # Tensors of text have nothing else for a missing one.
        texts = ["" if text is None or text != text else str(text) for text in array.ravel()]  # noqa: PLR0124
        return np.array(texts, dtype=str).reshape(array.shape)
    with np.errstate(invalid="ignore"):
        cast = array.astype(onnx.helper.tensor_dtype_to_np_dtype(kind))
    if cast.dtype.kind in "biu" and not np.array_equal(cast, array):
        problem = f"The input {value.name} takes integers, and the rows hold other numbers for it."
        raise Refusal("bad_sample", problem, "Hold out rows of the type that the model takes.")
    return cast


def _fitted(value: Any, array: Any) -> Any:
    """An array as an input declares it: its type, and rows of its shape."""
    np = require("numpy")
    tensor = value.type.tensor_type
    array = _cast(value, array)
    declared = [size.dim_value or None for size in tensor.shape.dim[1:]]
    fits = len(declared) == array.ndim - 1 and all(
        size in (None, found)
        for size, found in zip(declared, array.shape[1:])  # noqa: B905
    )
    if fits:
        return array
    if None not in declared and np.prod(declared, dtype=int) == array[0].size:
        return array.reshape(len(array), *declared)
    wanted = " x ".join(str(size or "any") for size in declared)
    given = " x ".join(map(str, array.shape[1:]))
    problem = f"The input {value.name} takes rows of {wanted or 'one number'}, not of {given}."
    raise Refusal("bad_sample", problem, "Hold out rows of the shape that the model takes.")
