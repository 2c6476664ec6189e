"""One-row inference over HTTP against `mlbench serve staging`, beside a bare handler."""

from __future__ import annotations

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from benchmarks.common import (
    ENVIRONMENT,
    FOLDER,
    MLBENCH,
    WORK,
    Figure,
    free_port,
    fresh_sample,
    run,
)

ROUNDS = 3
SECONDS = 2
CONNECTIONS = (16, 32)
_PATH = "/v2/models/digits/infer"
_PATIENCE_SECONDS = 30
_LUA = """\
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local file = io.open("{body}")
wrk.body = file:read("*a")
file:close()
"""


@dataclass(frozen=True)
class Load:
    """Answers a second, and the milliseconds that 99 of 100 were within."""

    rate: float
    p99_ms: float


def measure() -> Figure:
    """For each number of connections mlbench and the bare handlers, in turn."""
    folder = fresh_sample("infer")
    run([MLBENCH, "run"], folder)
    run([MLBENCH, "promote", "digits", "staging"], folder)
    run([MLBENCH, "serve", "--stop", "staging"], folder)
    body, answer = WORK / "infer.json", WORK / "answer.json"
    body.write_text(json.dumps(_one_row(folder)), encoding="utf-8")
    rows = []
    with _mlbench(folder) as port:
        asked = body.read_bytes()
        answer.write_bytes(_ask(port, asked))
        model = str(folder / ".mlbench" / "models" / "digits" / "1" / "model.onnx")
        with _bare(asked, str(answer)) as bare_port, _bare(asked, str(answer), model) as model_port:
            ports = (port, model_port, bare_port)
            names = ("`mlbench serve`", "bare handler with the model", "bare handler")
            for connections in CONNECTIONS:
                loads = _in_turn(ports, connections, body)
                rows += [
                    _row(f"{name}, {connections} connections", load, loads[-1])
                    for name, load in zip(names, loads, strict=True)
                ]
    tool = "wrk" if shutil.which("wrk") else "benchmarks/load.py, for wrk is not installed"
    return Figure(
        ["one row of 64 numbers as JSON", "answers a second", "p99", "by the bare rate"],
        rows,
        f"Medians of {ROUNDS} rounds in turn of {SECONDS} s each, after a warm-up; the load comes "
        f"from the same machine ({tool}). The bare handler on uvicorn reads the same request and "
        "answers the same bytes without a look at it; with the model, it parses, runs onnxruntime "
        "in its event loop, and checks nothing.",
    )


def _in_turn(ports: tuple[int, ...], connections: int, body: Path) -> list[Load]:
    """The median load of each port, measured one after the other (A B A B …)."""
    rounds = [[_load(port, connections, body) for port in ports] for _ in range(ROUNDS)]
    return [
        Load(median(load.rate for load in loads), median(load.p99_ms for load in loads))
        for loads in zip(*rounds, strict=True)
    ]


def _row(name: str, load: Load, bare: Load) -> list[str]:
    return [name, f"{load.rate:,.0f}", f"{load.p99_ms:.1f} ms", f"{load.rate / bare.rate:.2f}"]


def _one_row(folder: Path) -> dict[str, object]:
    """The first digit of the sample as an inference request."""
    with (folder / "data" / "digits.csv").open(newline="") as file:
        pixels = [float(value) for value in list(csv.reader(file))[1][:64]]
    tensor = {"name": "input", "shape": [1, 64], "datatype": "FP32", "data": pixels}
    return {"inputs": [tensor]}


@contextmanager
def _mlbench(folder: Path) -> Iterator[int]:
    """`mlbench serve staging` as a process in the foreground; gives its port."""
    with _server([MLBENCH, "serve", "staging"], folder) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if found := re.search(r"staging at (\S+) serves digits", line):
                yield urlsplit(found[1]).port or 0
                return
        raise SystemExit("mlbench serve staging ended early")


@contextmanager
def _bare(body: bytes, *files: str) -> Iterator[int]:
    port = free_port()
    words = [sys.executable, "-m", "benchmarks.bare", str(port), *files]
    with _server(words, FOLDER.parent):
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                _ask(port, body)
            except urllib.error.URLError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                break
        yield port


@contextmanager
def _server(words: Sequence[str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        words,
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate()


def _ask(port: int, body: bytes) -> bytes:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{_PATH}", body)
    with urllib.request.urlopen(request, timeout=_PATIENCE_SECONDS) as response:
        return bytes(response.read())


def _load(port: int, connections: int, body: Path) -> Load:
    if shutil.which("wrk"):
        return _wrk(port, connections, body)
    words = [str(port), _PATH, str(connections), str(SECONDS), str(body)]
    said = run([sys.executable, "-m", "benchmarks.load", *words], FOLDER.parent)
    return Load(**json.loads(said))


def _wrk(port: int, connections: int, body: Path) -> Load:
    script = WORK / "post.lua"
    script.write_text(_LUA.format(body=body), encoding="utf-8")
    words = ["-t1", f"-c{connections}", f"-d{SECONDS}s", "--latency", "-s", str(script)]
    said = run(["wrk", *words, f"http://127.0.0.1:{port}{_PATH}"], FOLDER)
    if "Non-2xx" in said:
        raise SystemExit(said)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", said)
    assert rate is not None, said
    assert p99 is not None, said
    unit = {"us": 0.001, "ms": 1.0, "s": 1000.0}[p99[2]]
    return Load(float(rate[1]), float(p99[1]) * unit)
