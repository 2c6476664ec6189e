"""An environment that looks as if its server were up: real files, counters, log and HTTP."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from mlbench.domain.plain import to_plain
from mlbench.domain.release import (
    Candidate,
    DeployedModel,
    Deployment,
    Signature,
    TensorSpec,
)
from mlbench.domain.serving import CanaryState, ServerSettings, ShadowState, Traffic
from mlbench.engine.releases import Releases
from mlbench.project.config import load_project
from mlbench.release.folders import ANSWERS_NAME
from mlbench.serving.counters import Counters
from mlbench.serving.requests.log import Kept, RequestLog
from mlbench.serving.state import ServerState, write_state
from mlbench.system.files import write_json
from mlbench.system.locks import FileLock
from tests.tui.released import ReleasedProject


class Up:
    """Holds an environment's server lock and writes what its server would."""

    def __init__(self, project: ReleasedProject, environment: str = "staging") -> None:
        self.layout, self.name = project.layout, environment
        spec = load_project(self.layout).environment(environment)
        self.deployment: Deployment = Releases(self.layout).write_deployment(spec)
        self._lock = FileLock(self.layout.server_lock(environment))
        self._counters: dict[str, Counters] = {}
        self._log = RequestLog(self.layout.requests(environment), 0, ServerSettings(workers=1))
        self.asked: list[dict[str, Any]] = []
        self.answer = _answer("2", "Gentoo", [0.01, 0.02, 0.97])
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))

    def __enter__(self) -> Up:
        assert self._lock.try_acquire()
        # Whoever stops this server must not stop the tests.
        self._process = subprocess.Popen(["sleep", "600"])
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.say()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._log.close()
        self._process.kill()
        self._process.wait()
        self.http.shutdown()
        self.http.server_close()
        self._lock.release()

    @property
    def port(self) -> int:
        return int(self.http.server_address[1])

    def say(self, **fields: Any) -> None:
        """Write the server's state."""
        serving = {model.name: model.version for model in self.deployment.models}
        order = self.deployment.order
        state = ServerState(
            self._process.pid, self.port, order, serving, attempted=order, workers=(1, 2)
        )
        write_state(self.layout.server_state(self.name), replace(state, **fields))

    def beside(self, version: Candidate, traffic: Traffic) -> None:
        """Have a version beside the live one, as canary or shadow."""
        live = self.deployment.models[0]
        deployed = DeployedModel(
            live.name, version.version or 0, version.digest, version.run, live.path, live.signature
        )
        self.deployment = replace(self.deployment, beside=(deployed,), traffic=(traffic,))
        write_json(self.layout.deployment(self.name), to_plain(self.deployment))

    def draw_digits(self, pictures: Sequence[Sequence[float]], folder: Path) -> None:
        """Serve a model of 8 × 8 pictures, with these as its held-out rows."""
        folder.mkdir(parents=True, exist_ok=True)
        rows = np.array(pictures, np.float32)
        labels = np.arange(len(rows)) % 3
        saved = {"in:X": rows, "label": labels, "y": labels}
        np.savez(folder / ANSWERS_NAME, **saved)  # type: ignore[arg-type]
        signature = Signature(
            (TensorSpec("X", "FP32", (-1, 64)),),
            (TensorSpec("label", "INT64", (-1,)), TensorSpec("probabilities", "FP32", (-1, 3))),
            ("0", "1", "2"),
        )
        model = replace(
            self.deployment.models[0], path=str(folder / "model.onnx"), signature=signature
        )
        self.deployment = replace(self.deployment, models=(model,))
        write_json(self.layout.deployment(self.name), to_plain(self.deployment))

    def canary(self, *states: CanaryState) -> None:
        _write_states(self.layout.canaries(self.name), states)

    def shadow(self, *states: ShadowState) -> None:
        _write_states(self.layout.shadows(self.name), states)

    def count(self, version: str, status: int = 200, took: float = 0.002, rows: int = 1) -> None:
        """Count a request, as a worker does."""
        if version not in self._counters:
            folder = self.layout.counters(self.name)
            self._counters[version] = Counters(folder, "penguins", version, 0)
        counters = self._counters[version]
        counters.ended(status, took)
        counters.called(rows, 0.0, took / 2)

    def queued(self, version: str, requests: int) -> None:
        self._counters[version].queued(requests)

    def log(
        self,
        ident: str,
        body: Mapping[str, Any],
        reply: Mapping[str, Any],
        *,
        status: int = 200,
        version: str = "2",
        seconds_ago: float = 0.0,
        took: float = 0.0021,
    ) -> None:
        """Put a request into the log."""
        at = time.time_ns() - int(seconds_ago * 1e9)
        texts = (json.dumps(item).encode() for item in (body, reply))
        sent, answered = texts
        self._log.keep(
            Kept(ident, at, "penguins", version, status, took, sent, None, answered, None)
        )


def request(length: float, island: str = "Biscoe") -> dict[str, Any]:
    """A request about a penguin."""
    return {
        "inputs": [
            _tensor("bill_length_mm", "FP32", [length]),
            _tensor("flipper_length_mm", "FP32", [210.0]),
            _tensor("island", "BYTES", [island]),
        ]
    }


def reply(label: str, version: str = "2") -> dict[str, Any]:
    return _answer(version, label, [0.01, 0.02, 0.97])


def _answer(version: str, label: str, scores: list[float]) -> dict[str, Any]:
    return {
        "model_name": "penguins",
        "model_version": version,
        "id": "1",
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [1], "data": [label]},
            {"name": "probabilities", "datatype": "FP32", "shape": [1, 3], "data": scores},
        ],
    }


def _tensor(name: str, datatype: str, data: list[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [1, 1], "data": data}


def _handler(up: Up) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            up.asked.append({"path": self.path, **json.loads(self.rfile.read(length))})
            is_refusal = "error" in up.answer
            body = json.dumps(up.answer).encode()
            self.send_response(400 if is_refusal else 200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def _write_states(path: Any, states: tuple[Any, ...]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, [to_plain(state) for state in states])
