"""What MLServer's own REST tests ask, in our words, against ours; README.md lists them."""

from __future__ import annotations

import gzip
import json
import re
from importlib import metadata

import pytest

from tests.serving.conformance.asking import Asked, tensor

ROW = tensor("x", "FP32", [1, 3], [1, 2, 3])
LOADED = {"parameters": {"version": "2"}}


@pytest.mark.parametrize(
    "path",
    [
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/multiplier/ready",
        "/v2/models/multiplier/versions/3/ready",
    ],
)
def test_live_and_ready(server: Asked, path: str) -> None:
    assert server.get(path).status == 200


def test_metadata_names_the_version_that_is_installed(server: Asked) -> None:
    assert server.get("/v2").json["version"] == metadata.version("mlbench")


def test_the_metadata_of_a_model(server: Asked) -> None:
    for path in ("/v2/models/multiplier", "/v2/models/multiplier/versions/3"):
        found = server.get(path).json
        assert (found["name"], found["platform"]) == ("multiplier", "onnxruntime_onnx")
        assert found["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}]


def test_the_openapi_document_has_every_path_of_a_model(server: Asked) -> None:
    reply = server.get("/openapi.json")
    assert reply.json["openapi"].startswith("3.")
    for at in ("", "/versions/3"):
        assert f"/v2/models/multiplier{at}/infer" in reply.json["paths"]


@pytest.mark.parametrize("at", ["", "/versions/3"])
def test_inference_with_and_without_a_version(server: Asked, at: str) -> None:
    reply = server.ask("POST", f"/v2/models/multiplier{at}/infer", {"inputs": [ROW]})
    assert (reply.status, reply.data("y")) == (200, [3.0, 6.0, 9.0])


def test_nulls_count_as_left_out(server: Asked) -> None:
    row = {**ROW, "parameters": None}
    body = {"id": None, "parameters": None, "inputs": [row], "outputs": None}
    assert server.ask("POST", "/v2/models/multiplier/infer", body).status == 200


def test_every_answer_has_an_id_of_its_own_or_the_clients(server: Asked) -> None:
    ids = [server.infer("multiplier", ROW).json["id"] for _ in range(3)]
    assert len(set(ids)) == 3
    assert all(ids)
    assert server.infer("multiplier", ROW, id="mine").json["id"] == "mine"


def test_a_model_or_version_that_is_not_here(server: Asked) -> None:
    reply = server.ask("POST", "/v2/models/my-model/versions/v0/infer", {"inputs": [ROW]})
    assert reply.status == 404
    assert 'no model "my-model"' in reply.error


@pytest.mark.parametrize("datatype", ["OBJECT", "", 3, None])
def test_a_datatype_that_there_is_not(server: Asked, datatype: object) -> None:
    reply = server.infer("multiplier", {**ROW, "datatype": datatype})
    assert reply.status == 400
    assert f'datatype must be "FP32", not {json.dumps(datatype)}' in reply.error


def test_texts_are_utf8_both_ways(server: Asked) -> None:
    texts = ["hey", "what's up ✓"]
    reply = server.infer("texts", tensor("in0", "BYTES", [1, 2], texts))
    assert reply.data("out0") == texts


def test_a_compressed_body_and_a_compressed_answer(server: Asked) -> None:
    rows = [tensor("x", "FP32", [2000, 3], [0.5] * 6000)]
    body = gzip.compress(json.dumps({"inputs": rows}).encode())
    headers = {"Content-Encoding": "gzip", "Accept-Encoding": "gzip"}
    reply = server.ask("POST", "/v2/models/multiplier/infer", body, headers)
    assert reply.headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(reply.raw))["outputs"][0]["data"] == [1.5] * 6000


@pytest.mark.parametrize(("ready", "has_unloaded"), [(None, True), (False, True), (True, False)])
def test_the_index_filters_by_what_is_ready(
    server: Asked, ready: bool | None, has_unloaded: bool
) -> None:
    index = server.ask("POST", "/v2/repository/index", {"ready": ready}).json
    found = {each["version"] for each in index if each["name"] == "multiplier"}
    assert found == ({"2", "3"} if has_unloaded else {"3"})


def test_what_is_unloaded_is_unavailable_and_can_be_loaded_again(server: Asked) -> None:
    for _ in range(2):
        server.ask("POST", "/v2/repository/models/multiplier/load", LOADED, server.trusted)
        assert server.get("/v2/models/multiplier/versions/2").status == 200
        assert server.get("/v2/models/multiplier").json["versions"] == ["2", "3"]
        server.ask("POST", "/v2/repository/models/multiplier/unload", LOADED, server.trusted)
        assert server.get("/v2/models/multiplier/versions/2").status == 404
        assert server.get("/v2/models/multiplier").json["versions"] == ["3"]


@pytest.mark.parametrize("what", ["load", "unload"])
def test_an_unknown_model_is_neither_loaded_nor_unloaded(server: Asked, what: str) -> None:
    reply = server.ask("POST", f"/v2/repository/models/my-model/{what}", b"", server.trusted)
    assert reply.status == 404
    assert 'no model "my-model"' in reply.error


def test_metrics_count_the_requests_that_were_made(server: Asked) -> None:
    def count() -> float:
        figures = server.get("/metrics")
        assert figures.headers["content-type"].startswith("text/plain")
        pattern = r'requests_total\{(?=[^}]*model="halves")[^}]*2xx[^}]*\} ([0-9.]+)'
        found = re.search(pattern, figures.raw.decode())
        return float(found[1]) if found else 0.0

    before = count()
    for _ in range(5):
        assert server.infer("halves", HALVES, outputs=SINGLE).status == 200
    assert count() == before + 5


HALVES = tensor("x", "FP32", [1, 4], [1, 2, 3, 4])
SINGLE = [{"name": "single"}]
