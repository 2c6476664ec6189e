"""Bombs, and clients by the hundred that are slow or silent: everybody else is still answered."""

from __future__ import annotations

import gzip
import json
import resource
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.serving.conformance.asking import Asked, tensor

if TYPE_CHECKING:
    from tests.serving.conftest import Sandbox

PATIENCE = 30.0
INFER = "/v2/models/multiplier/infer"
ROW = json.dumps({"inputs": [tensor("x", "FP32", [1, 3], [1, 2, 3])]}).encode()


def connect(server: Asked) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.sandbox.environment.port), PATIENCE)


@pytest.fixture(scope="module")
def lone(make_sandbox: Callable[[], Sandbox]) -> Asked:
    """A server of one worker that takes 64 connections."""
    sandbox = make_sandbox()
    settings = replace(sandbox.environment.settings, workers=1, connections=64)
    sandbox.environment = replace(sandbox.environment, settings=settings)
    sandbox.serve(sandbox.model(3))
    return Asked(sandbox)


def peak(server: Asked) -> int:
    """The most memory in bytes that the worker has ever had."""
    (worker,) = server.sandbox.status().workers
    with open(f"/proc/{worker}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) * 1024


@pytest.mark.parametrize("packs", [1, 2])
def test_bombs_are_no_more_than_a_refusal(lone: Asked, packs: int) -> None:
    bomb = bytes(256 << 20)
    for _ in range(packs):
        bomb = gzip.compress(bomb, 9)
    headers = {"Content-Encoding": "gzip"}
    reply = lone.ask("POST", INFER, bomb, headers)
    assert reply.status == (413 if packs == 1 else 400)
    twice = {"Content-Encoding": "gzip, gzip"}
    assert lone.ask("POST", INFER, bomb, twice).status == 501
    assert lone.lives()


@pytest.mark.long
def test_many_bodies_that_grow_to_the_limit_take_their_turn(lone: Asked) -> None:
    big = gzip.compress(ROW + b" " * ((60 << 20) - len(ROW)), 1)
    before = peak(lone)

    def ask(_: int) -> int:
        return lone.ask("POST", INFER, big, {"Content-Encoding": "gzip"}).status

    with ThreadPoolExecutor(50) as clients:
        asked = clients.map(ask, range(50))
        for _ in range(20):
            assert lone.get("/v2/health/live").status == 200
        assert set(asked) <= {200, 503, 504}
    assert peak(lone) - before < 900 << 20
    assert lone.lives()


def test_slow_clients_give_way_to_others(lone: Asked) -> None:
    heads = [b"GET /v2 HTTP/1.1\r\nHost: lo", f"POST {INFER} HTTP/1.1\r\nHost: ".encode()]
    slow = [connect(lone) for _ in range(200)]
    try:
        for place, client in enumerate(slow):
            client.sendall(heads[place % 2])
        # As soon as these have been slow for a second; until then there is no room.
        deadline = time.monotonic() + PATIENCE
        while (status := lone.get("/v2/health/live").status) != 200:
            assert status == 503
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        for client in slow:
            client.close()
    assert lone.lives()


def test_two_thousand_connections_that_say_nothing_keep_nobody_out(lone: Asked) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4000:
        pytest.skip("this machine gives too few descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4000), hard))
    silent: list[socket.socket] = []
    before = peak(lone)
    try:
        for turn in range(2000):
            silent.append(connect(lone))
            if turn % 250 == 249:
                assert lone.get("/v2/health/live").status == 200
                assert lone.ask("POST", INFER, ROW).status == 200
    finally:
        for client in silent:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert peak(lone) - before < 100 << 20
    assert lone.lives()


def test_long_bodies_are_answered_like_others(lone: Asked) -> None:
    rows = 100_000
    numbers = [float(number) for number in range(3 * rows)]
    row = tensor("x", "FP32", [rows, 3], numbers)
    reply = lone.infer("multiplier", row, id="long")
    assert (reply.status, reply.json["id"]) == (200, "long")
    assert reply.data("y")[-1] == 3 * numbers[-1]
    records = [{"x": numbers[3 * place : 3 * place + 3]} for place in range(rows)]
    given: Any = lone.ask("POST", "/predict", records).json
    assert len(given["predictions"]) == rows
    assert given["predictions"][-1] == {"y": [3 * number for number in numbers[-3:]]}
    row["data"][7] = "7"
    reply = lone.infer("multiplier", row)
    assert (reply.status, reply.error.split(":")[0]) == (400, 'input "x"')
