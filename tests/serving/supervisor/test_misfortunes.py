"""What servers meet: loads that hang or kill, full disks, folders that go, other settings."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import platform
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from onnx import TensorProto, helper

from mlbench.domain.errors import ServingError
from mlbench.domain.release import DeployedModel
from mlbench.domain.serving import ServerSettings
from mlbench.serving import client, supervise
from mlbench.serving.counters import read_tallies
from mlbench.serving.supervisor.process import WORKER
from mlbench.serving.waiting import until
from mlbench.system.proctable import start_time
from tests.serving.conftest import SIGNATURE, free_port, multiplier, save
from tests.serving.supervisor import conftest
from tests.serving.test_lifecycle import begun
from tests.small_disk import small_disk

if TYPE_CHECKING:
    from tests.serving.supervisor.conftest import Supervised

_IMPATIENT = """
import mlbench.serving.supervisor.crew as crew
import mlbench.serving.supervisor.pacing as pacing
crew._PING_SECONDS, crew._PATIENCE, pacing._LOAD_SECONDS = 0.05, 400, 3.0
"""


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Supervised]:
    """A server of two real workers."""
    yield from conftest.made(tmp_path, WORKER)


def deadly(sandbox: Supervised, version: int) -> DeployedModel:
    """A version whose load divides the least whole number by -1, which the processor traps."""
    graph = multiplier(version)
    graph.initializer.extend(
        [
            helper.make_tensor("least", TensorProto.INT64, [1], [-(2**63)]),
            helper.make_tensor("minus", TensorProto.INT64, [1], [-1]),
        ]
    )
    graph.node.insert(0, helper.make_node("Div", ["least", "minus"], ["most"]))
    graph.node.insert(1, helper.make_node("Cast", ["most"], ["cast"], to=TensorProto.FLOAT))
    graph.node[2].input[1] = "cast"
    path = sandbox.layout.models / "multiplier" / str(version) / "model.onnx"
    digest = save(graph, path)
    return DeployedModel("multiplier", version, digest, "run", str(path), SIGNATURE)


def answered(sandbox: Supervised, one_row: list[dict[str, Any]]) -> str:
    reply = client.infer(sandbox.status().address, "multiplier", one_row)
    return str(reply["model_version"])


def test_a_load_that_never_ends_is_refused_and_holds_up_nothing_after_it(
    real: Supervised, one_row: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conftest, "_SERVE", _IMPATIENT + conftest._SERVE)
    real.deploy(real.model(1))
    before = real.start()
    order = real.deploy(real.model(1), real.slow_model(turns=1 << 40))
    with pytest.raises(ServingError, match=r"slow version 1: a worker .* not done after 3 s"):
        supervise.wait_serving(real.layout, real.environment, order)
    assert answered(real, one_row) == "1"
    order = real.deploy(real.model(2))
    after = supervise.wait_serving(real.layout, real.environment, order)
    assert (after.pid, after.serving, after.restarts) == (before.pid, {"multiplier": 2}, 1)


def test_a_server_ends_at_once_while_a_version_loads(real: Supervised) -> None:
    real.deploy(real.model(1))
    before = real.start()
    computed = {pid: computed_by(pid) for pid in before.workers}
    real.deploy(real.model(1), real.slow_model(turns=1 << 40))
    assert until(lambda: any(computed_by(pid) > ticks + 30 for pid, ticks in computed.items()), 20)
    assert supervise.stop(real.layout, real.environment)
    assert "worker_killed" not in real.layout.server_log("staging").read_text()


def computed_by(pid: int) -> int:
    """The ticks that a process has computed."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other processors wrap around")
def test_a_model_that_kills_onnxruntime_is_refused(
    real: Supervised, one_row: list[dict[str, Any]]
) -> None:
    real.deploy(real.model(1))
    before = real.start()
    order = real.deploy(deadly(real, 2))
    with pytest.raises(ServingError, match=r"version 2: a worker that loaded it died \(signal 8"):
        supervise.wait_serving(real.layout, real.environment, order)
    assert answered(real, one_row) == "1"
    order = real.deploy(real.model(3))
    after = supervise.wait_serving(real.layout, real.environment, order)
    assert (after.pid, after.serving) == (before.pid, {"multiplier": 3})


def test_a_worker_that_somebody_ends_finishes_what_it_has(
    real: Supervised, one_row: list[dict[str, Any]]
) -> None:
    settings = ServerSettings(workers=1)
    real.environment = replace(real.environment, settings=settings)
    real.deploy(real.slow_model(turns=300_000))
    before = real.start()
    body = json.dumps({"inputs": one_row}).encode()
    with begun(real.environment.port, body, "slow") as connection:
        connection.sendall(body)
        os.kill(before.workers[0], signal.SIGTERM)
        assert connection.recv(20).startswith(b"HTTP/1.1 200")
    assert until(lambda: real.status().workers not in ((), before.workers), 20)


