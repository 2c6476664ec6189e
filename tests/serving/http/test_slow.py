"""Clients that take their time, and a server that ends."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import threading
from collections.abc import Callable

import pytest

from mlbench.serving.http.connection import LINGER_SECONDS
from tests.serving.http.talking import CLOSE, PATIENCE, SMALL, Served, get, post


def phase(served: Served) -> int:
    return int(next(iter(served.server._open))._receiver.phase)


@pytest.mark.parametrize("start", [b"G", get()[:-2], b"GET /x HTTP/1.1\r\nHost: lo"])
def test_headers_must_come_in_time(served: Served, start: bytes) -> None:
    with served.connect() as client:
        client.send(start[:1])
        served.until(lambda: bool(served.server._open) and phase(served) == 1)
        served.advance(SMALL.header_seconds - 1)
        # More bytes are no more time.
        client.send(start[1:] or b"E")
        served.advance(0.5)
        assert served.refused == []
        served.advance(0.5)
        answer = client.read()
        assert answer.status == 408
        assert "the headers did not come within 5 seconds" in answer.error
        assert client.is_closed()


def test_the_body_must_come_in_time(served: Served) -> None:
    with served.connect() as client:
        request = post("/x", b"abcdef")
        client.send(request[:-3])
        served.until(lambda: bool(served.server._open) and phase(served) == 2)
        served.advance(SMALL.body_seconds - 1)
        client.send(request[-3:-1])
        served.advance(1)
        answer = client.read()
        assert answer.status == 408
        assert "the body did not come within 30 seconds" in answer.error


@pytest.mark.parametrize("asked", [0, 1])
def test_an_idle_connection_is_closed_without_a_word(served: Served, asked: int) -> None:
    with served.connect() as client:
        served.until(lambda: bool(served.server._open))
        for _ in range(asked):
            served.advance(SMALL.idle_seconds - 1)
            client.send(get())
            assert client.read().status == 200
        served.advance(SMALL.idle_seconds - 1)
        assert served.call(lambda: served.server.open_connections) == 1
        served.advance(1)
        assert client.is_closed()
    assert served.refused == []


def test_an_answer_may_take_its_time(served: Served) -> None:
    with served.connect() as client:
        client.send(get("/hold"))
        assert served.held.wait(PATIENCE)
        served.advance(10_000)
        served.release()
        assert client.read().status == 200


def test_a_client_that_does_not_read_its_answers_is_dropped(served: Served) -> None:
    with served.connect() as client:
        client.send(get("/big?1000000") * 100)
        served.until(lambda: bool(served.server._open))
        (connection,) = served.call(lambda: list(served.server._open))
        served.until(lambda: connection._is_stalled)
        assert len(served.begun) < 50
        served.advance(SMALL.body_seconds - 1)
        assert served.call(lambda: served.server.open_connections) == 1
        served.advance(1)
        served.until(lambda: served.server.open_connections == 0)


def test_answers_that_nobody_reads_take_room_from_large_bodies(
    make_served: Callable[..., Served],
) -> None:
    served = make_served(held_bytes=2_000_000)
    with served.connect() as one, served.connect() as two:
        one.send(get("/big?16000000"))
        served.until(lambda: served.server.held > 2_000_000)
        two.send(post("/x", b"a" * 400_000)[:-1])
        assert two.read().status == 503
        assert len(one.read().body) == 16_000_002
        served.until(lambda: served.server.held == 0)
    with served.connect() as three:
        three.send(get("/big?16000000"))
        served.until(lambda: served.server.held > 2_000_000)
    served.until(lambda: served.server.held == 0)


def test_one_that_reads_late_gets_all_of_them(served: Served) -> None:
    with served.connect() as client:
        client.send(get("/big?1000000") * 30)
        served.until(lambda: any(each._is_stalled for each in served.server._open))
        assert [len(client.read().body) for _ in range(30)] == [1_000_002] * 30
        client.send(get())
        assert client.read().status == 200


def test_a_refused_client_is_not_waited_for_without_end(served: Served) -> None:
    with served.connect() as client:
        client.send(b"nonsense\r\n\r\n")
        assert client.read().status == 400
        served.until(lambda: len(served.server._leaving) == 1)
        client.send(b"more nonsense")
        served.advance(LINGER_SECONDS)
        served.until(lambda: not served.server._leaving)


def test_without_descriptors_a_client_waits_until_there_are_some(served: Served) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as client:
        client.settimeout(PATIENCE)
        free = os.dup(client.fileno())
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
        try:
            client.connect(("127.0.0.1", served.port))
            served.until(lambda: not served.server._is_listening)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        served.advance(1)
        client.sendall(get("/x", CLOSE))
        assert client.recv(12) == b"HTTP/1.1 200"


def test_a_server_that_ends_lets_requests_end(served: Served) -> None:
    with served.connect() as idle, served.connect() as busy, served.connect() as begun:
        busy.send(get("/hold") + get("/after"))
        begun.send(get()[:-2])
        assert served.held.wait(PATIENCE)
        served.until(lambda: served.server.open_connections == 3)
        served.until(lambda: sum(each.is_idle for each in served.server._open) == 1)
        finished = served.soon(served.server.finish(PATIENCE))
        assert idle.is_closed()
        served.release()
        begun.send(b"\r\n")
        last = begun.read()
        assert (last.status, last.headers["connection"]) == (200, "close")
        said = [busy.read(), busy.read()]
        assert [each.headers["x-path"] for each in said] == ["/hold", "/after"]
        assert [each.headers.get("connection") for each in said] == [None, "close"]
        finished.result(PATIENCE)
        assert served.server.open_connections == 0


def test_what_was_sent_before_a_server_ends_is_answered(served: Served) -> None:
    """Also on connections that nobody has accepted yet, and by clients that were idle."""
    # The loop stands still meanwhile: it sees nothing of what is sent.
    go_on = threading.Event()
    with served.connect() as idle, contextlib.ExitStack() as opened:
        idle.send(get())
        assert idle.read().status == 200
        served.loop.call_soon_threadsafe(go_on.wait, PATIENCE)
        fresh = [opened.enter_context(served.connect()) for _ in range(3)]
        for client in (idle, *fresh):
            client.send(get("/last"))
        finished = served.soon(served.server.finish(PATIENCE))
        go_on.set()
        assert [client.read().status for client in (idle, *fresh)] == [200] * 4
        assert all(client.is_closed() for client in (idle, *fresh))
        finished.result(PATIENCE)
    with pytest.raises(ConnectionRefusedError):
        served.connect()


def test_what_does_not_end_is_aborted(served: Served) -> None:
    with served.connect() as client:
        client.send(get("/hold"))
        assert served.held.wait(PATIENCE)
        served.wait(served.server.finish(0.01))
        assert client.is_closed()
        assert served.cancelled.wait(PATIENCE)
