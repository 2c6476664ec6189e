"""How many points a script logs a second, one by one, beside the trackers that people use."""

from __future__ import annotations

import json
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.common import ENVIRONMENT, FOLDER, WORK, Command, Figure, in_turn, run
from benchmarks.peers import python_with

ROUNDS = 5
KILLS = 10
IMPORTS = 15
# So many points a round that each takes some seconds at most.
POINTS = {
    "mlbench": 1_000_000,
    "mlbench-busy": 500_000,
    "file": 1_000_000,
    "trackio": 60_000,
    "mlflow": 300,
    "dvclive": 300,
}
_NAMES = {
    "mlbench": "mlbench.log",
    "mlbench-busy": "mlbench.log, beside a busy Python thread",
    "file": "one buffered file, lost when the script is killed",
    "trackio": "Trackio",
    "mlflow": "MLflow, on SQLite",
    "dvclive": "DVCLive",
}
_AIMS = {"mlbench": 400_000, "mlbench-busy": 100_000}
_SCRIPT = FOLDER / "log_points.py"
_LOG_AND_COUNT = """
import mmap, struct, mlbench
with open("count", "r+b") as file:
    count = mmap.mmap(file.fileno(), 8)
step = 0
while True:
    mlbench.log(loss=1 / (step + 1), step=step)
    step += 1
    struct.pack_into("<q", count, 0, step)
"""


def measure() -> Figure:
    """Every tracker in turn; then how many points a kill costs, and what the import costs."""
    shutil.rmtree(WORK / "log", ignore_errors=True)
    rates: dict[str, list[float]] = {tracker: [] for tracker in POINTS}
    for _ in range(ROUNDS):
        for tracker in POINTS:
            rates[tracker].append(_rate(tracker))
    own = median(rates["mlbench"])
    rows = [
        [_NAMES[tracker], f"{rate:,.0f}", _ratio(own / rate), _met(tracker, rate)]
        for tracker, rate in ((tracker, median(found)) for tracker, found in rates.items())
    ]
    logged, lost = _kill()
    return Figure(
        ["points logged one by one", "a second", "mlbench.log is", "aim"],
        rows,
        f"Medians of {ROUNDS} rounds in turn; imports and beginnings don't count. Of {logged:,} "
        f"points that mlbench.log had taken in {KILLS} scripts before a kill -9, {lost} were lost. "
        f"`import mlbench` adds {_import_milliseconds():.1f} ms to an interpreter (the aim is "
        "5 ms). The aims beside the others: 10 times Trackio, 2,000 times MLflow.",
    )


def _ratio(ratio: float) -> str:
    return f"{ratio:,.0f} times it" if ratio >= 10 else f"{ratio:.1f} times it"


def _met(tracker: str, rate: float) -> str:
    aim = _AIMS.get(tracker)
    return "" if aim is None else f"{aim:,}, {'met' if rate >= aim else 'missed'}"


def _rate(tracker: str) -> float:
    """Points a second of one tracker, in a folder and a process of their own."""
    peer = tracker in ("trackio", "mlflow", "dvclive")
    python = python_with(tracker) if peer else sys.executable
    folder = _fresh_folder()
    environment = {
        **ENVIRONMENT,
        "PYTHONPATH": "" if peer else str(FOLDER.parent),
        "TRACKIO_DIR": str(folder),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DVC_NO_ANALYTICS": "1",
    }
    printed = run([python, str(_SCRIPT), tracker, str(POINTS[tracker])], folder, environment)
    return float(json.loads(printed.splitlines()[-1])["calls"])


def _kill() -> tuple[int, int]:
    """Points that scripts had logged when they were killed, and how many of them are not there."""
    from mlbench.tracking.steps import StepReader

    chance = random.Random(4)
    logged = lost = 0
    for _ in range(KILLS):
        folder = _fresh_folder()
        (folder / "count").write_bytes(bytes(8))
        with subprocess.Popen(
            [sys.executable, "-c", _LOG_AND_COUNT],
            cwd=folder,
            env={**ENVIRONMENT, "PYTHONPATH": str(FOLDER.parent)},
        ) as process:
            time.sleep(0.5 + chance.random())
            process.send_signal(signal.SIGKILL)
        (counted,) = struct.unpack("<q", (folder / "count").read_bytes())
        (stage,) = (folder / ".mlbench" / "runs").glob("*/stages/*")
        kept = StepReader(stage).gather()["loss"].count
        logged, lost = logged + counted, lost + max(0, counted - kept)
    return logged, lost


def _import_milliseconds() -> float:
    """What `import mlbench` adds to the life of an interpreter."""
    here = FOLDER.parent
    commands = {
        statement: Command([sys.executable, "-c", statement], here, ENVIRONMENT)
        for statement in ("pass", "import mlbench")
    }
    times = in_turn(commands, IMPORTS)
    return (median(times["import mlbench"]) - median(times["pass"])) * 1000


def _fresh_folder() -> Path:
    """A project of its own each time: the last one may still be described in the background."""
    below = WORK / "log"
    below.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=below))
    (folder / ".mlbench").mkdir()
    return folder
