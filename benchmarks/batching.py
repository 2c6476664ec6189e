"""ResNet-18 served with dynamic batches and without, to a crowd and to a lone client."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.common import (
    ENVIRONMENT,
    FOLDER,
    MLBENCH,
    WORK,
    Figure,
    free_port,
    run,
)
from benchmarks.load import load

ROUNDS = 5
SECONDS = 3.0
WARM_SECONDS = 0.5
CROWD = 32
SIDES = {"small": 32, "large": 224}
AIM = 1.3
_HEADS = (
    "one image a request",
    "largest batch",
    "batched, a second",
    "p50, p99",
    "single, a second",
    "p50, p99",
    "batched by single, median of pairs (range)",
    "aim",
)
_BATCHED, _SINGLE = "batched", "single"
_PATIENCE_SECONDS = 60
_PROJECT = """\
[project]
name = "images"

[environments.batched]
port = {batched}

[environments.single]
port = {single}
batching = false
"""
_MODEL = """
[stages.{name}]
cmd = "python resnet.py {side} build/{name}.onnx build/{name}.npz"
deps = ["resnet.py"]
outs = ["build/{name}.onnx", "build/{name}.npz"]

[models.{name}]
stage = "{name}"
path = "build/{name}.onnx"
sample = "build/{name}.npz"
"""


@dataclass(frozen=True)
class Load:
    """Answers a second, and the milliseconds that half and 99 of 100 of them were within."""

    rate: float
    p50_ms: float
    p99_ms: float


def measure() -> Figure:
    """Both environments serve both models; each is loaded in turn, batched and single."""
    ports = {_BATCHED: free_port(), _SINGLE: free_port()}
    folder = _project(ports)
    rows = []
    with _served(folder, ports):
        for name, side in SIDES.items():
            for clients in (CROWD, 1):
                requests = {each: _request(port, name, side) for each, port in ports.items()}
                rounds = [
                    {each: _load(ports[each], requests[each], clients) for each in ports}
                    for _ in range(ROUNDS)
                ]
                most = _most_rows(ports[_BATCHED], name)
                rows.append(_row(side, clients, most, rounds))
    return Figure(
        _HEADS,
        rows,
        f"ResNet-18 with random weights (11.7 million), images as binary tensors, both with their "
        f"request log and counters; {ROUNDS} pairs in turn of {SECONDS:g} s each, the load on the "
        "same machine. The largest batch is what the server chose by the timings of the export; 1 "
        "says that batches don't pay. The aim is for the model that they pay for.",
    )


def _project(ports: dict[str, int]) -> Path:
    """A project whose stages make the networks; both are promoted to both environments."""
    folder = WORK / "batching"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(FOLDER / "resnet.py", folder)
    text = _PROJECT.format(**ports)
    text += "".join(_MODEL.format(name=name, side=side) for name, side in SIDES.items())
    (folder / "mlbench.toml").write_text(text, encoding="utf-8")
    run(["git", "init", "--quiet"], folder)
    run([MLBENCH, "run"], folder)
    for environment in ports:
        for name in SIDES:
            run([MLBENCH, "promote", name, environment], folder)
        run([MLBENCH, "serve", "--stop", environment], folder)
    return folder


@contextmanager
def _served(folder: Path, ports: dict[str, int]) -> Iterator[None]:
    """`mlbench serve` of both environments in the foreground."""
    process = subprocess.Popen(
        [MLBENCH, "serve", *ports],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not all(_answers(port) for port in ports.values()):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("mlbench serve does not answer")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    try:
        return all(_most_rows(port, name) >= 0 for name in SIDES)
    except (OSError, KeyError):
        return False


def _most_rows(port: int, name: str) -> int:
    """The largest batch that a server makes for a model; 1 where it makes none."""
    url = f"http://127.0.0.1:{port}/v2/models/{name}/config"
    with urllib.request.urlopen(url, timeout=_PATIENCE_SECONDS) as response:
        return int(json.load(response)["max_batch_size"]) or 1


def _request(port: int, name: str, side: int) -> bytes:
    """One image of noise for a model, as bytes on the wire; its answer is binary, too."""
    image = np.random.default_rng(2).normal(size=(1, 3, side, side)).astype("<f4").tobytes()
    sizes = {"binary_data_size": len(image)}
    shape = [1, 3, side, side]
    tensor = {"name": "input", "shape": shape, "datatype": "FP32", "parameters": sizes}
    wanted = {"name": "scores", "parameters": {"binary_data": True}}
    said = json.dumps({"inputs": [tensor], "outputs": [wanted]}).encode()
    head = (
        f"POST /v2/models/{name}/infer HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        "Content-Type: application/octet-stream\r\n"
        f"Inference-Header-Content-Length: {len(said)}\r\n"
        f"Content-Length: {len(said) + len(image)}\r\n\r\n"
    )
    return head.encode() + said + image


def _load(port: int, request: bytes, clients: int) -> Load:
    load(port, request, clients, WARM_SECONDS)
    began = time.perf_counter()
    took = sorted(load(port, request, clients, SECONDS))
    elapsed = time.perf_counter() - began
    if not took:
        raise SystemExit(f"{clients} clients had no answer within {SECONDS:g} s")
    p50, p99 = (took[int(len(took) * share)] * 1000 for share in (0.5, 0.99))
    return Load(len(took) / elapsed, p50, p99)


def _row(side: int, clients: int, most: int, rounds: Sequence[dict[str, Load]]) -> list[str]:
    ratios = [pair[_BATCHED].rate / pair[_SINGLE].rate for pair in rounds]
    ratio = median(ratios)
    aimed = most > 1 and clients > 1
    who = f"{clients} clients" if clients > 1 else "a lone client"
    return [
        f"{side} × {side}, {who}",
        str(most),
        *_cells([pair[_BATCHED] for pair in rounds]),
        *_cells([pair[_SINGLE] for pair in rounds]),
        f"{ratio:.2f} ({min(ratios):.2f}–{max(ratios):.2f})",
        (f"{AIM}, {'met' if ratio >= AIM else 'missed'}" if aimed else ""),
    ]


def _cells(loads: Sequence[Load]) -> list[str]:
    p50, p99 = (median(getattr(each, name) for each in loads) for name in ("p50_ms", "p99_ms"))
    return [f"{median(each.rate for each in loads):,.0f}", f"{p50:.1f}, {p99:.1f} ms"]
