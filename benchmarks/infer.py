"""Inference over HTTP against `mlbench serve`, beside what others serve the same model with."""

from __future__ import annotations

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import numpy as np

from benchmarks import peer_servers
from benchmarks.common import ENVIRONMENT, FOLDER, MLBENCH, WORK, Figure, fresh_sample, run
from benchmarks.peer_servers import INFER, Served

ROUNDS = 7
SECONDS = 3
CONNECTIONS = 32
ROWS = 1024
PROMOTIONS = 7
_LUA = """\
wrk.method = "POST"
local headers = {headers}
for name, value in pairs(headers) do wrk.headers[name] = value end
local file = io.open("{body}", "rb")
wrk.body = file:read("*a")
file:close()
"""


@dataclass(frozen=True)
class Load:
    """Answers a second, and the milliseconds that 99 of 100 were within."""

    rate: float
    p99_ms: float


def measure() -> Figure:
    """One row from 32 connections, in turn with MLServer, BentoML and a bare handler."""
    with _staging("infer") as (folder, port), ExitStack() as stack:
        body = WORK / "one.json"
        body.write_text(json.dumps(_one_row(folder)), encoding="utf-8")
        model = _model(folder)
        servers = {
            "`mlbench serve`": Served(port, INFER, body),
            "bare uvicorn, one worker": stack.enter_context(peer_servers.bare_uvicorn(model, body)),
            "MLServer": stack.enter_context(peer_servers.mlserver(model, body)),
            "BentoML": stack.enter_context(peer_servers.bentoml(model, body)),
        }
        loads = in_turn({name: _loader(served) for name, served in servers.items()})
    ours = loads["`mlbench serve`"]
    rows = [_row(name, load, ours) for name, load in loads.items()]
    return Figure(
        ["one row of 64 numbers, JSON", "answers a second", "mlbench's by it", "p99", "by it"],
        rows,
        f"Medians of {ROUNDS} rounds in turn of {SECONDS} s each with {CONNECTIONS} connections, "
        f"after a warm-up; the load comes from the same two cores ({_tool()}). mlbench counts and "
        "logs every request, has a worker for each core, and checks what it is sent; the bare "
        "handler checks nothing. Aims: ten times MLServer's rate with a third of its p99, and 1.3 "
        "times the bare handler's rate.",
    )


def measure_rows() -> Figure:
    """1,024 rows in the binary extension, in turn with onnxruntime alone."""
    with _staging("rows") as (folder, port):
        model = _model(folder)
        body, length = _many_rows(folder)
        served = Served(port, INFER, body)
        headers = {"Inference-Header-Content-Length": str(length)}
        alone = _alone(model, folder)
        loads = in_turn(
            {
                "onnxruntime alone, one thread": alone,
                "`mlbench serve`, one connection": _loader(served, 1, headers),
                "`mlbench serve`, 4 connections": _loader(served, 4, headers),
            }
        )
    limit = loads["onnxruntime alone, one thread"]
    rows = [
        [name, f"{load.rate:,.0f}", f"{load.rate / limit.rate:.2f}", f"{load.p99_ms:.1f} ms"]
        for name, load in loads.items()
    ]
    return Figure(
        [f"{ROWS:,} rows of 64 numbers, binary", "calls a second", "of onnxruntime", "p99"],
        rows,
        f"Medians of {ROUNDS} rounds in turn of {SECONDS} s each. onnxruntime alone runs the same "
        "rows in a loop, in a process of its own, without anything around it. The aim is half of "
        "its rate.",
    )


def measure_promotion() -> Figure:
    """From the command to the first answer of the new version, as a client sees it."""
    with _staging("promotion") as (folder, port):
        run([MLBENCH, "run", "--force"], folder)
        seconds = [_promotion(folder, port, turn) for turn in range(PROMOTIONS)]
    return Figure(
        ["from the command to", "median", "range"],
        [
            [
                "the first answer of the new version",
                f"{median(seconds) * 1000:.0f} ms",
                f"{min(seconds) * 1000:.0f}–{max(seconds) * 1000:.0f} ms",
            ]
        ],
        f"{PROMOTIONS} promotions and rollbacks of the sample in turn by the command line, whose "
        "start is counted with; a client asks all the time. In the workbench the key is there "
        "already. The aim is a second.",
    )


def in_turn(loaders: dict[str, Callable[[], Load]]) -> dict[str, Load]:
    """The median load of each, measured one after the other (A B A B …), after a warm-up."""
    rounds = [[load() for load in loaders.values()] for _ in range(ROUNDS + 1)][1:]
    return {
        name: Load(median(load.rate for load in loads), median(load.p99_ms for load in loads))
        for name, loads in zip(loaders, zip(*rounds, strict=True), strict=True)
    }


def _row(name: str, load: Load, ours: Load) -> list[str]:
    return [
        name,
        f"{load.rate:,.0f}",
        f"{ours.rate / load.rate:.2f}",
        f"{load.p99_ms:.1f} ms",
        f"{ours.p99_ms / load.p99_ms:.2f}",
    ]


