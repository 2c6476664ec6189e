"""A client that means harm: it is refused with a sentence, and everybody else is still answered."""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlbench.serving.token import ensure_token, read_token
from tests.serving.conformance.asking import Asked, tensor
from tests.serving.http.talking import parse_head

if TYPE_CHECKING:
    from tests.serving.conftest import Sandbox

PATIENCE = 30.0
INFER = "/v2/models/multiplier/infer"
ROW = json.dumps({"inputs": [tensor("x", "FP32", [1, 3], [1, 2, 3])]}).encode()
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]


def connect(server: Asked) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.sandbox.environment.port), PATIENCE)


def say(server: Asked, data: bytes) -> list[tuple[int, bytes]]:
    """The status and body of every answer to what one connection sends, until it is closed."""
    with connect(server) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR) if not data else None
        received = b""
        while part := client.recv(1 << 16):
            received += part
    answers = []
    while received:
        head, _, received = received.partition(b"\r\n\r\n")
        status, headers = parse_head(head)
        size = 0 if data.startswith(b"HEAD") else int(headers.get("content-length", 0))
        answers.append((status, received[:size]))
        received = received[size:]
    return answers


def request(
    *lines: str, method: str = "GET", target: str = "/v2", host: str | None = "localhost"
) -> bytes:
    """A request that is the last of its connection."""
    first = [f"{method} {target} HTTP/1.1", *([f"Host: {host}"] if host is not None else [])]
    return "\r\n".join([*first, *lines, "Connection: close", "", ""]).encode("latin-1")


# Who may ask.


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.nip.example",
        "localhost.",
        "localhost:",
        "localhost:port",
        "localhost:123456",
        "localhost@evil.example",
        "evil.example@localhost",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0.0.0.0",
        "[::]",
        "::1",
        "[::1",
        "[::ffff:127.0.0.1]",
        "[::1]evil.example",
        "localhost, evil.example",
        "localhost evil.example",
        "loc\xe4lhost",
    ],
)
def test_other_names_are_refused_by_every_method(server: Asked, host: str) -> None:
    for method in METHODS:
        ((status, body),) = say(server, request(method=method, host=host))
        assert status in (400, 403)
        assert method == "HEAD" or list(json.loads(body)) == ["error"]


@pytest.mark.parametrize(
    "host", ["LOCALHOST", "LocalHost:99999", "127.0.0.1:1", "[::1]", "[::1]:1"]
)
def test_names_of_this_machine_are_taken_whatever_their_port(server: Asked, host: str) -> None:
    ((status, _),) = say(server, request(host=host))
    assert status == 200


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "",
        "http://localhost.evil.example",
        "http://localhost@evil.example",
        "http://evil.example#http://localhost",
        "http://localhost/",
        "chrome-extension://localhost",
        "http://localhost http://evil.example",
    ],
)
def test_pages_of_others_are_refused_by_every_method(server: Asked, origin: str) -> None:
    for method in METHODS:
        ((status, _),) = say(server, request(f"Origin: {origin}", method=method))
        assert status == 403
    both = request("Origin: http://localhost", f"Origin: {origin}")
    assert say(server, both)[0][0] == 403


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        ("http://localhost/v2", "localhost", 200),
        ("http://evil.example/v2", "localhost", 403),
        ("http://localhost/v2", "evil.example", 403),
        ("http://localhost@evil.example/v2", "localhost", 403),
        ("http://evil.example@localhost/v2", "localhost", 403),
        ("HTTP://LOCALHOST:8100/v2", "localhost", 200),
        ("http:///v2", "localhost", 403),
        ("ftp://localhost/v2", "localhost", 404),
        ("*", "localhost", 404),
        ("//localhost/v2", "localhost", 404),
        ("/v2\\..\\x", "localhost", 404),
        ("/v2/../v2", "localhost", 404),
        ("/%2e%2e/v2", "localhost", 404),
        ("/%76%32", "localhost", 200),
        ("/v2%00", "localhost", 404),
        ("/v2%0d%0aX-Injected:%20yes", "localhost", 404),
        ("/v2?" + "a" * 4000, "localhost", 200),
    ],
)
def test_targets_of_every_form(server: Asked, target: str, host: str, status: int) -> None:
    found = say(server, request(target=target, host=host))
    assert [each for each, _ in found] == [status]


