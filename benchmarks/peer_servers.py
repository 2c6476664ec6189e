"""One ONNX model served by the programs that mlbench is measured beside, as their manuals say.

Each is started by an interpreter of its own; what it runs is written into the folder of work.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common import ENVIRONMENT, WORK, free_port
from benchmarks.peers import python_with

PATIENCE_SECONDS = 60
INFER = "/v2/models/digits/infer"

_MLSERVER = """
import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse


class Digits(MLModel):
    async def load(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            self.settings.parameters.uri, options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name
        self._outputs = [output.name for output in self._session.get_outputs()]
        return True

    async def predict(self, payload):
        rows = NumpyCodec.decode_input(payload.inputs[0])
        given = self._session.run(None, {self._input: rows})
        outputs = [NumpyCodec.encode_output(*pair) for pair in zip(self._outputs, given)]
        return InferenceResponse(model_name=self.name, outputs=outputs)
"""

_BENTOML = """
import bentoml
import numpy as np
import onnxruntime


@bentoml.service(workers=1)
class Digits:
    def __init__(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            "model.onnx", options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=10)
    def predict(self, x: np.ndarray) -> np.ndarray:
        return self._session.run(None, {self._input: x.astype(np.float32)})[1]
"""

_BARE = """
import sys

import numpy as np
import onnxruntime
import orjson
import uvicorn

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession("model.onnx", options, providers=["CPUExecutionProvider"])
given = session.get_inputs()[0].name
names = [output.name for output in session.get_outputs()]
HEADERS = [(b"content-type", b"application/json")]


async def app(scope, receive, send):
    message = await receive()
    body = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    tensor = orjson.loads(body)["inputs"][0]
    rows = np.array(tensor["data"], np.float32).reshape(tensor["shape"])
    outputs = [
        {"name": name, "shape": array.shape, "data": array.ravel()}
        for name, array in zip(names, session.run(None, {given: rows}))
    ]
    answer = orjson.dumps({"outputs": outputs}, option=orjson.OPT_SERIALIZE_NUMPY)
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": answer})


uvicorn.run(
    app, port=int(sys.argv[1]), loop="uvloop", http="httptools", lifespan="off", access_log=False,
    log_level="error",
)
"""


@dataclass(frozen=True)
class Served:
    """Where a server answers, and the body that asks it about one row."""

    port: int
    path: str
    body: Path


@contextmanager
def mlserver(model: Path, body: Path) -> Iterator[Served]:
    """MLServer with a runtime of our own, as its manual has it, without parallel workers."""
    port, folder = free_port(), _folder("mlserver", model, {"digits_runtime.py": _MLSERVER})
    runtime = {"uri": str(folder / "model.onnx")}
    settings = {
        "name": "digits",
        "implementation": "digits_runtime.Digits",
        "parameters": runtime,
    }
    server = {
        "host": "127.0.0.1",
        "parallel_workers": 0,
        "http_port": port,
        "grpc_port": free_port(),
        "metrics_port": free_port(),
    }
    (folder / "model-settings.json").write_text(json.dumps(settings))
    (folder / "settings.json").write_text(json.dumps(server))
    program = Path(python_with("mlserver", "mlserver", "onnxruntime")).with_name("mlserver")
    more = {"PYTHONPATH": str(folder)}
    with _running([str(program), "start", "."], folder, Served(port, INFER, body), more) as served:
        yield served


@contextmanager
def bentoml(model: Path, body: Path) -> Iterator[Served]:
    """BentoML with one worker and its own batching."""
    port, folder = free_port(), _folder("bentoml", model, {"service.py": _BENTOML})
    row = json.loads(body.read_bytes())["inputs"][0]["data"]
    asked = folder / "one.json"
    asked.write_text(json.dumps({"x": [row]}))
    program = Path(python_with("bentoml", "bentoml", "onnxruntime")).with_name("bentoml")
    words = [str(program), "serve", "service:Digits", "--host", "127.0.0.1", "--port", str(port)]
    more = {"BENTOML_DO_NOT_TRACK": "1"}
    with _running(words, folder, Served(port, "/predict", asked), more) as served:
        yield served


@contextmanager
def bare_uvicorn(model: Path, body: Path) -> Iterator[Served]:
    """The limit: a handler on uvicorn that parses, runs and answers, and checks nothing."""
    port, folder = free_port(), _folder("uvicorn", model, {"bare.py": _BARE})
    python = python_with("uvicorn", "uvicorn[standard]", "onnxruntime", "orjson", "numpy")
    with _running([python, "bare.py", str(port)], folder, Served(port, INFER, body)) as served:
        yield served


def _folder(name: str, model: Path, files: Mapping[str, str]) -> Path:
    folder = WORK / f"peer-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model.read_bytes())
    for file, text in files.items():
        (folder / file).write_text(text)
    return folder


@contextmanager
def _running(
    words: Sequence[str], folder: Path, served: Served, more: Mapping[str, str] | None = None
) -> Iterator[Served]:
    """A server as a process of its own, once it answers; SystemExit where it ends before."""
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            words,
            cwd=folder,
            env={**ENVIRONMENT, **(more or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait_for(process, served, folder / "server.log")
        yield served
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(process: subprocess.Popen[bytes], served: Served, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"{process.args!r} does not answer:\n{log.read_text()[-2000:]}")
        try:
            ask(served)
        except (TimeoutError, urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
        else:
            return


def ask(served: Served) -> bytes:
    """One answer; URLError where nobody answers, or not with 200."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{served.port}{served.path}",
        served.body.read_bytes(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
        return bytes(response.read())