@contextmanager
def _staging(name: str) -> Iterator[tuple[Path, int]]:
    """A fresh copy of the sample, trained, promoted and served; its folder and port."""
    folder = fresh_sample(name)
    run([MLBENCH, "run"], folder)
    run([MLBENCH, "promote", "digits", "staging"], folder)
    run([MLBENCH, "serve", "--stop", "staging"], folder)
    with _foreground([MLBENCH, "serve", "staging"], folder) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if found := re.search(r"staging at (\S+) serves digits", line):
                yield folder, urlsplit(found[1]).port or 0
                return
        raise SystemExit("mlbench serve staging ended early")


@contextmanager
def _foreground(words: Sequence[str], folder: Path) -> Iterator[subprocess.Popen[str]]:
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


def _model(folder: Path) -> Path:
    return folder / ".mlbench" / "models" / "digits" / "1" / "model.onnx"


def _pixels(folder: Path, rows: int) -> list[list[float]]:
    """The first digits of the sample, from the beginning again where they end."""
    with (folder / "data" / "digits.csv").open(newline="") as file:
        known = [[float(value) for value in row[:64]] for row in list(csv.reader(file))[1:]]
    return [known[number % len(known)] for number in range(rows)]


def _one_row(folder: Path) -> dict[str, object]:
    (pixels,) = _pixels(folder, 1)
    tensor = {"name": "input", "shape": [1, 64], "datatype": "FP32", "data": pixels}
    return {"inputs": [tensor]}


def _many_rows(folder: Path) -> tuple[Path, int]:
    """A file of a request's JSON and its binary rows, and the length of the JSON."""
    values = np.array(_pixels(folder, ROWS), np.float32).tobytes()
    tensor = {
        "name": "input",
        "shape": [ROWS, 64],
        "datatype": "FP32",
        "parameters": {"binary_data_size": len(values)},
    }
    text = json.dumps({"parameters": {"binary_data_output": True}, "inputs": [tensor]}).encode()
    body = WORK / "rows.bin"
    body.write_bytes(text + values)
    return body, len(text)


def _alone(model: Path, folder: Path) -> Callable[[], Load]:
    rows = WORK / "rows.npy"
    np.save(rows, np.array(_pixels(folder, ROWS), np.float32))

    def load() -> Load:
        words = [str(model), str(rows), str(SECONDS)]
        said = run([sys.executable, "-m", "benchmarks.alone", *words], FOLDER.parent)
        return Load(**json.loads(said))

    return load


def _promotion(folder: Path, port: int, turn: int) -> float:
    """Seconds until a version other than the one before answers."""
    served = Served(port, INFER, WORK / "one.json")
    served.body.write_text(json.dumps(_one_row(folder)), encoding="utf-8")
    before = json.loads(peer_servers.ask(served))["model_version"]
    # Uncommitted code is no hindrance in staging; the same version can't be promoted twice.
    words = ["rollback", "staging"] if turn % 2 else ["promote", "digits", "staging"]
    answered = threading.Event()
    taken: list[float] = []

    def follow(started: float) -> None:
        while json.loads(peer_servers.ask(served))["model_version"] == before:
            if time.perf_counter() - started > peer_servers.PATIENCE_SECONDS:
                return
        taken.append(time.perf_counter() - started)
        answered.set()

    thread = threading.Thread(target=follow, args=(time.perf_counter(),))
    thread.start()
    run([MLBENCH, *words], folder)
    thread.join()
    if not answered.is_set():
        raise SystemExit(f"mlbench {' '.join(words)}: no other version answers")
    return taken[0]


def _tool() -> str:
    return "wrk" if shutil.which("wrk") else "benchmarks/load.py, for wrk is not installed"


def _loader(
    served: Served, connections: int = CONNECTIONS, headers: dict[str, str] | None = None
) -> Callable[[], Load]:
    """What loads a server: wrk where it is installed, else our own."""
    sent = {"Content-Type": "application/json", **(headers or {})}
    return lambda: load_with(served, connections, sent)


def load_with(served: Served, connections: int, headers: dict[str, str]) -> Load:
    """Load a server from so many connections for SECONDS; SystemExit for any other status."""
    if shutil.which("wrk"):
        return _wrk(served, connections, headers)
    words = [str(served.port), served.path, str(connections), str(SECONDS), str(served.body)]
    said = run(
        [sys.executable, "-m", "benchmarks.load", *words, json.dumps(headers)], FOLDER.parent
    )
    return Load(**json.loads(said))


def _wrk(served: Served, connections: int, headers: dict[str, str]) -> Load:
    script = WORK / "post.lua"
    table = ", ".join(f'["{name}"] = "{value}"' for name, value in headers.items())
    script.write_text(_LUA.format(body=served.body, headers=f"{{{table}}}"), encoding="utf-8")
    words = ["-t1", f"-c{connections}", f"-d{SECONDS}s", "--latency", "-s", str(script)]
    said = run(["wrk", *words, f"http://127.0.0.1:{served.port}{served.path}"], FOLDER)
    # BentoML turns some away under load, which is part of what it does; errors of ours are not.
    if "Non-2xx" in said and served.path == INFER:
        raise SystemExit(said)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", said)
    assert rate is not None, said
    assert p99 is not None, said
    unit = {"us": 0.001, "ms": 1.0, "s": 1000.0}[p99[2]]
    return Load(float(rate[1]), float(p99[1]) * unit)
