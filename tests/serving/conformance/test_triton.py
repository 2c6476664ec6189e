"""What Triton's own HTTP tests ask, in our words, against ours; README.md lists them."""

from __future__ import annotations

import gzip
import json
import re
import threading
import time
import zlib
from typing import Any

import numpy as np
import pytest

from tests.serving.conformance.asking import LENGTH, Asked, floats, tensor, with_tail
from tests.serving.conformance.models import CLASSES, TYPES

A = tensor("a", "INT32", [1, 4], [1, 2, 3, 4])
B = tensor("b", "INT32", [1, 4], [1, 1, 1, 1])
EIGHT = tensor("in0", "FP32", [1, 8], list(range(8)))


# Raw bodies.


@pytest.mark.parametrize("count", [8, 32])
def test_raw_bytes_come_back(server: Asked, count: int) -> None:
    reply = server.raw("numbers", floats(count))
    assert (reply.status, reply.tail) == (200, floats(count))
    assert reply.json["outputs"][0]["shape"] == [1, count]


def test_a_raw_text_comes_back_with_its_length_before_it(server: Asked) -> None:
    assert server.raw("text", b"427").tail == b"\3\0\0\0" + b"427"


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("texts", "a raw body is one text, the model takes 2"),
        ("cubes", "a raw body can't say which shape it has"),
        ("triple", "a raw body holds one input, the model takes 3"),
    ],
)
def test_a_raw_body_whose_meaning_is_not_clear(server: Asked, model: str, sentence: str) -> None:
    reply = server.raw(model, floats(24))
    assert reply.status == 400
    assert sentence in reply.error


def test_a_raw_body_in_chunks(server: Asked) -> None:
    chunked = b"20\r\n" + floats(8) + b"\r\n0\r\n\r\n"
    reply = server.raw("numbers", chunked, **{"Transfer-Encoding": "chunked"})
    assert (reply.status, reply.tail) == (200, floats(8))


# What a request says, and what comes back.


def test_all_outputs_where_none_is_named(server: Asked) -> None:
    reply = server.infer("sums", A, B)
    assert reply.data("sum") == [2, 3, 4, 5]
    assert reply.data("difference") == [0, 1, 2, 3]


def test_the_outputs_that_are_named(server: Asked) -> None:
    reply = server.infer("sums", B, A, outputs=[{"name": "difference"}])
    assert [each["name"] for each in reply.json["outputs"]] == ["difference"]
    assert reply.data("difference") == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("parameters", "asked", "binary"),
    [
        ({"binary_data_output": True}, None, ["sum", "difference"]),
        ({"binary_data_output": True}, [None, False], ["sum"]),
        ({"binary_data_output": True}, [False, False], []),
        ({}, [True, None], ["sum"]),
        ({"binary_data_output": False}, [True, True], ["sum", "difference"]),
    ],
)
def test_an_output_is_binary_as_it_says_else_as_the_request_does(
    server: Asked, parameters: dict[str, Any], asked: list[bool | None] | None, binary: list[str]
) -> None:
    fields: dict[str, Any] = {"parameters": parameters}
    if asked is not None:
        fields["outputs"] = [
            {"name": name} | ({} if flag is None else {"parameters": {"binary_data": flag}})
            for name, flag in zip(("sum", "difference"), asked, strict=True)
        ]
    reply = server.infer("sums", A, B, **fields)
    assert reply.status == 200
    assert [each["name"] for each in reply.json["outputs"] if "data" not in each] == binary
    assert (LENGTH in reply.headers) == bool(binary)
    if binary:
        expected = {"sum": [2, 3, 4, 5], "difference": [0, 1, 2, 3]}
        tail = b"".join(np.array(expected[name], np.int32).tobytes() for name in binary)
        assert reply.tail == tail


@pytest.mark.parametrize("data", [[1, 2, 3], [1, 2, 3, 4, 5], [[1, 2], [3, 4]]])
def test_data_that_is_not_of_its_shape(server: Asked, data: list[Any]) -> None:
    reply = server.infer("sums", {**A, "data": data}, B)
    assert reply.status == 400
    assert 'input "a"' in reply.error


def test_nested_data_is_the_flat_one(server: Asked) -> None:
    two = {**A, "shape": [2, 4], "data": [[1, 2, 3, 4], [5, 6, 7, 8]]}
    other = {**B, "shape": [2, 4], "data": [1] * 8}
    assert server.infer("sums", two, other).data("sum") == [2, 3, 4, 5, 6, 7, 8, 9]


