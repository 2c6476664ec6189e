"""What KServe's own server tests ask of V2 over HTTP, in our words; README.md lists them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.serving.conformance.asking import LENGTH, Asked, tensor, with_tail

VALUES = [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]
FLAT = [value for row in VALUES for value in row]
TWO = tensor("x", "FP32", [2, 4], FLAT)
HALF = np.array(FLAT, np.float16).tobytes()
SINGLE = np.array(FLAT, np.float32).tobytes()
OF_EVERY = 9  # the place of FP16 among the inputs of `every`


def asked(**flags: bool | None) -> list[dict[str, Any]]:
    """Outputs asked for in binary, in JSON, or without a word."""
    return [
        {"name": name} | ({} if flag is None else {"parameters": {"binary_data": flag}})
        for name, flag in flags.items()
    ]


def test_the_models_are_listed(server: Asked) -> None:
    reply = server.get("/v2/models")
    assert reply.status == 200
    assert list(reply.json) == ["models"]
    assert {"multiplier", "sums", "text"} <= set(reply.json["models"])


def test_inference_answers_in_json(server: Asked) -> None:
    body = b'{"inputs": [{"name": "x","shape": [1, 3],"datatype": "FP32","data": [[1,2,3]]}]}'
    headers = {"Content-Type": "application/json"}
    reply = server.ask("POST", "/v2/models/multiplier/infer", body, headers)
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.data("y") == [3, 6, 9]


def test_custom_parameters_are_taken_wherever_they_stand(server: Asked) -> None:
    custom = {"test-str": "dummy", "test-bool": True, "test-int": 100, "test-float": 1.3}
    row = tensor("x", "FP32", [2, 4], FLAT, parameters=custom)
    outputs = [{"name": "single", "parameters": custom}]
    reply = server.infer("halves", row, id="123", parameters=custom, outputs=outputs)
    assert (reply.status, reply.json["id"]) == (200, "123")
    assert reply.data("single") == FLAT


def test_half_precision_comes_in_binary_beside_texts_in_json(server: Asked) -> None:
    inputs = []
    for place, each in enumerate(server.get("/v2/models/every").json["inputs"]):
        name, datatype = each["name"], each["datatype"]
        if place == OF_EVERY:
            assert datatype == "FP16"
            size = {"binary_data_size": 4}
            inputs.append(tensor(name, datatype, [1, 2], parameters=size))
        else:
            values = ["cat", "dog"] if datatype == "BYTES" else [0, 1]
            data = [False, True] if datatype == "BOOL" else values
            inputs.append(tensor(name, datatype, [1, 2], data))
    outputs = asked(**{f"out{OF_EVERY}": True, "out12": None})
    body, headers = with_tail({"inputs": inputs, "outputs": outputs}, HALF[:4])
    headers["Content-Type"] = "application/octet-stream"
    reply = server.ask("POST", "/v2/models/every/infer", body, headers)
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/octet-stream"
    assert (reply.tail, reply.data("out12")) == (HALF[:4], ["cat", "dog"])


def test_half_precision_in_json_is_refused(server: Asked) -> None:
    inputs = [tensor(f"in{OF_EVERY}", "FP16", [1, 2], [6.8, 2.8])]
    reply = server.infer("every", *inputs)
    assert reply.status == 400
    assert "JSON can't hold FP16; send it in binary" in reply.error


@pytest.mark.parametrize(
    ("fields", "tail", "data"),
    [
        ({"outputs": asked(half=True, single=False)}, HALF, ["single"]),
        ({"outputs": asked(half=True, single=None)}, HALF, ["single"]),
        ({"parameters": {"binary_data_output": True}}, HALF + SINGLE, []),
        (
            {
                "parameters": {"binary_data_output": True},
                "outputs": asked(half=True, single=False),
            },
            HALF,
            ["single"],
        ),
        (
            {
                "parameters": {"binary_data_output": False},
                "outputs": asked(single=None, half=True),
            },
            HALF,
            ["single"],
        ),
    ],
)
def test_outputs_in_binary(
    server: Asked, fields: dict[str, Any], tail: bytes, data: list[str]
) -> None:
    reply = server.infer("halves", TWO, id="123", **fields)
    assert (reply.status, reply.json["id"]) == (200, "123")
    assert reply.tail == tail
    assert int(reply.headers[LENGTH]) + len(tail) == int(reply.headers["content-length"])
    for output in reply.json["outputs"]:
        assert ("data" in output) == (output["name"] in data)
        assert output["shape"] == [2, 4]


@pytest.mark.parametrize(
    "fields",
    [{}, {"outputs": asked(half=None, single=False)}, {"outputs": asked(half=False)}],
)
def test_half_precision_can_not_go_back_in_json(server: Asked, fields: dict[str, Any]) -> None:
    reply = server.infer("halves", TWO, **fields)
    assert reply.status == 400
    assert 'output "half" is FP16, which JSON can\'t hold; ask for it in binary' in reply.error


def test_only_what_is_requested_comes_back(server: Asked) -> None:
    reply = server.infer("halves", TWO, outputs=asked(single=False))
    assert [each["name"] for each in reply.json["outputs"]] == ["single"]
    assert LENGTH not in reply.headers


@pytest.mark.parametrize(
    ("body", "length"),
    [
        (b'{"inputs": [{"name": "x", "shape": [1, 4]', None),
        (b'{"inputs": []', 100),
        (b'{"inputs": []}', 5),
        (json.dumps({"inputs": [tensor("x", "FP32", [2, 4])]}).encode(), None),
        (json.dumps({"inputs": [tensor("x", "FP32", [2, 4])]}).encode() + SINGLE, -len(SINGLE)),
        (json.dumps({"inputs": [TWO]}).encode() + SINGLE, -len(SINGLE)),
    ],
)
def test_a_request_that_is_not_whole(server: Asked, body: bytes, length: int | None) -> None:
    headers = {}
    if length is not None:
        headers[LENGTH] = str(length if length > 0 else len(body) + length)
    reply = server.ask("POST", "/v2/models/halves/infer", body, headers)
    assert reply.status == 400
    assert reply.error


def test_data_and_bytes_at_once_are_refused(server: Asked) -> None:
    row = {**TWO, "parameters": {"binary_data_size": 32}}
    body, headers = with_tail({"inputs": [row]}, SINGLE)
    reply = server.ask("POST", "/v2/models/halves/infer", body, headers)
    assert reply.status == 400
    assert "either data or binary_data_size, not both" in reply.error


@pytest.mark.parametrize(
    "path", ["/v1/models", "/v1/models/multiplier", "/v2/nothing", "/", "/v2/models/a/explain"]
)
def test_an_unknown_path(server: Asked, path: str) -> None:
    reply = server.get(path)
    assert reply.status == 404
    assert "/openapi.json lists what there is" in reply.error


def test_load_and_unload_answer_200_and_an_unknown_model_404(server: Asked) -> None:
    body = {"parameters": {"version": 2}}
    for what in ("load", "unload"):
        for model, status in (("multiplier", 200), ("nothing", 404)):
            path = f"/v2/repository/models/{model}/{what}"
            assert server.ask("POST", path, body, server.trusted).status == status


def test_the_live_version_is_not_unloaded(server: Asked) -> None:
    path = "/v2/repository/models/multiplier/unload"
    reply = server.ask("POST", path, b"", server.trusted)
    assert reply.status == 400
    assert "is live" in reply.error
    assert server.get("/v2/models/multiplier/ready").status == 200