def test_a_full_disk_costs_figures_and_no_answer(one_row: list[dict[str, Any]]) -> None:
    with small_disk("2m") as disk:
        made = conftest.made(disk / "project", WORKER)
        try:
            check_on_full_disk(next(made), disk / "filler", one_row)
        finally:
            next(made, None)


def test_a_server_that_finds_no_room_to_start_says_so() -> None:
    with small_disk("1m") as disk:
        made = conftest.made(disk / "project", WORKER)
        sandbox = next(made)
        try:
            sandbox.deploy(sandbox.model(1))
            fill(disk / "filler")
            with pytest.raises(ServingError, match=r"no space is left on the disk of .*serving"):
                supervise.ensure_up(sandbox.layout, sandbox.environment)
            assert not list(sandbox.layout.serving.glob(".token*"))
            (disk / "filler").unlink()
            supervise.ensure_up(sandbox.layout, sandbox.environment)
        finally:
            next(made, None)


def check_on_full_disk(sandbox: Supervised, filler: Path, one_row: list[dict[str, Any]]) -> None:
    models = [sandbox.model(1), sandbox.model(2)]
    sandbox.deploy(models[0])
    before = sandbox.start()
    assert answered(sandbox, one_row) == "1"
    fill(filler)
    # Room for the Deployment, and for nothing else.
    os.truncate(filler, filler.stat().st_size - 8192)
    sandbox.deploy(models[1])
    # Where it stands may be impossible to write down: answers tell.
    assert until(lambda: answered(sandbox, one_row) == "2", 20)
    for _ in range(40):
        assert answered(sandbox, one_row) == "2"
    assert all(start_time(pid) is not None for pid in before.workers), "nobody died of it"
    os.kill(before.workers[0], signal.SIGKILL)
    for _ in range(20):
        assert until(lambda: is_answered(sandbox, one_row, "2"), 20)
    filler.unlink()
    assert until(lambda: sandbox.status().restarts == 1, 20)
    assert until(lambda: len(sandbox.status().workers) == 2, 20)
    after = sandbox.status()
    assert (after.pid, after.serving, after.error) == (before.pid, {"multiplier": 2}, "")
    counted = {
        tally.version: tally.answered for tally in read_tallies(sandbox.layout.counters("staging"))
    }
    assert counted["1"] > 0
    assert counted["2"] == 0, "what had no room was not counted, and killed nobody"


def is_answered(sandbox: Supervised, one_row: list[dict[str, Any]], version: str) -> bool:
    """Whether this version answers; a worker that was killed may have had the connection."""
    try:
        return answered(sandbox, one_row) == version
    except ServingError:
        return False


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(bytes(4096))


def test_a_server_whose_folder_goes_ends_and_leaves_the_next_one_alone(faked: Supervised) -> None:
    faked.deploy(faked.fake(1, b"whole"))
    before = faked.start()
    first = faked.process
    assert first is not None
    assert before.pid is not None
    os.kill(before.pid, signal.SIGSTOP)
    shutil.rmtree(faked.layout.root)
    faked.folder.mkdir(parents=True)
    faked.layout.serving.mkdir(parents=True)
    faked.environment = replace(faked.environment, port=free_port())
    faked.process = None
    faked.deploy(faked.fake(1, b"whole"))
    after = faked.start()
    os.kill(before.pid, signal.SIGCONT)
    assert first.wait(20) == 0
    assert all(start_time(pid) is None for pid in before.workers)
    assert faked.status() == after


def test_workers_that_run_go_with_their_number(real: Supervised) -> None:
    def shared() -> set[tuple[int, float]]:
        config = real.ask("GET", "/v2/models/multiplier/config").body
        return {(config["instance_group"][0]["count"], gauge(real))}

    def gauge(sandbox: Supervised) -> float:
        connection = http.client.HTTPConnection("127.0.0.1", sandbox.environment.port)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        (line,) = [line for line in text.splitlines() if line.startswith("mlbench_workers ")]
        return float(line.split()[1])

    real.deploy(real.model(1))
    real.start()
    assert shared() == {(2, 2.0)}
    settings = ServerSettings(workers=1)
    real.environment = replace(real.environment, settings=settings)
    order = real.deploy(real.model(1))
    supervise.wait_serving(real.layout, real.environment, order)
    assert until(lambda: shared() == {(1, 1.0)}, 20)
