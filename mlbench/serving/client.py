"""A client of the Open Inference Protocol V2 for the engine: JSON over the standard library."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from mlbench.domain.errors import ServingError

_TIMEOUT = 30.0


def infer(
    address: str,
    model: str,
    inputs: Sequence[Mapping[str, Any]],
    version: int | None = None,
    timeout: float = _TIMEOUT,
    token: str | None = None,
    id_: str | None = None,
) -> dict[str, Any]:
    """The answer to these input tensors (name, shape, datatype, data), as the protocol has it.

    Raises ServingError with the server's sentence where it refuses or can't be reached.
    """
    body: dict[str, Any] = {"inputs": [dict(tensor) for tensor in inputs]}
    if id_ is not None:
        body["id"] = id_
    return _ask(address, "POST", infer_path(model, version), body, timeout, token)


def metadata(address: str, model: str, version: int | None = None) -> dict[str, Any]:
    """A model's name, versions, platform, inputs and outputs; ServingError as `infer`."""
    return _ask(address, "GET", _model_path(model, version), None, _TIMEOUT)


def ready(address: str, timeout: float = 5.0) -> bool:
    """Whether a server is there and serves a model."""
    return _says(address, "ready", timeout)


def live(address: str, timeout: float = 5.0) -> bool:
    """Whether a server is there, with models or without."""
    return _says(address, "live", timeout)


def _says(address: str, what: str, timeout: float) -> bool:
    try:
        return _ask(address, "GET", f"/v2/health/{what}", None, timeout).get(what) is True
    except ServingError:
        return False


def infer_path(model: str, version: int | None) -> str:
    """Where a model, or one version of it, is asked."""
    return f"{_model_path(model, version)}/infer"


def _model_path(model: str, version: int | None) -> str:
    path = f"/v2/models/{quote(model, safe='')}"
    return path if version is None else f"{path}/versions/{version}"


def _ask(
    address: str, method: str, path: str, body: Any, timeout: float, token: str | None = None
) -> dict[str, Any]:
    # http.client brings the email package with it: late, for those who only import this room.
    import http.client

    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=timeout)
    try:
        data = None if body is None else json.dumps(body, allow_nan=False).encode()
        headers = {} if data is None else {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        connection.request(method, path, data, headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
    except (OSError, http.client.HTTPException) as error:
        raise ServingError(
            f"{address}: nobody answers there ({str(error) or type(error).__name__}); "
            "start the environment's server with mlbench serve"
        ) from None
    except ValueError as error:
        raise ServingError(f"{address}: {method} {path}: not JSON: {error}") from None
    finally:
        connection.close()
    if not isinstance(answer, dict):
        raise ServingError(f"{address}: {method} {path}: answered something else than an object")
    if response.status != 200:
        raise ServingError(f"{address}: {answer.get('error', f'status {response.status}')}")
    return answer
