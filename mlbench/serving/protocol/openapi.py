"""The OpenAPI 3.1 document of the server: every route, with the models' own tensors and columns.

Source: https://spec.openapis.org/oas/v3.1.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import orjson

from mlbench.domain.release import DeployedModel
from mlbench.serving.protocol import schemas
from mlbench.serving.protocol.schemas import Schema

Operation = dict[str, Any]

ERRORS = {
    400: "The request is wrong, or what it asks about is not ready; `error` says what.",
    401: "The server's token is missing: Authorization: Bearer TOKEN.",
    403: "The Host or Origin header names another machine.",
    404: "There is no such model, version or path here.",
    405: "The path takes another method; the Allow header says which.",
    408: "The request came too slowly.",
    413: "The body is larger than this server reads, as it came or decompressed.",
    414: "The path is too long.",
    417: "An expectation other than 100-continue.",
    431: "The headers are too large.",
    500: "The model or the server failed; its log says where.",
    501: "An encoding that this server does not read.",
    503: "Too many requests wait already; ask again after Retry-After seconds.",
    504: "The deadline passed before the model could answer.",
    505: "Another version of HTTP.",
}
_RUNNING = (503, 504)
_JSON = "application/json"
_BINARY = "application/octet-stream"
_TOKEN: Operation = {"security": [{"token": []}]}
_BINARY_NOTE = (
    "Tensors may follow the JSON in binary: each input then says `binary_data_size` under its "
    "parameters, and the header Inference-Header-Content-Length how long the JSON is."
)


def document(models: Sequence[DeployedModel]) -> bytes:
    """The document, as JSON, of a server with these models; the first of a name is the live one."""
    paths = _server_paths()
    names = list(dict.fromkeys(model.name for model in models))
    for name in names:
        versions = [model for model in models if model.name == name]
        paths |= _model_paths(versions[0], f"/v2/models/{quote(name, safe='')}", "")
        paths |= _live_paths(versions[0])
        for model in versions:
            at = f"/versions/{model.version}"
            paths |= _model_paths(model, f"/v2/models/{quote(name, safe='')}{at}", at)
    if len(names) == 1:
        paths["/predict"] = {"post": _predict(models[0], "predict")}
    return orjson.dumps(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "mlbench",
                "version": "2",
                "description": "Open Inference Protocol V2, and rows as JSON records (/predict).",
            },
            "paths": paths,
            "components": {
                "schemas": {**schemas.elements(), "Error": _ERROR},
                "responses": {str(status): _refusal(text) for status, text in ERRORS.items()},
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            },
        }
    )


def _server_paths() -> dict[str, Any]:
    ready = {"type": "object", "required": ["ready"], "properties": {"ready": {"type": "boolean"}}}
    index_body = {"type": "object", "properties": {"ready": {"type": ["boolean", "null"]}}}
    return {
        "/v2": {"get": _operation("server", "The server's name, version and extensions.", _ANY)},
        "/v2/health/live": {"get": _operation("live", "Whether the server runs.", _ANY)},
        "/v2/health/ready": {"get": _operation("ready", "Whether its models answer.", ready)},
        "/v2/models": {"get": _operation("models", "The models' names.", _ANY)},
        "/v2/models/stats": {"get": _operation("stats", "Figures of all models.", _ANY)},
        "/v2/repository/index": {
            "post": _operation("index", "Every version that could be loaded.", _LIST)
            | _body(index_body, is_required=False)
        },
        "/metrics": {"get": _operation("metrics", "Figures for Prometheus.", None)},
        "/openapi.json": {"get": _operation("openapi", "This document.", _ANY)},
    }


def _model_paths(model: DeployedModel, path: str, at: str) -> dict[str, Any]:
    """What a model's path and a version's path have in common."""
    which = f"{model.name}{at}"
    return {
        path: {"get": _operation(f"metadata {which}", "Its tensors and versions.", _ANY)},
        f"{path}/ready": {"get": _operation(f"ready {which}", "Whether it answers.", _ANY)},
        f"{path}/config": {"get": _operation(f"config {which}", "Its configuration.", _ANY)},
        f"{path}/stats": {"get": _operation(f"stats {which}", "Its figures.", _ANY)},
        f"{path}/infer": {"post": _infer(model, f"infer {which}")},
        f"/predict/{quote(model.name, safe='')}{at}": {"post": _predict(model, f"predict {which}")},
    }


def _live_paths(model: DeployedModel) -> dict[str, Any]:
    """What concerns a model, whichever its version."""
    name = quote(model.name, safe="")
    version = {"enum": [str(model.version), model.version, None]}
    change = {
        "type": "object",
        "properties": {
            "parameters": {"type": ["object", "null"], "properties": {"version": version}}
        },
    }
    paths: dict[str, Any] = {
        f"/v2/models/{name}/feedback": {
            "post": _operation(f"feedback {model.name}", "Tell what was true, by request.", _ANY)
            | _body(_FEEDBACK)
            | _TOKEN
        }
    }
    for what in ("load", "unload"):
        paths[f"/v2/repository/models/{name}/{what}"] = {
            "post": _operation(f"{what} {model.name}", f"{what.title()} versions.", _ANY)
            | _body(change, is_required=False)
            | _TOKEN
        }
    return paths


def _infer(model: DeployedModel, identity: str) -> Operation:
    request = schemas.infer_request(model.signature)
    response = schemas.infer_response(model.signature)
    found = _operation(identity, f"Ask {model.name}. {_BINARY_NOTE}", response, _RUNNING)
    found["responses"]["200"]["content"][_BINARY] = {}
    found |= _body(request, schemas.infer_example(model.signature))
    found["requestBody"]["content"][_BINARY] = {}
    return found


def _predict(model: DeployedModel, identity: str) -> Operation:
    summary = f"Ask {model.name} about rows, named as its training data named them."
    found = _operation(identity, summary, schemas.predict_response(), _RUNNING)
    request = schemas.predict_request(model.signature)
    return found | _body(request, schemas.predict_example(model.signature))


def _operation(
    identity: str, summary: str, response: Schema | None, more: Sequence[int] = ()
) -> Operation:
    """An operation that answers JSON of this schema, or text; `more` are statuses of its own."""
    content = {"text/plain": {}} if response is None else {_JSON: {"schema": response}}
    errors = [status for status in ERRORS if status not in _RUNNING or status in more]
    return {
        "operationId": identity,
        "summary": summary,
        "responses": {"200": {"description": "It is answered.", "content": content}}
        | {str(status): {"$ref": f"#/components/responses/{status}"} for status in errors},
    }


def _body(schema: Schema, example: Any = None, is_required: bool = True) -> Operation:
    media: dict[str, Any] = {"schema": schema}
    if example is not None:
        media["example"] = example
    return {"requestBody": {"required": is_required, "content": {_JSON: media}}}


def _refusal(description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Error"}
    return {"description": description, "content": {_JSON: {"schema": schema}}}


_ERROR: Schema = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}},
}
_ANY: Schema = {"type": "object"}
_LIST: Schema = {"type": "array", "items": {"type": "object"}}
_LABEL: Schema = {
    "type": "object",
    "required": ["id", "label"],
    "properties": {
        "id": {"type": "string", "minLength": 1, "maxLength": 1000},
        "label": {"type": ["string", "number", "boolean"]},
    },
}
_FEEDBACK: Schema = {
    "anyOf": [
        _LABEL,
        {
            "type": "object",
            "required": ["labels"],
            "properties": {"labels": {"type": "array", "items": _LABEL, "minItems": 1}},
        },
    ]
}
