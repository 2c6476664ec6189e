"""Every route and every refusal of a real server, over real sockets."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from mlbench.serving.http.limits import Limits

if TYPE_CHECKING:
    from tests.serving.conftest import Sandbox

BODY_LIMIT = Limits().body_bytes

INFER = "/v2/models/multiplier/infer"
Row = list[dict[str, Any]]


def test_health(served: Sandbox) -> None:
    live = served.ask("GET", "/v2/health/live")
    ready = served.ask("GET", "/v2/health/ready?verbose=1")
    assert (live.status, live.body) == (200, {"live": True})
    assert (ready.status, ready.body) == (200, {"ready": True})
    assert live.headers["content-type"] == "application/json"


def test_server_metadata(served: Sandbox) -> None:
    answer = served.ask("GET", "/v2")
    assert answer.status == 200
    assert answer.body["name"] == "mlbench"
    assert "binary_tensor_data" in answer.body["extensions"]
    assert isinstance(answer.body["version"], str)


@pytest.mark.parametrize("path", ["/v2/models/multiplier", "/v2/models/multiplier/versions/3"])
def test_model_metadata_and_readiness(served: Sandbox, path: str) -> None:
    answer = served.ask("GET", path)
    assert answer.status == 200
    assert answer.body == {
        "name": "multiplier",
        "versions": ["3"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}],
        "outputs": [
            {"name": "y", "datatype": "FP32", "shape": [-1, 3]},
            {"name": "version", "datatype": "INT64", "shape": [1]},
        ],
    }
    ready = served.ask("GET", f"{path}/ready")
    assert (ready.status, ready.body) == (200, {"name": "multiplier", "ready": True})


@pytest.mark.parametrize("path", [INFER, "/v2/models/multiplier/versions/3/infer?x=1"])
def test_inference(served: Sandbox, one_row: Row, path: str) -> None:
    answer = served.ask("POST", path, {"id": "a1", "inputs": one_row})
    assert answer.status == 200
    assert answer.body == {
        "model_name": "multiplier",
        "model_version": "3",
        "id": "a1",
        "outputs": [
            {"name": "y", "datatype": "FP32", "shape": [1, 3], "data": [3.0, 6.0, 9.0]},
            {"name": "version", "datatype": "INT64", "shape": [1], "data": [3]},
        ],
    }


def test_requested_outputs_alone_are_given(served: Sandbox, one_row: Row) -> None:
    answer = served.ask("POST", INFER, {"inputs": one_row, "outputs": [{"name": "version"}]})
    assert [output["name"] for output in answer.body["outputs"]] == ["version"]


def test_the_content_type_does_not_matter(served: Sandbox, one_row: Row) -> None:
    body = {"inputs": one_row}
    for headers in ({}, {"Content-Type": "text/plain"}, {"Content-Encoding": "identity"}):
        assert served.ask("POST", INFER, body, headers).status == 200


def test_no_rows_are_an_answer_too(served: Sandbox) -> None:
    empty = [{"name": "x", "shape": [0, 3], "datatype": "FP32", "data": []}]
    answer = served.ask("POST", INFER, {"inputs": empty})
    assert answer.status == 200
    assert answer.body["outputs"][0]["shape"] == [0, 3]


@pytest.mark.parametrize(
    ("method", "path", "status", "sentence"),
    [
        ("GET", "/", 404, "nothing at /"),
        ("GET", "/v2/nothing", 404, "nothing at /v2/nothing"),
        ("GET", "/v2/models/multiplier/versions", 404, "nothing at"),
        ("GET", "/v2/models/multiplyer", 404, 'did you mean "multiplier"?'),
        ("GET", "/v2/models/a%2Fb", 404, 'no model "a/b"'),
        ("GET", "/v2/models/nothing/ready", 404, 'no model "nothing"'),
        ("POST", "/v2/models/nothing/infer", 404, "which serves multiplier"),
        ("GET", "/v2/models/multiplier/versions/2", 404, 'version "2" is not served'),
        ("GET", "/v2/models/multiplier/versions/x/ready", 404, 'version "x" is not served'),
        ("POST", "/v2/models/multiplier/versions/2/infer", 404, "there are: 3"),
        ("POST", INFER, 400, "not JSON"),
    ],
)
def test_what_is_not_there(
    served: Sandbox, method: str, path: str, status: int, sentence: str
) -> None:
    answer = served.ask(method, path)
    assert answer.status == status
    assert sentence in answer.body["error"]


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", INFER, "POST"),
        ("PUT", INFER, "POST"),
        ("POST", "/v2", "GET, HEAD"),
        ("POST", "/v2/health/live", "GET, HEAD"),
        ("DELETE", "/v2/models/multiplier", "GET, HEAD"),
        ("OPTIONS", "/v2/models/multiplier/ready", "GET, HEAD"),
    ],
)
def test_other_methods_are_refused(served: Sandbox, method: str, path: str, allow: str) -> None:
    answer = served.ask(method, path)
    assert (answer.status, answer.headers["allow"]) == (405, allow)
    assert method in answer.body["error"]


def test_head_is_get_without_a_body(served: Sandbox) -> None:
    answer = served.ask("HEAD", "/v2/health/live")
    assert (answer.status, answer.body) == (200, None)


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:8100"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "https://localhost.evil.example"},
        {"Origin": "null"},
    ],
)
def test_foreign_pages_are_refused(
    served: Sandbox, one_row: Row, method: str, headers: dict[str, str]
) -> None:
    answer = served.ask(method, INFER, {"inputs": one_row}, headers)
    assert answer.status == 403
    assert list(answer.body) == ["error"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "localhost"},
        {"Host": "LOCALHOST:1"},
        {"Host": "[::1]:8100"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "https://127.0.0.1"},
    ],
)
def test_local_pages_may_ask(served: Sandbox, one_row: Row, headers: dict[str, str]) -> None:
    assert served.ask("POST", INFER, {"inputs": one_row}, headers).status == 200


def test_a_request_without_one_host_is_refused(served: Sandbox) -> None:
    for hosts in (b"", b"Host: localhost\r\nHost: evil.example\r\n", b"Host: localhost\r\n" * 2):
        with socket.create_connection(("127.0.0.1", served.environment.port)) as connection:
            request = b"GET /v2 HTTP/1.1\r\n" + hosts + b"Connection: close\r\n\r\n"
            connection.sendall(request)
            assert connection.makefile("rb").readline().split()[1] == b"400"


@pytest.mark.parametrize(
    ("headers", "status", "sentence"),
    [
        ({"Inference-Header-Content-Length": "10"}, 400, "the body is not JSON"),
        ({"Inference-Header-Content-Length": "-1"}, 400, "Inference-Header-Content-Length"),
        ({"Content-Encoding": "gzip"}, 400, "not valid gzip"),
        ({"Content-Encoding": "br"}, 501, "br"),
    ],
)
def test_a_header_that_lies_about_the_body_is_refused(
    served: Sandbox, one_row: Row, headers: dict[str, str], status: int, sentence: str
) -> None:
    answer = served.ask("POST", INFER, {"inputs": one_row}, headers)
    assert answer.status == status
    assert sentence in answer.body["error"]


def chunks(total: int) -> Iterator[bytes]:
    """`total` bytes in chunks of a megabyte, the last one shorter."""
    chunk = b" " * (1 << 20)
    for start in range(0, total, len(chunk)):
        yield chunk[: total - start]


def test_a_body_is_limited_however_it_comes(served: Sandbox, one_row: Row) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.environment.port, timeout=30)
    good = json.dumps({"inputs": one_row}).encode()
    for length in ({"Content-Length": str(BODY_LIMIT + 1)}, {}):
        body = chunks(BODY_LIMIT + 1)
        connection.request("POST", INFER, body, length, encode_chunked=not length)
        response = connection.getresponse()
        assert response.status == 413
        assert "64 MiB" in json.loads(response.read())["error"]
        connection.request("POST", INFER, good)
        response = connection.getresponse()
        assert response.status == 200, "the connection must be good for the next request"
        response.read()
    connection.close()


def test_a_body_may_come_in_chunks(served: Sandbox, one_row: Row) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.environment.port, timeout=30)
    body = json.dumps({"inputs": one_row}).encode()
    connection.request("POST", INFER, iter([body[:20], body[20:]]), encode_chunked=True)
    assert connection.getresponse().status == 200
    connection.close()


def test_a_number_that_grows_out_of_json_is_an_error_not_a_null(served: Sandbox) -> None:
    rows = [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [3e38, 1.0, 1.0]}]
    answer = served.ask("POST", INFER, {"inputs": rows})
    assert answer.status == 400
    assert 'output "y" has NaN or infinite' in answer.body["error"]


def test_an_error_of_the_request_leaves_the_connection_good(served: Sandbox, one_row: Row) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.environment.port, timeout=30)
    for body, status in ((b"{", 400), (json.dumps({"inputs": one_row}).encode(), 200)) * 3:
        connection.request("POST", INFER, body)
        response = connection.getresponse()
        assert response.status == status
        response.read()
    connection.close()
