"""Rows as the one matrix that most graphs take: of float32, else of float64."""

from __future__ import annotations

from typing import Any

from framework import Rows, is_frame
from refusal import Refusal, require


def one_matrix(X: Any) -> dict[str, Any]:
    """The single input `input`: n x features, float32."""
    np = require("numpy")
    array = X.to_numpy(dtype=np.float32, na_value=np.nan) if is_frame(X) else X
    return {"input": np.ascontiguousarray(array, dtype=np.float32)}


def one_double_matrix(X: Any) -> dict[str, Any]:
    """The single input `input`: n x features, float64."""
    np = require("numpy")
    array = X.to_numpy(dtype=np.float64, na_value=np.nan) if is_frame(X) else X
    return {"input": np.ascontiguousarray(array, dtype=np.float64)}


def served_matrix(X: Any) -> Any:
    """The rows as a server gets them in one matrix: float32 all over."""
    np = require("numpy")
    return X.astype(np.float32)


def check_width(rows: Rows, expected: int | None) -> None:
    """Refuse rows that are no table, or of another width than the model's."""
    if not is_frame(rows.X) and rows.X.ndim != 2:
        raise Refusal(
            "bad_sample",
            f"The sample has X of shape {rows.X.shape}, but the model takes rows x features.",
            "Hold out rows as the model is trained on.",
        )
    found = rows.X.shape[1]
    if expected is not None and found != expected:
        raise Refusal(
            "bad_sample",
            f"The sample has {found} columns, but the model was trained on {expected}.",
            "Hold out rows of the table that the model is trained on.",
        )