def _values(datatype: str) -> np.ndarray[Any, Any]:
    if datatype == "BYTES":
        return np.array([["a", "ümläut"], ["", "\0"]], dtype=object)
    plain = [[0, 1], [1, 0]] if datatype == "BOOL" else [[0, 1], [100, 7]]
    kinds = {"FP16": "float16", "FP32": "float32", "FP64": "float64", "BOOL": "bool"}
    return np.array(plain, dtype=kinds.get(datatype, datatype.lower()))


def _bytes(values: np.ndarray[Any, Any]) -> bytes:
    if values.dtype != object:
        return values.tobytes()
    texts = [text.encode() for text in values.ravel()]
    return b"".join(len(text).to_bytes(4, "little") + text for text in texts)


def test_every_datatype_comes_back_as_it_went(server: Asked) -> None:
    heads, tails, flags = [], [], []
    for place, datatype in enumerate(TYPES):
        values = _values(datatype)
        # Each other one in binary, as half precision must be.
        is_binary = place % 2 == 1 or datatype == "FP16"
        size = {"parameters": {"binary_data_size": len(_bytes(values))}}
        data = None if is_binary else values.tolist()
        heads.append(tensor(f"in{place}", datatype, [2, 2], data, **(size if is_binary else {})))
        tails += [_bytes(values)] if is_binary else []
        is_asked = place % 3 == 1 or datatype == "FP16"
        flags.append({"name": f"out{place}", "parameters": {"binary_data": is_asked}})
    body, headers = with_tail({"inputs": heads, "outputs": flags}, *tails)
    reply = server.ask("POST", "/v2/models/every/infer", body, headers)
    assert reply.status == 200, reply.raw
    tail = reply.tail
    for output, datatype in zip(reply.json["outputs"], TYPES, strict=True):
        assert (output["datatype"], output["shape"]) == (datatype, [2, 2])
        if "data" in output:
            assert output["data"] == _values(datatype).ravel().tolist()
        else:
            size = output["parameters"]["binary_data_size"]
            assert tail[:size] == _bytes(_values(datatype))
            tail = tail[size:]
    assert tail == b""


@pytest.mark.parametrize("shape", [[0, 8], [1, 0], [0, 0]])
def test_nothing_is_a_tensor_too(server: Asked, shape: list[int]) -> None:
    reply = server.infer("numbers", tensor("in0", "FP32", shape, []))
    assert reply.status == 200
    output = reply.json["outputs"][0]
    assert (output["shape"], output["data"]) == (shape, [])


def test_nan_and_infinity_go_in_binary(server: Asked) -> None:
    values = np.array([np.nan, np.inf, -np.inf, 1], np.float32).tobytes()
    assert server.raw("numbers", values).tail == values
    head = {"inputs": [tensor("in0", "FP32", [1, 4], parameters={"binary_data_size": 16})]}
    body, headers = with_tail(head, values)
    reply = server.ask("POST", "/v2/models/numbers/infer", body, headers)
    assert reply.status == 400
    assert "ask for it in binary" in reply.error


# Rankings.


def test_the_best_classes_of_each_row(server: Asked) -> None:
    scores = tensor("in0", "FP32", [2, 4], [0.1, 0.4, 0.3, 0.2, 1, 1, 1, 1])
    wanted = [{"name": "out0", "parameters": {"classification": 2}}]
    reply = server.infer("trees", scores, outputs=wanted)
    output = reply.json["outputs"][0]
    assert (output["datatype"], output["shape"]) == ("BYTES", [2, 2])
    assert output["data"] == [
        f"0.400000:1:{CLASSES[1]}",
        f"0.300000:2:{CLASSES[2]}",
        f"1.000000:0:{CLASSES[0]}",
        f"1.000000:1:{CLASSES[1]}",
    ]


def test_more_classes_than_there_are(server: Asked) -> None:
    wanted = [{"name": "out0", "parameters": {"classification": 99}}]
    reply = server.infer("numbers", EIGHT, outputs=wanted)
    assert reply.json["outputs"][0]["shape"] == [1, 8]
    assert reply.data("out0")[0] == "7.000000:7"


def test_texts_have_no_ranking(server: Asked) -> None:
    wanted = [{"name": "out0", "parameters": {"classification": 5}}]
    reply = server.infer("text", tensor("in0", "BYTES", [1, 1], ["a"]), outputs=wanted)
    assert reply.status == 400
    assert "BYTES, which has no ranking" in reply.error