@pytest.mark.parametrize("what", ["/feedback", "/load", "/unload"])
def test_the_token_is_asked_for_and_nothing_near_it_will_do(server: Asked, what: str) -> None:
    at = "/v2/models/multiplier" if what == "/feedback" else "/v2/repository/models/multiplier"
    token = server.trusted["Authorization"].removeprefix("Bearer ")
    near = ["", token[:-1], token + "0", token.upper(), f"{token} {token}", f'"{token}"', "\xfc"]
    for given in near:
        headers = {"Authorization": f"Bearer {given}"}
        reply = server.ask("POST", at + what, b"{}", headers)
        assert reply.status == 401
        assert "token" in reply.error
        assert reply.headers["www-authenticate"] == "Bearer"
    for scheme in ("Basic", "Token", ""):
        headers = {"Authorization": f"{scheme} {token}".strip()}
        assert server.ask("POST", at + what, b"{}", headers).status == 401
    assert server.ask("POST", f"{at}{what}?token={token}", b"{}").status == 401


def test_the_token_is_the_owners_alone_and_stands_in_no_log(server: Asked) -> None:
    layout = server.sandbox.layout
    token = read_token(layout.server_token)
    assert stat.S_IMODE(layout.server_token.stat().st_mode) == 0o600
    server.ask("POST", "/v2/repository/models/multiplier/load?x=1", b"[", server.trusted)
    written = [path for path in layout.serving.rglob("*") if path.is_file()]
    assert len(written) > 3
    assert [path for path in written if token.encode() in path.read_bytes()] == [
        layout.server_token
    ]
    for path in ("/metrics", "/v2", "/openapi.json", "/v2/models/multiplier/config"):
        assert token.encode() not in server.ask("GET", path, None, server.trusted).raw


def test_a_token_that_others_can_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("put here by hand")
    path.chmod(0o644)
    assert ensure_token(path) == "put here by hand"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


# Requests that two servers would read differently.

BODY = f"Content-Length: {len(ROW)}"
CHUNKED = "Transfer-Encoding: chunked"
SECOND = request(target="/v2/health/live")


@pytest.mark.parametrize(
    "lines",
    [
        [BODY, CHUNKED],
        [CHUNKED, BODY],
        [BODY, BODY],
        [BODY, "Content-Length: 0"],
        ["Content-Length: 0", BODY],
        [f"Content-Length: {len(ROW)}, {len(ROW)}"],
        [f"Content-Length: +{len(ROW)}"],
        ["Content-Length: -1"],
        ["Content-Length: 0x10"],
        ["Content-Length: 1e2"],
        ["Content-Length: 1 0"],
        ["Content-Length:"],
        ["Content-Length: 18446744073709551616"],
        [f"Content-Length : {len(ROW)}"],
        [f" Content-Length: {len(ROW)}"],
        [f"X: y\r\n Content-Length: {len(ROW)}"],
        [f"X: y\nContent-Length: {len(ROW)}"],
        [f"X: y\rContent-Length: {len(ROW)}"],
        [f"X\0: y\r\nContent-Length: {len(ROW)}"],
        ["Transfer-Encoding: xchunked"],
        ["Transfer-Encoding: chunked, identity"],
        ["Transfer-Encoding: identity"],
        ["Transfer-Encoding: \x0bchunked"],
        ["Transfer-Encoding: gzip", CHUNKED],
        [CHUNKED, CHUNKED],
        ["Transfer-Encoding : chunked"],
        ["Transfer-Encoding:\r\n chunked"],
    ],
)
def test_a_body_whose_end_is_not_clear_is_refused(server: Asked, lines: list[str]) -> None:
    first = ["POST /v2/models/multiplier/infer HTTP/1.1", "Host: localhost", *lines, "", ""]
    found = say(server, "\r\n".join(first).encode("latin-1") + ROW + SECOND)
    ((status, body),) = found
    assert status in (400, 413, 501)
    assert list(json.loads(body)) == ["error"]


