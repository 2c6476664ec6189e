"""A supervisor and its workers, as processes: deaths, crashes, loads, and ends."""

from __future__ import annotations

import os
import signal
import socket
import stat
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlbench.domain.errors import ServingError, UsageError
from mlbench.domain.plain import to_plain
from mlbench.domain.serving import ServerSettings
from mlbench.serving import server, supervise
from mlbench.serving.port import listen
from mlbench.serving.state import ServerState, read_state
from mlbench.serving.waiting import until
from mlbench.system.files import write_json
from mlbench.system.proctable import start_time

if TYPE_CHECKING:
    from tests.serving.supervisor.conftest import Supervised


def is_gone(pid: int) -> bool:
    return start_time(pid) is None


def has_workers(sandbox: Supervised, count: int) -> bool:
    return until(lambda: len(sandbox.status().workers) == count, 20)


def test_a_worker_that_dies_is_replaced(supervised: Supervised) -> None:
    supervised.deploy(supervised.model(1))
    before = supervised.start()
    assert len(before.workers) == 2
    os.kill(before.workers[0], signal.SIGKILL)
    assert until(lambda: supervised.status().restarts == 1, 20)
    assert supervised.versions() == ["1"]
    assert until(lambda: len(set(supervised.status().workers) - {before.workers[0]}) == 2, 20)
    after = supervised.status()
    assert (after.pid, after.serving, after.error) == (before.pid, {"multiplier": 1}, "")
    assert before.workers[1] in after.workers
    order = supervised.deploy(supervised.model(2))
    supervise.wait_serving(supervised.layout, supervised.environment, order)
    assert {tuple(supervised.versions()) for _ in range(8)} == {("2",)}


def test_connections_wait_while_no_worker_is_there(supervised: Supervised) -> None:
    supervised.deploy(supervised.model(1))
    before = supervised.start()
    for pid in before.workers:
        os.kill(pid, signal.SIGKILL)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: supervised.versions(), range(8)))
    assert answers == [["1"]] * 8


def test_the_newest_of_many_deployments_is_served(supervised: Supervised) -> None:
    supervised.deploy(supervised.model(1))
    supervised.start()
    for version in range(2, 12):
        order = supervised.deploy(supervised.model(version))
    status = supervise.wait_serving(supervised.layout, supervised.environment, order)
    assert status.serving == {"multiplier": 11}
    assert {tuple(supervised.versions()) for _ in range(8)} == {("11",)}


def test_a_killed_supervisor_leaves_nothing_behind(supervised: Supervised) -> None:
    supervised.deploy(supervised.model(1))
    before = supervised.start()
    assert before.pid is not None
    os.kill(before.pid, signal.SIGKILL)
    assert supervised.process is not None
    supervised.process.wait(20)
    after = supervised.start()
    assert after.port == before.port
    assert until(lambda: all(map(is_gone, before.workers)), 20)
    assert set(after.workers).isdisjoint(before.workers)


def test_stopping_ends_every_process(supervised: Supervised) -> None:
    supervised.deploy(supervised.model(1))
    before = supervised.start()
    assert supervise.stop(supervised.layout, supervised.environment)
    assert all(is_gone(pid) for pid in before.workers)
    assert not supervised.layout.server_state("staging").exists()


def test_versions_are_loaded_and_let_go_over_the_protocol(supervised: Supervised) -> None:
    versions = [supervised.model(number) for number in (1, 2, 3)]
    supervised.layout.available.parent.mkdir(parents=True)
    write_json(supervised.layout.available, [to_plain(version) for version in versions])
    supervised.deploy(versions[0])
    supervised.start()
    token = supervised.layout.server_token.read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}

    def ask(what: str) -> int:
        path = f"/v2/repository/models/multiplier/{what}"
        return supervised.ask("POST", path, b"", headers).status

    assert ask("load") == 200
    assert {tuple(sorted(supervised.versions())) for _ in range(8)} == {("1", "3")}
    # The answer comes from a worker; what the supervisor tells follows.
    assert until(lambda: supervised.status().loaded == {"multiplier": (3,)}, 20)
    index = supervised.ask("POST", "/v2/repository/index", b"", headers).body
    assert [(item["version"], item["state"]) for item in index] == [
        ("1", "READY"),
        ("2", "UNAVAILABLE"),
        ("3", "READY"),
    ]
    assert ask("unload") == 200
    assert {tuple(supervised.versions()) for _ in range(8)} == {("1",)}
    assert ask("unload") == 400, "what is live stays"
    assert supervised.status().serving == {"multiplier": 1}


def test_a_model_that_crashes_its_loader_takes_nothing_along(faked: Supervised) -> None:
    faked.deploy(faked.fake(1, b"whole"), faked.fake(1, b"whole", "other"))
    before = faked.start()
    order = faked.deploy(faked.fake(2, b"crash"), faked.fake(2, b"whole", "other"))
    refused = r"multiplier version 2: a worker that loaded it died \(signal 11, SIGSEGV\)"
    with pytest.raises(ServingError, match=refused):
        supervise.wait_serving(faked.layout, faked.environment, order)
    assert until(lambda: len(faked.status().workers) == 2, 20)
    after = faked.status()
    assert (after.pid, after.serving) == (before.pid, {"multiplier": 1, "other": 2})
    assert after.restarts == 2, "one died of it, and one to make sure"

    order = faked.deploy(faked.fake(1, b"whole"))
    supervise.wait_serving(faked.layout, faked.environment, order)
    order = faked.deploy(faked.fake(2, b"whole"), faked.fake(2, b"whole", "other"))
    status = supervise.wait_serving(faked.layout, faked.environment, order)
    assert (status.serving["multiplier"], status.error) == (2, "")