def test_a_million_scores_are_ranked_and_no_more(server: Asked) -> None:
    wanted = [{"name": "out0", "parameters": {"classification": 1}}]
    count = 1_000_001
    inputs = [tensor("in0", "FP32", [1, count], parameters={"binary_data_size": 4 * count})]
    body, headers = with_tail({"inputs": inputs, "outputs": wanted}, bytes(4 * count))
    reply = server.ask("POST", "/v2/models/numbers/infer", body, headers)
    assert reply.status == 400
    assert "too large to rank" in reply.error


# Sizes and compressions.


@pytest.mark.parametrize("name", ["gzip", "deflate"])
def test_both_ways_may_be_compressed(server: Asked, name: str) -> None:
    pack = gzip.compress if name == "gzip" else zlib.compress
    numbers = [1.0] * 20_000
    body = json.dumps({"inputs": [tensor("in0", "FP32", [1, 20_000], numbers)]}).encode()
    headers = {"Content-Encoding": name, "Accept-Encoding": name}
    reply = server.ask("POST", "/v2/models/numbers/infer", pack(body), headers)
    assert reply.status == 200
    assert reply.headers["content-encoding"] == name
    plain = gzip.decompress(reply.raw) if name == "gzip" else zlib.decompress(reply.raw)
    assert json.loads(plain)["outputs"][0]["data"] == numbers


def test_64_mebibytes_decompressed_are_the_most(server: Asked) -> None:
    body = json.dumps({"inputs": [EIGHT]}).encode()
    for size, status in ((64 << 20, 200), ((64 << 20) + 1, 413)):
        packed = zlib.compress(body + b" " * (size - len(body)), 1)
        headers = {"Content-Encoding": "deflate"}
        reply = server.ask("POST", "/v2/models/numbers/infer", packed, headers)
        assert reply.status == status, reply.raw[:200]
    assert "64 MiB when decompressed" in reply.error


def test_64_mebibytes_raw_are_the_most(server: Asked) -> None:
    elements = (64 << 20) // 4
    assert server.raw("numbers", bytes(4 * elements + 4)).status == 413
    reply = server.raw("sums", bytes(4 * elements))
    assert (reply.status, "a raw body holds one input" in reply.error) == (400, True)


# Models, versions and the repository.


def test_health_metadata_and_configuration(server: Asked) -> None:
    assert server.get("/v2/health/live").status == 200
    assert server.get("/v2/health/ready").status == 200
    assert server.get("/v2/models/sums/ready").status == 200
    about = server.get("/v2").json
    assert set(about) == {"name", "version", "extensions"}
    assert {"classification", "binary_tensor_data", "statistics"} <= set(about["extensions"])
    model = server.get("/v2/models/sums").json
    assert model["versions"] == ["1"]
    assert [(each["name"], each["datatype"]) for each in model["inputs"]] == [
        ("a", "INT32"),
        ("b", "INT32"),
    ]
    config = server.get("/v2/models/sums/config").json
    assert [each["data_type"] for each in config["input"]] == ["TYPE_INT32"] * 2


@pytest.mark.parametrize("path", ["", "/ready", "/config", "/stats", "/versions/1/ready"])
def test_an_unknown_model_is_a_404_everywhere(server: Asked, path: str) -> None:
    reply = server.get(f"/v2/models/nothing{path}")
    assert reply.status == 404
    assert 'no model "nothing"' in reply.error


@pytest.mark.parametrize("version", ["2", "0", "03", "-1", "three", "99999999999999999999"])
def test_an_unknown_version_is_a_404_everywhere(server: Asked, version: str) -> None:
    for method, more in (("GET", ""), ("GET", "/ready"), ("POST", "/infer")):
        reply = server.ask(method, f"/v2/models/sums/versions/{version}{more}")
        assert reply.status == 404
        assert f'version "{version}" is not served here; there are: 1' in reply.error


def test_a_version_is_loaded_and_unloaded_and_takes_no_traffic(server: Asked) -> None:
    row = tensor("x", "FP32", [1, 3], [1, 2, 3])
    by_number = "/v2/models/multiplier/versions/2/infer"
    policy = json.dumps({"version_policy": {"specific": {"versions": [2]}}})
    named = {"parameters": {"config": policy}}
    for what, status in (("load", 200), ("unload", 404)):
        path = f"/v2/repository/models/multiplier/{what}"
        assert server.ask("POST", path, named, server.trusted).status == 200
        assert server.ask("POST", by_number, {"inputs": [row]}).status == status
        assert server.infer("multiplier", row).data("version") == [3]


