"""The OpenAPI document says what the server does: its routes are routed, its examples accepted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from mlbench.domain.release import DeployedModel, Signature, TensorSpec
from mlbench.serving.protocol.openapi import ERRORS, document
from mlbench.serving.protocol.parsing import parse_request
from mlbench.serving.protocol.rows import parse_rows
from mlbench.serving.worker.routes import find_route
from tests.serving.fuzz.bodies import SIGNATURES


def deployed(name: str, version: int, signature: Signature) -> DeployedModel:
    return DeployedModel(name, version, "d" * 64, "run", "/nowhere/model.onnx", signature)


MODELS = [deployed(f"a model/{place}", 3, found) for place, found in enumerate(SIGNATURES)]
DOCUMENT: dict[str, Any] = json.loads(document(MODELS))


def operations(found: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_every_path_of_the_document_is_routed() -> None:
    whats = {find_route(method, path).what for method, path, _ in operations(DOCUMENT)}
    assert whats == {
        *("server", "live", "ready", "stats", "index", "load", "unload", "metrics", "openapi.json"),
        *("model_metadata", "model_ready", "model_config", "model_stats", "model_infer"),
        *("models", "model_feedback", "predict"),
    }


def test_predict_needs_no_name_where_there_is_one_model() -> None:
    two = [deployed("m", version, SIGNATURES[0]) for version in (3, 2)]
    paths = json.loads(document(two))["paths"]
    assert {path for path in paths if "predict" in path} == {
        *("/predict", "/predict/m", "/predict/m/versions/3", "/predict/m/versions/2"),
    }
    assert "/predict" not in DOCUMENT["paths"]
    assert json.loads(document([]))["paths"].keys() == {
        *("/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/stats"),
        *("/v2/models", "/v2/repository/index", "/metrics", "/openapi.json"),
    }


def test_every_reference_leads_somewhere_and_every_name_is_its_own() -> None:
    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            yield from [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            for inner in value.values():
                yield from references(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from references(inner)

    for reference in set(references(DOCUMENT)):
        found: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
    names = [operation["operationId"] for _, _, operation in operations(DOCUMENT)]
    assert len(set(names)) == len(names)


def test_every_operation_lists_its_errors() -> None:
    for _, path, operation in operations(DOCUMENT):
        missing = {str(status) for status in ERRORS} - operation["responses"].keys()
        is_running = path.endswith("/infer") or path.startswith("/predict")
        assert missing == (set() if is_running else {"503", "504"})
        is_kept = path.endswith(("/load", "/unload", "/feedback"))
        assert ("security" in operation) == is_kept


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.signature.inputs[0].name)
def test_examples_and_exact_forms_are_accepted(model: DeployedModel) -> None:
    signature = model.signature
    paths = json.loads(document([model]))["paths"]
    infer, predict = (
        next(found[path]["post"] for path in found if end in path)
        for found, end in ((paths, "/infer"), (paths, "/predict"))
    )
    body = infer["requestBody"]["content"]["application/json"]
    has_json = all(spec.datatype not in ("FP16", "BF16") for spec in signature.inputs)
    assert ("example" in body) == has_json
    if has_json:
        parse_request(json.dumps(body["example"]).encode(), None, signature)
        *exact, _ = body["schema"]["properties"]["inputs"]["anyOf"]
        is_batched = signature.inputs[0].shape[:1] == (-1,)
        assert len(exact) == (2 if is_batched else 1)
        for rows, form in enumerate(exact, 1):
            parsed = parse_request(json.dumps({"inputs": made(form)}).encode(), None, signature)
            assert parsed.rows == (rows if is_batched else 1)
    records = predict["requestBody"]["content"]["application/json"].get("example")
    if records is not None and signature.inputs[0].shape:
        assert parse_rows(json.dumps(records).encode(), signature).rows == 1


def made(form: dict[str, Any]) -> list[Any]:
    """The tensors that an exact form of the inputs allows, with an element of its type."""
    zeros: dict[str, Any] = {"BYTES": "", "BOOL": False}
    tensors = []
    for tensor in form.get("prefixItems") or [form["items"]]:
        fields = tensor["properties"]
        assert fields["data"]["minItems"] == fields["data"]["maxItems"]
        datatype = fields["datatype"]["const"]
        data = [zeros.get(datatype, 0)] * fields["data"]["minItems"]
        constants = {key: fields[key]["const"] for key in ("name", "shape", "datatype")}
        tensors.append(constants | {"data": data})
    return tensors


def test_a_model_too_large_to_write_out_has_no_example() -> None:
    image = Signature((TensorSpec("pixels", "FP32", (-1, 3, 224, 224)),), ())
    body = document([deployed("resnet", 1, image)])
    assert len(body) < 100_000
    assert b'"example"' not in body
