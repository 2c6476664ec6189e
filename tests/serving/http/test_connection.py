"""What real clients do on a connection: keep it, pipeline, wait to be asked, go away."""

from __future__ import annotations

import gzip
import http.client
import shutil
import socket
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.serving.http.talking import CLOSE, PATIENCE, TOKEN, Served, get, post


def test_a_request_reaches_the_application_whole(served: Served) -> None:
    request = post(
        "/a%20b?c=d#e",
        b"hello",
        "Inference-Header-Content-Length: 3",
        "Accept-Encoding: deflate",
        f"Authorization: Bearer {TOKEN}",
        CLOSE,
    )
    (answer,) = served.ask(request)
    assert answer.status == 200
    assert answer.json == {
        "method": "POST",
        "path": "/a%20b",
        "query": "c=d",
        "body": "hello",
        "header_length": 3,
        "accepts": "deflate",
        "trusted": True,
    }
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["connection"] == "close"
    assert answer.headers["date"].endswith("GMT")


def test_a_kept_connection_answers_again_and_again(served: Served) -> None:
    with served.connect() as client:
        for number in (1, 2, 2, 3, 10, 10):
            client.send(post("/x", b"b" * number))
            answer = client.read()
            assert answer.json["body"] == "b" * number
            assert "connection" not in answer.headers
        assert served.call(lambda: served.server.open_connections) == 1


def test_the_same_head_means_the_same_again_whatever_lies_between(served: Served) -> None:
    with served.connect() as client:
        for request in (
            post("/a", b"one"),
            post("/a", b"two"),
            get("/b"),
            post("/a", b"six"),
            post("/a", b"ten", f"Authorization: Bearer {TOKEN}"),
            post("/a", b"six"),
        ):
            client.send(request)
        said = [client.read().json for _ in range(6)]
    assert [each["body"] for each in said] == ["one", "two", "", "six", "ten", "six"]
    assert [each["trusted"] for each in said] == [False, False, False, False, True, False]


