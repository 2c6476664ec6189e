"""Malformed, oversized and unwelcome requests get a status, a sentence, and a closed connection."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable

import pytest

from mlbench.serving.http.connection import SLOW_HEAD_SECONDS
from mlbench.serving.http.refusal import refusal
from mlbench.serving.refusals import RequestError
from tests.serving.http.talking import CLOSE, PATIENCE, SMALL, Served, get, post

CHUNKED = "Transfer-Encoding: chunked"


def head(*lines: str) -> bytes:
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


MALFORMED = {
    "no method": b"\r\nnonsense\r\n\r\n",
    "binary": bytes(range(256)),
    "newlines alone": b"GET /x HTTP/1.1\nHost: localhost\n\n",
    "space in a name": get("/x", "A : b"),
    "folded header": get("/x", "A: b\r\n c"),
    "both lengths": get("/x", "Content-Length: 3", CHUNKED, method="POST"),
    "two lengths": get("/x", "Content-Length: 3", "Content-Length: 4", method="POST"),
    "signed length": get("/x", "Content-Length: +3", method="POST"),
    "length beyond 64 bits": get("/x", "Content-Length: " + "9" * 30, method="POST"),
    "old chunks": head("POST /x HTTP/1.0", CHUNKED) + b"0\r\n\r\n",
    "bad chunk": get("/x", CHUNKED, method="POST") + b"zz\r\n",
    "no host": head("GET /x HTTP/1.1"),
    "two hosts": get("/x", "Host: localhost"),
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_http_is_a_400(served: Served, name: str) -> None:
    (answer,) = served.ask(MALFORMED[name])
    assert (answer.status, answer.headers["connection"]) == (400, "close")
    assert answer.headers["content-type"] == "application/json"
    assert answer.error
    assert served.begun == []
    assert served.refused == [400]


REFUSED = {
    "foreign host": (get("/x", host="evil.example"), 403, "must name this machine"),
    "foreign origin": (get("/x", "Origin: http://evil.example"), 403, "pages of other sites"),
    "no token": (post("/v2/models/m/feedback", b"{}"), 401, "needs the server's token"),
    "long path": (get("/" + "a" * 600), 414, "longer than 512 bytes"),
    "long path that never ends": (b"GET /" + b"a" * 600, 414, "longer than 512 bytes"),
    "long header": (get("/x", "A: " + "b" * 3000), 431, "larger than 2 KiB"),
    "many headers": (get("/x", *["A: b"] * 500), 431, "larger than 2 KiB"),
    "long body": (post("/x", b"a" * (1 << 20) + b"a"), 413, "larger than 1 MiB"),
    "expectation": (get("/x", "Expect: magic", method="POST"), 417, "only 100-continue"),
    "transfer": (
        get("/x", "Transfer-Encoding: gzip, chunked", method="POST"),
        501,
        "only chunked",
    ),
    "transfer in two headers": (
        get("/x", "Transfer-Encoding: gzip", CHUNKED, method="POST"),
        501,
        "only chunked",
    ),
    "encoding": (post("/x", b"abc", "Content-Encoding: br"), 501, 'encoding "br"'),
    "encodings": (
        post("/x", b"abc", "Content-Encoding: gzip", "Content-Encoding: gzip"),
        501,
        'encoding "gzip,gzip"',
    ),
    "websocket": (
        get("/x", "Upgrade: websocket", "Connection: Upgrade"),
        501,
        "WebSockets are not spoken",
    ),
    "connect": (get("localhost:80", method="CONNECT"), 405, "no proxy"),
    "http/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "HTTP/2 is not spoken"),
    "http/3": (head("GET / HTTP/3.0", "Host: localhost"), 505, "HTTP/1.1"),
    "http/0.9": (b"GET /x\r\n\r\n", 505, "HTTP/0.9 is not spoken"),
    "header length": (
        post("/x", b"abc", "Inference-Header-Content-Length: three"),
        400,
        '"three", not the number of bytes',
    ),
    "header lengths": (
        post("/x", b"abc", *["Inference-Header-Content-Length: 3"] * 2),
        400,
        "not the number of bytes",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_why_and_closes(served: Served, name: str) -> None:
    request, status, sentence = REFUSED[name]
    (answer,) = served.ask(request)
    assert (answer.status, answer.headers["connection"]) == (status, "close")
    assert sentence in answer.error
    assert served.begun == []


KEPT = {
    "header length beyond the body": (
        post("/x", b"abc", "Inference-Header-Content-Length: 4"),
        400,
        "the body has only 3 bytes",
    ),
    "damaged": (
        post("/x", b"abcdefgh", "Content-Encoding: gzip"),
        400,
        "not valid gzip",
    ),
    "cut short": (
        post("/x", gzip.compress(b"abc")[:-1], "Content-Encoding: gzip"),
        400,
        "cut short",
    ),
    "goes on": (
        post("/x", zlib.compress(b"abc") + b"d", "Content-Encoding: deflate"),
        400,
        "goes on",
    ),
    "small bomb": (
        post("/x", gzip.compress(bytes(2 << 20)), "Content-Encoding: gzip"),
        413,
        "larger than 1 MiB when decompressed",
    ),
    "large bomb": (
        post("/x", gzip.compress(bytes(20 << 20)), "Content-Encoding: gzip"),
        413,
        "larger than 1 MiB when decompressed",
    ),
}


@pytest.mark.parametrize("name", KEPT)
def test_a_whole_request_that_is_refused_leaves_its_connection_good(
    served: Served, name: str
) -> None:
    request, status, sentence = KEPT[name]
    with served.connect() as client:
        client.send(request + get("/y"))
        answer = client.read()
        assert (answer.status, sentence in answer.error) == (status, True)
        assert client.read().json["path"] == "/y"
    assert served.refused == [status]


def test_a_refusal_waits_for_the_answers_before(served: Served) -> None:
    with served.connect() as client:
        client.send(get("/later") + get("/hold") + b"nonsense" + get("/never"))
        assert client.read().headers["x-path"] == "/later"
        served.release()
        assert client.read().headers["x-path"] == "/hold"
        assert client.read().status == 400
        assert client.is_closed()
    assert "/never" not in served.begun


def test_chunks_beyond_the_limit_are_refused_while_they_come(served: Served) -> None:
    with served.connect() as client:
        client.send(get("/x", CHUNKED, method="POST") + b"10000\r\n" + b"a" * 0x10000 + b"\r\n")
        for _ in range(16):
            client.send(b"10000\r\n" + b"a" * 0x10000 + b"\r\n")
        assert client.read().status == 413


@pytest.mark.parametrize(
    "endless",
    [
        get("/x", CHUNKED, method="POST") + b"1;" + b"e" * (2 << 20),
        get("/x", CHUNKED, method="POST") + b"1\r\na\r\n0\r\nX: " + b"t" * (2 << 20),
    ],
    ids=["extension", "trailer"],
)
def test_what_is_no_body_counts_on_the_wire_too(served: Served, endless: bytes) -> None:
    (answer,) = served.ask(endless)
    assert answer.status == 413


@pytest.mark.parametrize("part", [b"X-Long: ", b"X"], ids=["value", "name"])
def test_a_header_that_never_ends_is_refused_while_it_comes(served: Served, part: bytes) -> None:
    with served.connect() as client:
        client.send(b"GET /x HTTP/1.1\r\nHost: localhost\r\n" + part)
        try:
            for _ in range(64):
                client.send(b"x" * 1024)
        except (BrokenPipeError, ConnectionResetError):
            raise AssertionError("the refusal was lost") from None
        assert client.read().status == 431


def test_too_many_connections(make_served: Callable[..., Served]) -> None:
    served = make_served(connections=2)
    with served.connect() as one, served.connect() as two:
        one.send(get("/hold"))
        two.send(get("/x")[:-2])
        served.until(lambda: not any(each.is_idle for each in served.server._open))
        with served.connect() as three:
            answer = three.read()
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert "too many connections" in answer.error
            assert three.is_closed()
        two.send(b"\r\n")
        assert two.read().status == 200
        # Now the second is idle, and has to make room.
        with served.connect() as four:
            four.send(get("/x"))
            assert four.read().status == 200
        assert two.is_closed()
        served.release()
        assert one.read().status == 200
    assert served.refused == [503]


def test_too_many_large_bodies_at_once(make_served: Callable[..., Served]) -> None:
    served = make_served(held_bytes=500_000)
    large = post("/hold", b"a" * 300_000)
    with served.connect() as one, served.connect() as two, served.connect() as three:
        one.send(large)
        assert served.held.wait(PATIENCE)
        two.send(post("/x", b"a" * 250_000)[:-1])
        answer = two.read()
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert "too many large bodies" in answer.error
        # What is small has its place, and what was given back is free again.
        three.send(get("/x"))
        assert three.read().status == 200
        served.release()
        assert one.read().status == 200
        one.send(post("/x", b"a" * 400_000))
        assert one.read().status == 200
    served.until(lambda: served.server.held == 0)


def test_a_body_counts_as_long_as_it_is_decompressed(make_served: Callable[..., Served]) -> None:
    served = make_served()
    packed = gzip.compress(bytes(range(256)) * 4000)
    with served.connect() as client:
        client.send(post("/hold", packed, "Content-Encoding: gzip"))
        assert served.held.wait(PATIENCE)
        assert served.call(lambda: served.server.held) == 256 * 4000
    assert served.cancelled.wait(PATIENCE)
    served.until(lambda: served.server.held == 0)


def test_bodies_that_grow_are_refused_where_too_much_is_held(
    make_served: Callable[..., Served],
) -> None:
    served = make_served(held_bytes=1_500_000)
    packed = gzip.compress(bytes(range(256)) * 4000)
    request = post("/hold", packed, "Content-Encoding: gzip")
    with served.connect() as one, served.connect() as two, served.connect() as three:
        one.send(request)
        served.until(lambda: served.server.held == 256 * 4000)
        two.send(request)
        served.until(lambda: served.server.held == 2 * 256 * 4000)
        three.send(request)
        answer = three.read()
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert "too many large bodies" in answer.error
        served.release()
        assert one.read().status == two.read().status == 200
        three.send(request)
        assert three.read().status == 200


def test_a_slow_request_gives_way_where_there_is_no_room(
    make_served: Callable[..., Served],
) -> None:
    served = make_served(connections=1)
    with served.connect() as slow:
        slow.send(get("/x")[:-2])
        served.until(lambda: any(not each.is_idle for each in served.server._open))
        with served.connect() as early:
            assert early.read().status == 503
        served.advance(SLOW_HEAD_SECONDS)
        with served.connect() as late:
            late.send(get("/x"))
            assert late.read().status == 200
        answer = slow.read()
        assert answer.status == 408
        assert "came slowly" in answer.error


def test_a_slow_body_gives_way_later_than_a_slow_head(make_served: Callable[..., Served]) -> None:
    served = make_served(connections=1)
    with served.connect() as slow:
        slow.send(post("/x", b"abc")[:-1])
        served.until(lambda: any(not each.is_idle for each in served.server._open))
        served.advance(SMALL.header_seconds - 0.5)
        with served.connect() as early:
            assert early.read().status == 503
        served.advance(0.5)
        with served.connect() as late:
            late.send(get("/x"))
            assert late.read().status == 200
        assert slow.read().status == 408


@pytest.mark.parametrize("name", ["foreign host", "foreign origin", "no token", "expectation"])
def test_a_refusal_of_head_has_no_body(served: Served, name: str) -> None:
    request = REFUSED[name][0]
    method = request.split(b" ")[0]
    with served.connect() as client:
        client.send(request.replace(method, b"HEAD", 1))
        answer = client.read(head_only=True)
        assert answer.status == REFUSED[name][1]
        assert int(answer.headers["content-length"]) > 0
        assert client.is_closed()


def test_the_body_of_a_refusal() -> None:
    reply = refusal(RequestError(405, "no “such” \ud800 thing", "GET, HEAD"))
    assert json.loads(reply.body) == {"error": "no “such” ? thing"}
    assert dict(reply.headers)[b"allow"] == b"GET, HEAD"
    assert dict(refusal(RequestError(401, "")).headers)[b"www-authenticate"] == b"Bearer"


def test_an_answer_before_close_is_the_last(served: Served) -> None:
    assert [
        answer.json["path"] for answer in served.ask(get("/a") + get("/b", CLOSE) + get("/c"))
    ] == [
        "/a",
        "/b",
    ]