def test_the_index_says_what_is_ready_and_why_the_rest_is_not(server: Asked) -> None:
    every = server.ask("POST", "/v2/repository/index").json
    ready = server.ask("POST", "/v2/repository/index", {"ready": True}).json
    states = {(each["name"], each["version"]): each["state"] for each in every}
    assert states["multiplier", "3"] == "READY"
    assert states["multiplier", "2"] == "UNAVAILABLE"
    assert [each for each in every if each["state"] == "READY"] == ready
    assert all(each["reason"] for each in every if each["state"] == "UNAVAILABLE")


@pytest.mark.parametrize("what", ["load", "unload"])
@pytest.mark.parametrize(
    "name",
    ["..%2Fetc", "a%2F..%2Fb", "%2Fetc%2Fpasswd", "..", "...", "%20", "%0A", "%00", "model..1"],
)
def test_a_name_that_climbs_is_only_unknown(server: Asked, what: str, name: str) -> None:
    path = f"/v2/repository/models/{name}/{what}"
    reply = server.ask("POST", path, b"", server.trusted)
    assert reply.status == 404
    assert "has a version here" in reply.error
    assert server.ask("POST", f"/v2/models/{name}/infer").status == 404


@pytest.mark.parametrize("key", ["file:1/model.onnx", "file:" + "A" * 256, "file:../../x"])
def test_no_client_brings_a_model(server: Asked, key: str) -> None:
    body = {"parameters": {key: "YQ==", "config": "{}"}}
    path = "/v2/repository/models/numbers/load"
    reply = server.ask("POST", path, body, server.trusted)
    assert reply.status == 400
    assert "come from promotions" in reply.error
    assert server.lives()


# Queues and figures.


def test_a_full_queue_is_a_503(server: Asked) -> None:
    row = tensor("x", "FP32", [1, 3], [1, 2, 3])
    statuses: list[int] = []

    def ask() -> None:
        statuses.append(server.infer("slow", row).status)

    asking = [threading.Thread(target=ask) for _ in range(8)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert set(statuses) == {200, 503}
    figures = server.get("/metrics").raw.decode()
    assert re.search(r'requests_total\{(?=[^}]*model="slow")[^}]*5xx[^}]*\} [1-9]', figures), (
        figures
    )


def test_successes_and_failures_are_counted(server: Asked) -> None:
    def figures() -> tuple[int, int, int]:
        (stats,) = server.get("/v2/models/triple/stats").json["model_stats"]
        counts = stats["inference_stats"]
        return counts["success"]["count"], counts["fail"]["count"], stats["inference_count"]

    def counted(expected: tuple[int, int, int]) -> bool:
        deadline = time.monotonic() + 20
        while figures() != expected and time.monotonic() < deadline:
            time.sleep(0.01)
        return figures() == expected

    good, bad, rows = figures()
    three = [{**EIGHT, "name": f"in{place}", "shape": [2, 8]} for place in range(3)]
    for each in three:
        each["data"] = list(range(16))
    assert server.infer("triple", *three).status == 200
    assert server.infer("triple", three[0]).status == 400
    assert counted((good + 1, bad + 1, rows + 2))


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ({"a": "b", "c": 1, "d": 1.5, "e": True}, 200),
        ({"priority": 3, "timeout": 1000, "sequence_id": 7}, 200),
        ({"priority": -1}, 400),
        ({"sequence_start": "yes"}, 400),
        ({"a": [1]}, 400),
        ({"triton_enable_empty_final_response": True}, 400),
        ([1], 400),
    ],
)
def test_parameters_of_a_request(server: Asked, parameters: Any, status: int) -> None:
    reply = server.infer("numbers", EIGHT, id="p", parameters=parameters)
    assert reply.status == status
    if status == 200:
        assert reply.json["id"] == "p"
    else:
        assert "the request: " in reply.error


def test_shared_memory_is_refused_with_what_to_do(server: Asked) -> None:
    where = {"shared_memory_region": "r", "shared_memory_byte_size": 32}
    reply = server.infer("numbers", tensor("in0", "FP32", [1, 8], parameters=where))
    assert reply.status == 400
    assert "send the data in the body" in reply.error
    assert server.get("/v2/systemsharedmemory/status").status == 404
