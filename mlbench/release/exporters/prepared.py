"""A fitted scikit-learn model as skl2onnx needs it, and a table's rows as its tensors."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from refusal import class_name, require
from rows import kind_of


def is_mixed(X: Any) -> bool:
    """Whether a table holds more than numbers, so that one matrix can't hold it."""
    return any(kind_of(X[name]) == "text" for name in X.columns)


def tensors_by_column(X: Any, *, double: bool = False) -> dict[str, Any]:
    """One tensor for each column (n x 1): float32, int64, or text with "" for a missing one.

    With `double`, numbers are float64.
    """
    np = require("numpy")
    number = np.float64 if double else np.float32
    made = {}
    for name in X.columns:
        column, kind = X[name], kind_of(X[name])
        if kind == "text":
            array = column.astype(object).where(column.notna(), "").to_numpy().astype(str)
        elif kind == "integer":
            array = column.to_numpy(dtype=np.int64)
        else:
            array = column.to_numpy(dtype=number, na_value=np.nan)
        made[str(name)] = array.reshape(-1, 1)
    return made


def components(model: Any, seen: set[int] | None = None) -> Iterator[Any]:
    """A model and every estimator in it, each once, those among them from which it was cloned."""
    seen = set() if seen is None else seen
    if id(model) in seen:
        return
    seen.add(id(model))
    if isinstance(model, dict):
        held = list(model.values())
    elif isinstance(model, (list, tuple)):
        held = list(model)
    elif getattr(getattr(model, "dtype", None), "kind", "") == "O" and hasattr(model, "ravel"):
        held = list(model.ravel())  # gradient boosting has an array of trees
    elif hasattr(model, "get_params") and not isinstance(model, type):
        yield model
        held = list(vars(model).values())
    else:
        return
    for value in held:
        yield from components(value, seen)


def prepared(model: Any) -> Any:
    """A copy that answers the same, spelled in the words that skl2onnx knows.

    A missing text is "" when served, since tensors of text have nothing else for it.
    """
    whole = copy.deepcopy(model)
    for part in components(whole):
        name = class_name(part)
        if name.endswith("VotingClassifier"):
            part.flatten_transform = False  # says how it transforms; it predicts alike
        elif name.endswith(".SimpleImputer") and _is_text(getattr(part, "statistics_", ())):
            part.missing_values = ""
        elif name.endswith(".OneHotEncoder") and hasattr(part, "categories_"):
            part.categories_ = [_without_missing(known) for known in part.categories_]
    return whole


def _is_text(values: Any) -> bool:
    """Whether fitted values are of text."""
    return any(isinstance(value, str) for value in values)


def _without_missing(known: Any) -> Any:
    """Categories of text with "" for the missing one."""
    if not _is_text(known):
        return known
    return require("numpy").array(
        [value if isinstance(value, str) else "" for value in known], dtype=object
    )
