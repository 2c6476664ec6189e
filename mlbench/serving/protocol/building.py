"""The body that answers an inference request: JSON, and binary tensors after it as asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from mlbench.serving.protocol.binary import bytes_of, texts_of
from mlbench.serving.protocol.parsing import InferenceRequest, RequestedOutput
from mlbench.serving.protocol.tensors import BINARY_ONLY, Array, datatype_of
from mlbench.serving.refusals import RequestError

MOST_CLASSIFIED = 1_000_000
"""The most scores that are ranked for one answer, as in Triton."""

_BINARY_ADVICE = 'ask for it in binary ("parameters": {"binary_data": true})'


def build_response(
    model: str,
    version: str,
    request: InferenceRequest,
    outputs: Mapping[str, Array],
    id_: str,
    classes: Sequence[str],
) -> tuple[bytes, int | None]:
    """The body that answers a request, and the length of its JSON where binary tensors follow.

    `classes` name the scores of outputs that have as many. Raises RequestError 400 where what was
    asked for can't be given: NaN, infinity and half precision in JSON, a ranking of texts.
    """
    tensors: list[dict[str, Any]] = []
    chunks: list[bytes | memoryview] = []
    for asked in request.outputs:
        array, datatype = outputs[asked.name], asked.datatype
        if asked.classes:
            array, datatype = _ranked(asked, array, classes), "BYTES"
        elif datatype != "BF16":
            datatype = datatype_of(array)
        tensor = {"name": asked.name, "datatype": datatype, "shape": array.shape}
        if asked.is_binary:
            chunks.append(bytes_of(array, datatype))
            tensor["parameters"] = {"binary_data_size": len(chunks[-1])}
        else:
            tensor["data"] = _json_data(asked.name, array, datatype)
        tensors.append(tensor)
    text = orjson.dumps(
        {"model_name": model, "model_version": version, "id": id_, "outputs": tensors},
        option=orjson.OPT_SERIALIZE_NUMPY,
    )
    # orjson writes NaN as null. To look for that word is ten times as quick as to look at numbers.
    if b"null" in text:
        _refuse_nonfinite(request, outputs)
    if not chunks:
        return text, None
    return b"".join([text, *chunks]), len(text)


def _json_data(name: str, array: Array, datatype: str) -> Any:
    """The flat `data` of an output, as orjson writes it."""
    if datatype == "BYTES":
        return texts_of(array)
    if datatype in BINARY_ONLY:
        raise RequestError(
            400, f'output "{name}" is {datatype}, which JSON can\'t hold; {_BINARY_ADVICE}'
        )
    return array.ravel()


def _refuse_nonfinite(request: InferenceRequest, outputs: Mapping[str, Array]) -> None:
    for asked in request.outputs:
        array = outputs[asked.name]
        is_written = not asked.is_binary and not asked.classes
        if is_written and array.dtype.kind == "f" and not np.isfinite(array).all():
            raise RequestError(
                400,
                f'output "{asked.name}" has NaN or infinite values, which JSON can\'t hold; '
                f"{_BINARY_ADVICE}",
            )


def _ranked(asked: RequestedOutput, array: Array, classes: Sequence[str]) -> Array:
    """The best scores of each row as `value:index` or `value:index:label`, best first.

    Rows × k texts, or k of them for an output that has no rows; of equal scores the first is
    first, and NaN is last.
    """
    if array.dtype.kind not in "iuf" or array.dtype == np.float16:
        raise RequestError(400, f'output "{asked.name}" is {asked.datatype}, which has no ranking')
    if array.size > MOST_CLASSIFIED:
        raise RequestError(400, f'output "{asked.name}" is too large to rank; ask about fewer rows')
    is_batched = asked.is_batched and array.ndim > 0
    rows = array.reshape(len(array), -1) if is_batched and len(array) else array.reshape(1, -1)
    width = rows.shape[1]
    count = min(asked.classes, width)
    order = _best_first(rows)[:, :count]
    values = np.take_along_axis(rows, order, axis=1)
    labels = [f":{label}" for label in classes] if len(classes) == width else [""] * width
    form = "f" if array.dtype.kind == "f" else "d"
    texts = [
        f"{value:{form}}:{place}{labels[place]}"
        for value, place in zip(values.ravel().tolist(), order.ravel().tolist(), strict=True)
    ]
    shape = (len(array), count) if is_batched else (count,)
    return np.array(texts, dtype=object).reshape(shape)


def _best_first(rows: Array) -> Array:
    """The places of each row's values from the greatest on (n × k)."""
    known = np.where(np.isnan(rows), -np.inf, rows) if rows.dtype.kind == "f" else rows
    # Turned round twice, the stable order from the least on puts equal values as they stand.
    last = rows.shape[1] - 1
    order: Array = last - np.argsort(known[:, ::-1], axis=1, kind="stable")[:, ::-1]
    return order