def test_a_server_that_starts_with_a_deadly_model_serves_the_others(faked: Supervised) -> None:
    faked.deploy(faked.fake(1, b"crash"), faked.fake(1, b"whole", "other"))
    with pytest.raises(ServingError, match="multiplier version 1: a worker that loaded it died"):
        faked.start()
    assert until(lambda: len(faked.status().workers) == 2, 20)
    assert faked.versions("other") == ["1"]


def test_a_worker_that_cannot_catch_up_waits_until_the_file_is_back(faked: Supervised) -> None:
    model = faked.fake(1, b"whole")
    faked.deploy(model)
    before = faked.start()
    Path(model.path).unlink()
    os.kill(before.workers[0], signal.SIGKILL)
    assert until(lambda: "1 of 2 workers serve: multiplier" in faked.status().error, 20)
    assert {tuple(faked.versions()) for _ in range(8)} == {("1",)}, "nobody meets who lacks it"
    Path(model.path).write_bytes(b"whole")
    assert until(lambda: len(faked.status().workers) == 2 and not faked.status().error, 20)


def test_workers_come_and_go_with_the_settings(faked: Supervised) -> None:
    faked.deploy(faked.fake(1, b"whole"))
    pid = faked.start().pid
    for workers in (3, 1):
        settings = ServerSettings(workers=workers)
        faked.environment = replace(faked.environment, settings=settings)
        faked.deploy(faked.fake(1, b"whole"))
        assert has_workers(faked, workers)
    status = faked.status()
    assert (status.pid, status.restarts, faked.versions()) == (pid, 0, ["1"])


def test_workers_that_die_as_they_begin_are_named_with_their_last_words(
    faked: Supervised,
) -> None:
    faked.deploy(faked.fake(1, b"whole"))
    words = "import sys; sys.exit('no such library')"
    faked.begin((sys.executable, "-c", words))
    with pytest.raises(ServingError, match=r"staging: a worker died \d+ times as it began: exit"):
        supervise.ensure_up(faked.layout, faked.environment)
    assert "no such library" in faked.status().error


def test_a_worker_that_answers_nothing_any_more_is_replaced(
    faked: Supervised, monkeypatch: pytest.MonkeyPatch
) -> None:
    faked.deploy(faked.fake(1, b"whole"))
    code = "import mlbench.serving.supervisor.crew as c; c._PING_SECONDS = 0.02; c._PATIENCE = 25"
    monkeypatch.setattr("tests.serving.supervisor.conftest._SERVE", f"{code}\n{_serve()}")
    before = faked.start()
    os.kill(before.workers[1], signal.SIGSTOP)
    assert until(lambda: faked.status().restarts == 1, 20)
    assert until(lambda: len(faked.status().workers) == 2, 20)
    assert is_gone(before.workers[1])


def _serve() -> str:
    from tests.serving.supervisor import conftest

    return conftest._SERVE


def test_a_worker_that_keeps_the_port_after_its_supervisor_is_ended(
    faked: Supervised, monkeypatch: pytest.MonkeyPatch
) -> None:
    faked.deploy(faked.fake(1, b"whole"))
    before = faked.start()
    state = read_state(faked.layout.server_state("staging"))
    assert before.pid is not None
    for pid in before.workers:
        os.kill(pid, signal.SIGSTOP)
    os.kill(before.pid, signal.SIGKILL)
    monkeypatch.setattr(server, "_ORPHAN_SECONDS", 0.1)
    with server._listen_after(state, "staging", before.port, "127.0.0.1") as listener:
        assert listener.getsockname()[1] == before.port
    assert until(lambda: all(map(is_gone, before.workers)), 20)


def test_who_has_the_port_now_is_left_alone_where_a_process_id_is_used_again() -> None:
    """The state file names this very process by its id, but with another time of start."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        state = ServerState(1, port, processes={str(os.getpid()): "another time"})
        begin = time.monotonic()
        with pytest.raises(Exception, match="is taken by another program"):
            server._listen_after(state, "staging", port, "127.0.0.1")
    assert time.monotonic() - begin < server._ORPHAN_SECONDS


def test_the_token_is_made_once_and_for_its_owner_alone(faked: Supervised) -> None:
    faked.deploy(faked.fake(1, b"whole"))
    faked.start()
    path = faked.layout.server_token
    made = path.read_text()
    assert len(made.strip()) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    supervise.stop(faked.layout, faked.environment)
    faked.start()
    assert path.read_text() == made


def test_other_addresses_than_the_loopback(faked: Supervised) -> None:
    with listen("staging", 0, "::1") as listener:
        assert listener.getsockname()[0] == "::1"
    with pytest.raises(UsageError, match=r'environments.staging.host: "192.0.2.1" is no address'):
        listen("staging", 0, "192.0.2.1")
    settings = replace(faked.environment.settings, host="192.0.2.1")
    elsewhere = replace(faked.environment, settings=settings)
    with pytest.raises(UsageError, match="is no address of this machine"):
        supervise.ensure_up(faked.layout, elsewhere)
