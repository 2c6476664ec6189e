"""A server from start to stop: its lock, its port, its state, and what signals do to it."""

from __future__ import annotations

import errno
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlbench.domain.errors import PortTakenError, ServingError, UsageError
from mlbench.serving import client, supervise
from mlbench.serving.port import listen
from mlbench.serving.state import read_state
from mlbench.serving.waiting import until
from mlbench.system.locks import is_held

if TYPE_CHECKING:
    from tests.serving.conftest import Sandbox

Row = list[dict[str, Any]]
HOME = Path(supervise.__file__).parents[2]  # the mlbench under test, installed or not


def foreground(sandbox: Sandbox, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a server that is expected to end by itself."""
    command = [sys.executable, "-m", "mlbench.serving", "staging", *arguments]
    return subprocess.run(
        [*command, "--root", str(sandbox.layout.root)],
        capture_output=True,
        text=True,
        cwd=HOME,
        timeout=60,
        check=False,
    )


def events(sandbox: Sandbox) -> list[str]:
    text = sandbox.layout.server_log("staging").read_text()
    return [json.loads(line)["event"] for line in text.splitlines()]


def test_a_server_waits_for_its_first_deployment(sandbox: Sandbox) -> None:
    assert sandbox.status().pid is None
    status = supervise.ensure_up(sandbox.layout, sandbox.environment)
    assert status.pid is not None
    assert (status.serving, status.deployed, status.error) == ({}, {}, "")
    assert client.live(status.address)
    assert not client.ready(status.address)
    assert sandbox.serve(sandbox.model(1)).pid == status.pid
    assert client.ready(status.address)


def test_a_whole_life(sandbox: Sandbox) -> None:
    up = sandbox.serve(sandbox.model(1))
    again = supervise.ensure_up(sandbox.layout, sandbox.environment)
    assert again == up
    assert up.address == f"http://127.0.0.1:{sandbox.environment.port}"
    state = read_state(sandbox.layout.server_state("staging"))
    assert state is not None
    assert (state.pid, state.order, state.serving) == (up.pid, 1, {"multiplier": 1})
    assert supervise.stop(sandbox.layout, sandbox.environment)
    assert not supervise.stop(sandbox.layout, sandbox.environment)
    assert not sandbox.layout.server_state("staging").exists()
    down = sandbox.status()
    assert (down.pid, down.serving, down.deployed) == (None, {}, {"multiplier": 1})
    assert events(sandbox)[0] == "listening"
    assert events(sandbox)[-1] == "stopped"


def test_a_taken_port_is_named_with_its_remedy(sandbox: Sandbox) -> None:
    port = sandbox.environment.port
    with socket.create_server(("127.0.0.1", port)):
        with pytest.raises(PortTakenError) as taken:
            supervise.ensure_up(sandbox.layout, sandbox.environment)
        ended = foreground(sandbox, "--port", str(port))
    sentence = (
        f"mlbench.toml: environments.staging.port: port {port} is taken by another program; "
        "choose another with port = … under [environments.staging], or stop what listens there"
    )
    assert str(taken.value) == sentence
    assert (ended.returncode, ended.stderr) == (1, sentence + "\n")
    assert not sandbox.layout.server_state("staging").exists()
    assert not is_held(sandbox.layout.server_lock("staging"))


def test_a_port_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match=r"port 70000 does not exist; .* 65535"):
        listen("staging", 70000)


def test_nagle_is_off_for_every_connection() -> None:
    """Asyncio switches it off for sockets that name their protocol, and for these alone."""
    with listen("staging", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP
        assert listener.getsockname()[0] == "127.0.0.1"


def test_a_second_server_is_refused(sandbox: Sandbox) -> None:
    up = sandbox.serve(sandbox.model(1))
    ended = foreground(sandbox, "--port", "0")
    assert ended.returncode == 1
    assert f"is served already at {up.address} by process {up.pid}" in ended.stderr
    assert sandbox.status() == up


def test_a_server_without_a_port_says_what_is_missing(sandbox: Sandbox) -> None:
    ended = foreground(sandbox)
    assert ended.returncode == 2
    assert "give one with --port" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_server_follows_its_environment_to_another_port(sandbox: Sandbox, one_row: Row) -> None:
    up = sandbox.serve(sandbox.model(1))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        other = replace(sandbox.environment, port=probe.getsockname()[1])
    sandbox.environment = other
    moved = supervise.ensure_up(sandbox.layout, other)
    assert moved.port == other.port != up.port
    supervise.wait_serving(sandbox.layout, other, 1)
    assert client.infer(moved.address, "multiplier", one_row)["model_version"] == "1"
    assert not client.live(up.address)


def test_a_killed_server_is_down_and_comes_back(sandbox: Sandbox, one_row: Row) -> None:
    up = sandbox.serve(sandbox.model(1))
    assert up.pid is not None
    os.kill(up.pid, signal.SIGKILL)
    assert until(lambda: sandbox.status().pid is None, 20)
    assert sandbox.layout.server_state("staging").exists()
    with pytest.raises(ServingError, match="server is down; start it"):
        supervise.wait_serving(sandbox.layout, sandbox.environment, 1)
    with pytest.raises(ServingError, match="nobody answers there"):
        client.infer(up.address, "multiplier", one_row)
    again = supervise.ensure_up(sandbox.layout, sandbox.environment)
    assert again.pid not in (None, up.pid)
    supervise.wait_serving(sandbox.layout, sandbox.environment, 1)
    assert client.infer(up.address, "multiplier", one_row)["model_version"] == "1"


def test_a_server_that_does_not_listen_to_reason_is_killed(sandbox: Sandbox) -> None:
    up = sandbox.serve(sandbox.model(1))
    assert up.pid is not None
    os.kill(up.pid, signal.SIGSTOP)
    assert supervise.stop(sandbox.layout, sandbox.environment, timeout=0.2)
    assert not is_held(sandbox.layout.server_lock("staging"))


def test_a_server_that_cannot_start_leaves_its_last_words(sandbox: Sandbox) -> None:
    sandbox.layout.server_lock("staging").mkdir()
    with pytest.raises(ServingError, match=r"its server ended at once: .*Is a directory"):
        supervise.ensure_up(sandbox.layout, sandbox.environment)
    sandbox.layout.server_lock("staging").rmdir()


def begun(port: int, body: bytes, model: str) -> socket.socket:
    """A request whose head the server has read: it waits for the body."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    head = (
        f"POST /v2/models/{model}/infer HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    )
    connection.sendall(head.encode())
    assert connection.recv(100).startswith(b"HTTP/1.1 100")
    return connection


def refuses_connections(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_requests_under_way_are_finished(
    sandbox: Sandbox, one_row: Row, number: signal.Signals
) -> None:
    port = sandbox.environment.port
    command = [sys.executable, "-m", "mlbench.serving", "staging", "--port", str(port)]
    sandbox.deploy(sandbox.slow_model(turns=700_000))
    server = subprocess.Popen(
        [*command, "--root", str(sandbox.layout.root)],
        cwd=HOME,
        stdout=subprocess.DEVNULL,
    )
    assert until(lambda: sandbox.status().serving == {"slow": 1}, 20)
    body = json.dumps({"inputs": one_row}).encode()
    with begun(port, body, "slow") as connection:
        connection.sendall(body)
        server.send_signal(number)
        assert until(lambda: refuses_connections(port), 20)
        response = http.client.HTTPResponse(connection, method="POST")
        response.begin()
        assert response.status == 200
        assert json.loads(response.read())["model_version"] == "1"
    assert server.wait(20) == 0
    assert not sandbox.layout.server_state("staging").exists()


def test_a_request_that_never_ends_does_not_hold_the_server(sandbox: Sandbox) -> None:
    sandbox.serve(sandbox.model(1))
    with begun(sandbox.environment.port, b"{}", "multiplier"):
        assert supervise.stop(sandbox.layout, sandbox.environment, timeout=30)
    assert events(sandbox)[-1] == "stopped"
    assert "worker_killed" not in events(sandbox), "the worker ends by itself"


def test_a_model_that_computes_does_not_hold_up_the_health_routes(
    sandbox: Sandbox, one_row: Row
) -> None:
    sandbox.serve(sandbox.slow_model(turns=700_000))
    body = json.dumps({"inputs": one_row}).encode()
    with begun(sandbox.environment.port, body, "slow") as connection:
        connection.sendall(body)
        assert client.live(sandbox.status().address)
        answered, _, _ = select.select([connection], [], [], 0)
        assert not answered, "the slow answer came first: it held up the health route"
        assert connection.recv(20).startswith(b"HTTP/1.1 200")


def test_a_server_that_dies_while_it_is_waited_for_is_started_again(sandbox: Sandbox) -> None:
    first = sandbox.serve(sandbox.model(1))
    assert first.pid is not None
    # It holds its lock and answers nothing, until it is killed.
    everybody = (first.pid, *first.workers)
    for pid in everybody:
        os.kill(pid, signal.SIGSTOP)
    killers = [threading.Timer(0.2, os.kill, (pid, signal.SIGKILL)) for pid in everybody]
    for killer in killers:
        killer.start()
    again = supervise.ensure_up(sandbox.layout, sandbox.environment)
    for killer in killers:
        killer.join()
    assert again.pid not in (None, first.pid)
    assert client.live(again.address)
