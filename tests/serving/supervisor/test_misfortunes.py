"""What real workers meet: loads that hang or kill, full disks, folders that go, settings that change."""

from __future__ import annotations

import errno
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
from tests.serving.conftest import SIGNATURE, multiplier, save
from tests.serving.supervisor import conftest
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
    graph.node.extend(
        [
            helper.make_node("Div", ["least", "minus"], ["most"]),
            helper.make_node("Cast", ["most"], ["cast"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["x", "cast"], ["sum"]),
            helper.make_node("Mul", ["sum", "sum"], ["unused"]),
        ]
    )
    # Nothing that no output needs is computed.
    graph.node[0].input[0] = "unused"
    graph.node.append(graph.node[0])
    del graph.node[0]
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


def test_a_full_disk_costs_figures_and_no_answer(one_row: list[dict[str, Any]]) -> None:
    with small_disk("2m") as disk:
        for sandbox in conftest.made(disk / "project", WORKER):
            sandbox.deploy(sandbox.model(1))
            before = sandbox.start()
            orders = [sandbox.model(2), sandbox.model(3)]
            written = sandbox.deploy(orders[0])
            supervise.wait_serving(sandbox.layout, sandbox.environment, written)
            sandbox.deploy(orders[1])
            fill(disk)
            # Where it stands can't be written down: only answers tell.
            assert until(lambda: answered(sandbox, one_row) == "3", 20)
            for _ in range(50):
                assert answered(sandbox, one_row) == "3"
            assert sandbox.status().pid == before.pid
            assert all(start_time(pid) is not None for pid in before.workers), "nobody died of it"
            os.kill(before.workers[0], signal.SIGKILL)
            assert until(lambda: start_time(before.workers[0]) is None, 20)
            for _ in range(20):
                assert answered(sandbox, one_row) == "3"
            (disk / "filler").unlink()
            assert until(lambda: sandbox.status().restarts == 1, 20)
            assert until(lambda: len(sandbox.status().workers) == 2, 20)
            assert sandbox.status().serving == {"multiplier": 3}
            tallies = read_tallies(sandbox.layout.counters("staging"))
            assert {tally.version for tally in tallies} >= {"1", "2"}


def fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(4096))
        except OSError as error:
            assert error.errno == errno.ENOSPC


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
    faked.environment = replace(faked.environment, port=conftest.free_port())
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
        import http.client

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
