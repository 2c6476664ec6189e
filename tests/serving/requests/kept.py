"""Requests as a worker hands them to the log."""

from __future__ import annotations

import json
import time
from typing import Any

from mlbench.serving.requests.records import Kept


def kept(number: int = 0, **changed: Any) -> Kept:
    """A request of one row that was answered; what is changed takes its place."""
    body = {"inputs": [tensor("x", [1, 2], [float(number), 0.5])]}
    reply = {"model_name": "m", "outputs": [tensor("label", [1], [number % 3], "INT64")]}
    found: dict[str, Any] = {
        "id": f"id-{number}",
        "at_ns": time.time_ns(),
        "model": "m",
        "version": "1",
        "status": 200,
        "took": 0.001,
        "body": json.dumps(body).encode(),
        "header_length": None,
        "reply": json.dumps(reply).encode(),
        "reply_header_length": None,
    }
    return Kept(**(found | changed))


def tensor(name: str, shape: list[int], data: list[Any], datatype: str = "FP32") -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}
