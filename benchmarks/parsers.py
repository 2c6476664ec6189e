"""What may parse the sandbox's HTTP, each with the same handler behind it."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import infer, peer_servers
from benchmarks.common import ENVIRONMENT, FOLDER, WORK, Figure, free_port
from benchmarks.peer_servers import INFER, Served
from benchmarks.peers import python_with

ROUNDS = 5
CONNECTIONS = 32
_HEADERS = {"Content-Type": "application/json"}
_HANDLER = ("onnxruntime", "orjson", "numpy")
_PEERS = {
    "uvicorn": ("uvicorn[standard]", *_HANDLER),
    "granian": ("granian", "uvloop", *_HANDLER),
}


@dataclass(frozen=True)
class Contender:
    """One way to serve: `kind` is benchmarks.parsed's, `package` what its interpreter must have."""

    name: str
    kind: str
    processes: int
    package: str = ""


CONTENDERS = (
    Contender("uvicorn, one worker", "uvicorn", 1, "uvicorn"),
    Contender("uvicorn, two workers on one socket", "uvicorn", 2, "uvicorn"),
    Contender("Granian, two workers, ASGI", "granian-asgi", 1, "granian"),
    Contender("Granian, two workers, RSGI", "granian-rsgi", 1, "granian"),
    Contender("httptools and uvloop alone, one process", "httptools", 1),
    Contender("httptools and uvloop alone, two processes on one socket", "httptools", 2),
    Contender("`mlbench.serving.http`, one process", "mlbench", 1),
    Contender("`mlbench.serving.http`, two processes on one socket", "mlbench", 2),
)


def measure() -> Figure:
    """Load on each of them, in turn."""
    model, body = WORK / "parsers.onnx", WORK / "parsers.json"
    _save_model(model)
    body.write_text(json.dumps(_one_row()), encoding="utf-8")
    spent: dict[Contender, float] = {}
    with ExitStack() as running:
        ports = [running.enter_context(_served(each, model, spent)) for each in CONTENDERS]
        served = [Served(port, INFER, body) for port in ports]
        _compare(served)
        measured = [
            [infer.load_with(each, CONNECTIONS, _HEADERS) for each in served]
            for _ in range(ROUNDS + 1)
        ]
    columns = list(zip(*measured, strict=True))
    return Figure(
        ["what parses HTTP", "answers a second", "by uvicorn's", "CPU an answer", "p99"],
        [
            _row(each, column, columns[0], spent[each])
            for each, column in zip(CONTENDERS, columns, strict=True)
        ],
        f"One row of 64 numbers as JSON through a model of 64 hidden units, {CONNECTIONS} "
        f"connections; medians (range) of {ROUNDS} rounds in turn of {infer.SECONDS} s each, after "
        "one to warm up; the ratio is the median of the rounds' own. CPU is the time of all the "
        "server's processes from start to end, in user and system. The load shares the machine's "
        "cores, so two processes can't give twice as much as one. All run one handler: orjson, "
        "onnxruntime in the event loop, orjson. `mlbench.serving.http` checks Host, Origin and "
        "token besides, and holds to its limits; the others check nothing.",
    )


def _row(
    each: Contender, column: tuple[infer.Load, ...], base: tuple[infer.Load, ...], spent: float
) -> list[str]:
    answers = sum(load.rate for load in column) * infer.SECONDS
    rates = [load.rate for load in column[1:]]
    p99 = [load.p99_ms for load in column[1:]]
    ratios = [load.rate / other.rate for load, other in zip(column[1:], base[1:], strict=True)]
    return [
        each.name,
        f"{median(rates):,.0f} ({min(rates):,.0f}–{max(rates):,.0f})",
        f"{median(ratios):.2f}",
        f"{spent / answers * 1e6:.0f} µs",
        f"{median(p99):.1f} ms ({min(p99):.1f}–{max(p99):.1f})",
    ]


@contextmanager
def _served(each: Contender, model: Path, spent: dict[Contender, float]) -> Iterator[int]:
    """Its processes; gives their port, and when they ended, in `spent`, their seconds of CPU."""
    package = each.package
    python = python_with(package, *_PEERS[package]) if package else sys.executable
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    with listener:
        port = free_port()
        number = port
        if each.package != "granian":
            listener.bind(("127.0.0.1", 0))
            listener.listen(2048)
            port, number = listener.getsockname()[1], listener.fileno()
        processes = [
            subprocess.Popen(
                [python, "-m", "benchmarks.parsed", each.kind, str(number)],
                cwd=FOLDER.parent,
                env={**ENVIRONMENT, "MODEL": str(model)},
                pass_fds=(listener.fileno(),),
            )
            for _ in range(each.processes)
        ]
        try:
            yield port
        finally:
            for process in processes:
                process.send_signal(signal.SIGTERM)
            spent[each] = sum(_end(process) for process in processes)


def _end(process: subprocess.Popen[bytes]) -> float:
    """Seconds of CPU that a process and its children took, once it has ended."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


def _compare(served: list[Served]) -> None:
    """Wait until all are up, and see that all answer the same."""
    answers = [json.loads(_first_answer(each)) for each in served]
    if any(answer != answers[0] for answer in answers):
        raise SystemExit(f"not all contenders answer the same: {answers}")


def _first_answer(served: Served) -> bytes:
    deadline = time.monotonic() + peer_servers.PATIENCE_SECONDS
    while True:
        try:
            return peer_servers.ask(served)
        except urllib.error.URLError as error:
            if isinstance(error, urllib.error.HTTPError) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _one_row() -> dict[str, object]:
    pixels = [float(random.Random(place).randrange(17)) for place in range(64)]
    tensor = {"name": "input", "shape": [1, 64], "datatype": "FP32", "data": pixels}
    return {"inputs": [tensor]}


def _save_model(path: Path) -> None:
    """A classifier of 64 numbers into ten classes, with random weights."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(0)
    first = weights.normal(0, 0.1, (64, 64)).astype(np.float32)
    second = weights.normal(0, 0.1, (64, 10)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["input", "first"], ["hidden"]),
            helper.make_node("Relu", ["hidden"], ["active"]),
            helper.make_node("MatMul", ["active", "second"], ["logits"]),
            helper.make_node("ArgMax", ["logits"], ["label"], axis=1, keepdims=0),
            helper.make_node("Softmax", ["logits"], ["scores"]),
        ],
        "digits",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, 64])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, 10]),
        ],
        [numpy_helper.from_array(first, "first"), numpy_helper.from_array(second, "second")],
    )
    opset = helper.make_opsetid("", 21)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=10), path)
