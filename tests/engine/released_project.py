"""A real project with a server, and candidates made of a real one that answer the same."""

from __future__ import annotations

import http.client
import json
import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import onnx

from mlbench.domain.ledger import live
from mlbench.domain.release import Candidate, Deployment
from mlbench.domain.stages import EnvironmentSpec
from mlbench.engine.releases import Releases
from mlbench.project.config import load_project
from mlbench.project.layout import Layout
from mlbench.release.folders import MODEL_NAME
from mlbench.serving.state import read_deployment
from mlbench.system.content import hash_file
from tests.support import SmallProject, ask

MODEL = "flowers"


@dataclass
class Released:
    """The project of a candidate, and what may be asked of it without the command line."""

    project: SmallProject
    made: int = 0
    original: Candidate = field(init=False)
    kept: Path = field(init=False)

    def __post_init__(self) -> None:
        (self.original,) = self.releases.registry.candidates(MODEL)
        self.kept = self.project.root.parent / "original"
        shutil.copytree(self.releases.registry.folder_of(self.original), self.kept)

    @property
    def layout(self) -> Layout:
        return Layout(self.project.root.resolve())

    @property
    def releases(self) -> Releases:
        return Releases(self.layout)

    def environment(self, name: str = "staging") -> EnvironmentSpec:
        return load_project(self.layout).environment(name)

    def candidate(self, edit: Callable[[Path], None] | None = None, **facts: Any) -> str:
        """Make the run's candidate another one that answers the same, edited as asked; its run."""
        self.made += 1
        registry = self.releases.registry
        scratch = registry.scratch(MODEL)
        shutil.copytree(self.kept, scratch, dirs_exist_ok=True)
        model = onnx.load(scratch / MODEL_NAME)
        model.producer_version = str(self.made)
        (scratch / MODEL_NAME).write_bytes(model.SerializeToString(deterministic=True))
        if edit is not None:
            edit(scratch)
        digest, size = hash_file(scratch / MODEL_NAME), (scratch / MODEL_NAME).stat().st_size
        registry.keep(replace(self.original, digest=digest, size=size, **facts), scratch)
        return self.original.run

    def entries(self) -> list[Any]:
        return list(self.releases.ledger.entries())

    def version_by_ledger(self, environment: str = "staging") -> int | None:
        entry = live(self.releases.ledger.entries()).get(environment, {}).get(MODEL)
        return entry.version if entry else None

    def deployment(self, environment: str = "staging") -> Deployment:
        found = read_deployment(self.layout.deployment(environment))
        assert found is not None
        return found

    def version_served(self, environment: str = "staging") -> int:
        """The version that answers a real request."""
        status, answer = ask(self.environment(environment).port, INFER, ROW)
        assert status == 200, answer
        return int(answer["model_version"])


INFER = f"/v2/models/{MODEL}/infer"
ROW: Mapping[str, Any] = {
    "inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]}]
}


class Client(threading.Thread):
    """Asks all the time on one connection; keeps which versions answered, and what went wrong."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.wrong: list[str] = []
        self.versions: list[int] = []
        self._enough = threading.Event()

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        body = json.dumps(ROW).encode()
        while not self._enough.is_set():
            try:
                connection.request("POST", INFER, body)
                response = connection.getresponse()
                answer = json.loads(response.read())
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.wrong.append(repr(error))
                break
            if response.status != 200:
                self.wrong.append(f"{response.status} {answer}")
            else:
                self.versions.append(int(answer["model_version"]))
            self._enough.wait(0.002)
        connection.close()

    def seen(self) -> set[int]:
        """The versions that answered since the last call."""
        versions, self.versions = self.versions, []
        return set(versions)

    def stop(self) -> None:
        self._enough.set()
        self.join()