def test_old_clients_close_unless_they_ask_to_keep(served: Served) -> None:
    with served.connect() as client:
        client.send(b"GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert client.read().headers["connection"] == "keep-alive"
        client.send(b"GET /x HTTP/1.0\r\n\r\n")
        assert client.read().headers["connection"] == "close"
        assert client.is_closed()


def test_a_pipeline_is_answered_in_order_though_some_take_longer(served: Served) -> None:
    paths = ["/1", "/later", "/hold", "/2", "/later", "/fail", "/3"]
    with served.connect() as client:
        client.send(b"".join(post(path, b"x") for path in paths))
        assert [client.read().headers["x-path"] for _ in "12"] == ["/1", "/later"]
        assert served.held.wait(PATIENCE)
        assert served.begun == ["/1", "/later", "/hold"]
        served.release()
        said = [client.read() for _ in range(5)]
    assert [answer.headers.get("x-path") for answer in said] == [
        "/hold",
        "/2",
        "/later",
        None,
        "/3",
    ]
    assert said[3].status == 500


def send_without_end(client: socket.socket) -> None:
    for _ in range(10_000):
        client.send(get("/x") * 1000)


def test_what_waits_behind_an_answer_is_bounded(served: Served) -> None:
    with served.connect() as client:
        client.send(get("/hold"))
        assert served.held.wait(PATIENCE)
        (connection,) = served.call(lambda: list(served.server._open))
        client.send(get("/x") * 10)
        served.until(lambda: connection._is_paused)
        client.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            send_without_end(client.socket)
        assert served.call(lambda: len(connection._queue)) == 10
        client.socket.settimeout(PATIENCE)
        served.release()
        assert client.read().headers["x-path"] == "/hold"
        assert client.read().headers["x-path"] == "/x"


def test_chunks_are_one_body_and_trailers_are_ignored(served: Served) -> None:
    request = get("/x", "Transfer-Encoding: chunked", CLOSE, method="POST")
    chunks = b"3;note=1\r\nabc\r\n2\r\nde\r\n0\r\nHost: evil.example\r\nX: y\r\n\r\n"
    (answer,) = served.ask(request + chunks)
    assert answer.json["body"] == "abcde"


def test_the_body_is_asked_for_where_the_client_waits(served: Served) -> None:
    with served.connect() as client:
        client.send(get("/x", "Content-Length: 3", "Expect: 100-continue", method="POST"))
        assert client.read().status == 100
        client.send(b"abc")
        assert client.read().json["body"] == "abc"


def test_it_is_asked_for_only_after_the_answers_before(served: Served) -> None:
    with served.connect() as client:
        waiting = get("/x", "Content-Length: 3", "Expect: 100-continue", method="POST")
        client.send(get("/hold") + waiting)
        assert served.held.wait(PATIENCE)
        served.release()
        assert client.read().headers["x-path"] == "/hold"
        assert client.read().status == 100
        client.send(b"abc")
        assert client.read().json["body"] == "abc"


def test_a_refusal_comes_instead_of_asking(served: Served) -> None:
    with served.connect() as client:
        client.send(get("/x", "Content-Length: 9999999", "Expect: 100-continue", method="POST"))
        assert client.read().status == 413
        assert client.is_closed()


def test_head_has_the_length_and_no_body(served: Served) -> None:
    with served.connect() as client:
        client.send(get("/x", method="HEAD"))
        answer = client.read(head_only=True)
        client.send(get("/x"))
        assert int(answer.headers["content-length"]) == len(client.read().body) + len("HEAD") - 3


@pytest.mark.parametrize("offer", ["h2c", "TLS/1.3", "h2c, other"])
@pytest.mark.parametrize("chunked", [False, True])
def test_an_offered_protocol_is_left_unused(served: Served, offer: str, chunked: bool) -> None:
    upgrade = (f"Upgrade: {offer}", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMA")
    chunks = b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    request = (
        get("/x", *upgrade, "Transfer-Encoding: chunked", method="POST") + chunks
        if chunked
        else post("/x", b"abc", *upgrade)
    )
    with served.connect() as client:
        client.send(request * 3 + get("/y", *upgrade) + get("/z"))
        said = [client.read().json for _ in range(5)]
    assert [(each["path"], each["body"]) for each in said] == [("/x", "abc")] * 3 + [
        ("/y", ""),
        ("/z", ""),
    ]


def test_the_absolute_form_names_the_same_path(served: Served) -> None:
    (answer,) = served.ask(get("http://localhost:1/x?y", CLOSE))
    assert (answer.json["path"], answer.json["query"]) == ("/x", "y")
    (refused,) = served.ask(get("http://evil.example/x"))
    assert refused.status == 403


@pytest.mark.parametrize("name", ["gzip", "deflate"])
@pytest.mark.parametrize("size", [3, 100_000])
def test_a_compressed_body_arrives_plain(served: Served, name: str, size: int) -> None:
    body = bytes(32 + number * number % 89 for number in range(size))
    packed = gzip.compress(body) if name == "gzip" else zlib.compress(body)
    (answer,) = served.ask(post("/x", packed, f"Content-Encoding: {name}", CLOSE))
    assert answer.json["body"].encode() == body


@pytest.mark.parametrize("name", ["gzip", "deflate"])
@pytest.mark.parametrize("size", [8192, 200_000])
def test_a_large_answer_is_compressed_for_who_asks(served: Served, name: str, size: int) -> None:
    with served.connect() as client:
        client.send(get(f"/big?{size}", f"Accept-Encoding: {name}"))
        packed = client.read()
        client.send(get(f"/big?{size}"))
        plain = client.read()
        client.send(get("/x", f"Accept-Encoding: {name}"))
        small = client.read()
    assert packed.headers["content-encoding"] == name
    assert packed.headers["vary"] == "accept-encoding"
    assert zlib.decompress(packed.body, 47) == plain.body
    assert "content-encoding" not in plain.headers
    assert "content-encoding" not in small.headers


def test_an_answer_whose_client_went_is_cancelled(served: Served) -> None:
    with served.connect() as client:
        client.send(get("/hold"))
        assert served.held.wait(PATIENCE)
    assert served.cancelled.wait(PATIENCE)
    served.until(lambda: served.server.open_connections == 0)
    assert served.refused == []


def test_an_answer_that_fails_is_a_500_with_a_sentence(served: Served) -> None:
    (answer,) = served.ask(get("/fail", CLOSE))
    assert answer.status == 500
    assert answer.error == "the server failed: ValueError; its log says where"
    assert served.refused == [500]


def test_answers_are_sent_without_delay(served: Served) -> None:
    with served.connect() as client:
        client.send(get())
        client.read()
        (connection,) = served.call(lambda: list(served.server._open))
        accepted = connection._transport.get_extra_info("socket")
        assert served.call(lambda: accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))


def test_it_listens_on_ipv6(make_served: Callable[..., Served]) -> None:
    served = make_served(family=socket.AF_INET6)
    (answer,) = served.ask(get("/x", CLOSE, host=f"[::1]:{served.port}"))
    assert answer.status == 200


def test_pythons_client(served: Served) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=PATIENCE)
    for body in (b"a", b"b" * 100_000, b""):
        connection.request("POST", "/x", body)
        response = connection.getresponse()
        assert response.read().count(b"b") >= len(body.strip(b"a"))
    connection.request("POST", "/x", iter([b"a", b"b"]), encode_chunked=True)
    assert b'"body": "ab"' in connection.getresponse().read()
    connection.request("POST", "/x", bytes(2 << 20))
    response = connection.getresponse()
    assert (response.status, b"larger than 1 MiB" in response.read()) == (413, True)
    connection.close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(served: Served, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{served.port}"
    (tmp_path / "ok").write_bytes(b"a" * (1 << 20))
    (tmp_path / "long").write_bytes(b"a" * (3 << 20))

    def curl(*words: str) -> str:
        words = ("curl", "-sS", "-m", str(PATIENCE), "-w", " %{http_code}", *words)
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout

    assert curl("--http2", "-d", "abc", f"{url}/x").endswith(" 200")
    assert curl("--compressed", f"{url}/big?100000").count("0123456789abcdef") == 6250
    # Over a megabyte, curl waits to be asked: here for the body, or for the refusal.
    assert (
        curl("-H", "Expect: 100-continue", "-T", str(tmp_path / "ok"), f"{url}/x").count("a")
        > 1 << 20
    )
    assert curl("-T", str(tmp_path / "long"), f"{url}/x").endswith(" 413")
    assert curl("-H", "Expect:", "-T", str(tmp_path / "long"), f"{url}/x").endswith(" 413")
    assert curl("-I", f"{url}/x").endswith(" 200")