@pytest.mark.parametrize(
    "chunks",
    [
        b"5;\r\nabcde\r\n0\r\n\r\nGET",
        b"zz\r\n",
        b"-5\r\nabcde\r\n0\r\n\r\n",
        b"0x5\r\nabcde\r\n0\r\n\r\n",
        b"+5\r\nabcde\r\n0\r\n\r\n",
        b" 5\r\nabcde\r\n0\r\n\r\n",
        b"5\nabcde\r\n0\r\n\r\n",
        b"5\r\nabcdeX0\r\n\r\n",
        b"5\r\nabcdef\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\na",
        b"5;" + b"a" * (70 << 20) + b"\r\nabcde\r\n0\r\n\r\n",
    ],
    ids=lambda chunks: repr(chunks[:24]),
)
def test_chunks_that_are_none(server: Asked, chunks: bytes) -> None:
    head = f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\n{CHUNKED}\r\n\r\n".encode()
    found = say(server, head + chunks)
    assert {status for status, _ in found} <= {400, 413}
    assert server.lives()


# Words that come back.


@pytest.mark.parametrize(
    "word",
    ["a\r\nX-Injected: yes\r\n\r\n", "\0", "\u2028</script>", '"},"error":"', "\ud7ff\U0010ffff"],
)
def test_a_word_comes_back_as_it_was_and_nowhere_but_in_json(server: Asked, word: str) -> None:
    row = tensor("x", "FP32", [1, 3], [1, 2, 3])
    reply = server.infer("multiplier", row, id=word)
    assert (reply.status, reply.json["id"]) == (200, word)
    assert "x-injected" not in reply.headers
    for body in (
        {"inputs": [{**row, "name": word}]},
        {"inputs": [{**row, "datatype": word}]},
        {"inputs": [row], "outputs": [{"name": word}]},
        {"inputs": [row], "parameters": {f"triton_{word}": 1}},
    ):
        reply = server.ask("POST", INFER, body)
        assert reply.status == 400
        assert "x-injected" not in reply.headers
        assert reply.error


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"\\ud800","inputs":[]}',
        b'{"id":"\xed\xa0\x80","inputs":[]}',
        b'\xef\xbb\xbf{"inputs":[]}',
        b'{"inputs":[]}\0',
        b"\xff\xfe{\0}\0",
        b'{"inputs":' + b"9" * 100_000 + b"}",
        b'{"inputs":[],"id":-' + b"9" * 400 + b"}",
        b'{"inputs":[],"id":1e999}',
        b'{"inputs":[NaN]}',
        b"[" * 2000,
        b'{"a":' * 150 + b"1" + b"}" * 150,
        b'"\\',
        b"\\" * 1000,
        b'{"id":"' + b"\\\\" * 60_000 + b'","inputs":' + b"[" * 101 + b"]" * 101 + b"}",
        b'{"inputs":[' + b"[]," * 1_000_001 + b"1]}",
    ],
    ids=lambda body: repr(body[:24]),
)
@pytest.mark.parametrize("path", [INFER, "/predict/multiplier", "/v2/repository/index"])
def test_json_that_is_none_or_too_much(server: Asked, path: str, body: bytes) -> None:
    # What is no JSON for inference may be an index of nothing: only a list is none for both.
    reply = server.ask("POST", path, body)
    is_harmless = path.endswith("index") and body.startswith(b'{"inputs":' + b"9")
    assert reply.status == 400 or is_harmless
    assert reply.error
    assert len(reply.error) < 400


# Beyond this machine.


@pytest.fixture(scope="module")
def reachable(make_sandbox: Callable[[], Sandbox]) -> Asked:
    """A server on all addresses, whose token the environment's file has."""
    sandbox = make_sandbox()
    settings = replace(sandbox.environment.settings, workers=1, host="0.0.0.0")
    sandbox.environment = replace(sandbox.environment, settings=settings)
    sandbox.serve(sandbox.model(3))
    return Asked(sandbox)


def test_elsewhere_all_but_health_asks_for_the_token(reachable: Asked) -> None:
    asked = [
        ("GET", "/v2"),
        ("GET", "/v2/models"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
        ("GET", "/nothing"),
        ("POST", INFER),
        ("POST", "/predict"),
        ("POST", "/v2/repository/index"),
        ("POST", "/v2/health/live/../../models"),
        ("OPTIONS", "/v2"),
    ]
    for method, path in asked:
        reply = reachable.ask(method, path, b"")
        assert (reply.status, "token" in reply.error) == (401, True)
    assert reachable.ask("POST", INFER, ROW, reachable.trusted).status == 200
    assert reachable.get("/v2/health/live").status == 200
    assert reachable.get("/v2/health/ready").status == 200
    ((status, _),) = say(reachable, request(target=INFER, host="localhost", method="POST"))
    assert status == 401
    assert os.path.exists(reachable.sandbox.layout.server_token)
