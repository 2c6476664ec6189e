"""Supervisors with workers of two kinds: the real one, and a fake that keeps to the same talk."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from mlbench.domain.release import DeployedModel, EnvironmentStatus
from mlbench.domain.serving import ServerSettings
from mlbench.domain.stages import EnvironmentSpec
from mlbench.project.layout import Layout
from mlbench.serving import supervise
from mlbench.serving.supervisor.process import WORKER
from mlbench.serving.waiting import until
from tests.serving.conftest import SIGNATURE, Sandbox, free_port

FAKE = (sys.executable, str(Path(__file__).with_name("fake_worker.py")))
_SERVE = """
import sys
from pathlib import Path
from mlbench.project.layout import Layout
from mlbench.serving.server import serve
serve(Layout(Path(sys.argv[1])), "staging", int(sys.argv[2]), worker=sys.argv[3:])
"""


@dataclass
class Supervised(Sandbox):
    """A sandbox whose server runs workers of one kind."""

    worker: Sequence[str] = WORKER
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self, worker: Sequence[str] = ()) -> EnvironmentStatus:
        """The server as `ensure_up` has it, once it answers from what is deployed."""
        self.begin(worker or self.worker)
        supervise.ensure_up(self.layout, self.environment)
        return supervise.wait_serving(self.layout, self.environment, self.order)

    def begin(self, worker: Sequence[str]) -> subprocess.Popen[bytes]:
        if self.process is not None:
            self.process.wait(20)
        with self.layout.server_log("staging").open("ab") as log:
            arguments = [str(self.layout.root), str(self.environment.port), *worker]
            self.process = subprocess.Popen(
                [sys.executable, "-c", _SERVE, *arguments],
                stdout=log,
                stderr=log,
                cwd=Path(supervise.__file__).parents[2],
                start_new_session=True,
            )
        assert until(lambda: self.status().pid is not None, 20)
        return self.process

    def fake(self, version: int, content: bytes, name: str = "multiplier") -> DeployedModel:
        """A version whose file holds this."""
        path = self.layout.models / name / str(version) / "model.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return DeployedModel(name, version, "digest", "run", str(path), SIGNATURE)

    def versions(self, model: str = "multiplier") -> list[str]:
        """The versions that whoever answers has in memory."""
        return list(self.ask("GET", f"/v2/models/{model}").body["versions"])


def made(root: Path, worker: Sequence[str]) -> Iterator[Supervised]:
    environment = replace(
        EnvironmentSpec("staging", free_port()), settings=ServerSettings(workers=2)
    )
    sandbox = Supervised(Layout(root), environment, worker=worker)
    yield sandbox
    supervise.stop(sandbox.layout, sandbox.environment)
    if sandbox.process is not None:
        sandbox.process.wait(20)


@pytest.fixture(params=[FAKE, WORKER], ids=["fake", "real"])
def supervised(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Supervised]:
    """A server of two workers, of each kind."""
    yield from made(tmp_path, request.param)


@pytest.fixture
def faked(tmp_path: Path) -> Iterator[Supervised]:
    """A server of two fake workers."""
    yield from made(tmp_path, FAKE)
