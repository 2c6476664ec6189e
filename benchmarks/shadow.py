"""What a shadow costs the live version's answers."""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks.common import FOLDER, MLBENCH, WORK, Figure, free_port, fresh_sample, run
from mlbench.domain.serving import ShadowSpec
from mlbench.serving.traffic.budget import interval_of

PAIRS = 7
SECONDS = 4.0
CONNECTIONS = 32
MODERATE = 0.3
_PATH = "/v2/models/digits/infer"
_HEADERS = json.dumps({"Content-Type": "application/json"})
_PATIENCE_SECONDS = 60.0
# What a rate that was held comes to at least, and how often a pair is begun.
_HELD, _TRIES = 0.95, 5
# Loads before the one that counts: what copying costs is known after three pairs of windows.
_SETTLING = 2

Load = Callable[[], float | None]
"""Asks for some seconds and gives the p99 in milliseconds; None where the rate was not held."""


def measure() -> Figure:
    """The live p99 with a shadow by that without, in pairs, at a moderate and at a full load."""
    with _staging() as (folder, port):
        loads: dict[str, Callable[[], Load]] = {
            f"{MODERATE:.0%} of the rate that is reached": lambda: _moderate(port),
            f"{CONNECTIONS} connections without a pause": lambda: lambda: _full(port),
        }
        rows = [_row(name, folder, make_load) for name, make_load in loads.items()]
    budget = ShadowSpec().p99_budget
    return Figure(
        [
            "load",
            "p99 without",
            "p99 with",
            "ratio of p99s",
            "95% interval",
            f"budget {1 + budget:g}",
            "compared",
            "dropped",
        ],
        rows,
        f"{PAIRS} pairs without and with a shadow in turn, {SECONDS:g} s each, the first of a pair "
        "by turns, after a shadow's budget had time for its first look; medians, and the geometric "
        "mean of the pairs' ratios with its 95% interval by Student's t; the budget is kept where "
        "that interval does not lie above it. The moderate rate is that of a second without pauses "
        "right before its pair, which is measured anew where the machine did not hold it. The "
        "sample's model, one row; the shadow is another version of it, at its default of all "
        "requests, and the load shares the machine's cores.",
    )


def _row(name: str, folder: Path, make_load: Callable[[], Load]) -> list[str]:
    found = [_pair(folder, turn, make_load) for turn in range(PAIRS)]
    pairs = [pair for pair, _ in found]
    interval = interval_of([after / before for before, after in pairs]) or (0.0, 0.0)
    mean = (interval[0] * interval[1]) ** 0.5
    compared, dropped = (sum(state[key] for _, state in found) for key in ("compared", "dropped"))
    return [
        name,
        f"{median(pair[0] for pair in pairs):.2f} ms",
        f"{median(pair[1] for pair in pairs):.2f} ms",
        f"{mean:.2f}",
        f"{interval[0]:.2f}–{interval[1]:.2f}",
        "kept" if interval[0] <= 1 + ShadowSpec().p99_budget else "broken",
        f"{compared:,}",
        f"{dropped:,}",
    ]


def _pair(
    folder: Path, turn: int, make_load: Callable[[], Load]
) -> tuple[tuple[float, float], dict[str, int]]:
    """The p99 without and with a shadow under one load, and what the shadow counted."""
    for _ in range(_TRIES):
        load = make_load()
        found: dict[bool, float] = {}
        state: dict[str, int] = {}
        for is_on in (turn % 2 == 1, turn % 2 == 0):
            _switch(folder, is_on)
            for _ in range(_SETTLING if is_on else 0):
                load()
            p99 = load()
            if p99 is None:
                break
            found[is_on] = p99
            state = _state(folder) if is_on else state
        else:
            return (found[False], found[True]), state
    raise SystemExit(f"the machine did not hold {MODERATE:.0%} of its rate {_TRIES} times in a row")


def _moderate(port: int) -> Load:
    """A part of the rate that is reached at this moment."""
    rate = round(_load("benchmarks.load", port, 1.0)[0] * MODERATE)

    def load() -> float | None:
        held, p99 = _load("benchmarks.paced", port, SECONDS, str(rate))
        return p99 if held >= _HELD * rate else None

    return load


def _full(port: int) -> float:
    return _load("benchmarks.load", port, SECONDS)[1]


@contextmanager
def _staging() -> Iterator[tuple[Path, int]]:
    """The sample served with one version, and a candidate to shadow it; its folder and port."""
    folder, port = fresh_sample("shadow"), free_port()
    config = folder / "mlbench.toml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("port = 8101", f"port = {port}"), encoding="utf-8")
    run([MLBENCH, "run"], folder)
    run([MLBENCH, "promote", "digits", "staging"], folder)
    run([MLBENCH, "run", "--force"], folder)
    WORK.joinpath("shadow.json").write_text(json.dumps(_one_row(folder)), encoding="utf-8")
    try:
        yield folder, port
    finally:
        run([MLBENCH, "serve", "--stop"], folder)


def _switch(folder: Path, is_on: bool) -> None:
    """Begin or end the shadow, and wait until it compares or is gone."""
    if is_on:
        run([MLBENCH, "shadow", "digits", "staging"], folder)
        _wait_for(lambda: _is_up(folder))
    elif _state(folder):
        run([MLBENCH, "shadow", "--stop", "digits", "staging"], folder)
        _wait_for(lambda: not _state(folder))


def _wait_for(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not check():
        if time.monotonic() > deadline:
            raise SystemExit("the shadow neither began nor ended")
        time.sleep(0.05)


def _is_up(folder: Path) -> bool:
    counted = folder / ".mlbench/serving/staging.shadows/counted.json"
    return bool(_state(folder)) and counted.exists()


def _state(folder: Path) -> dict[str, int]:
    file = folder / ".mlbench/serving/staging.shadows/now.json"
    states = json.loads(file.read_text()) if file.exists() else []
    return dict(states[0]) if states else {}


def _one_row(folder: Path) -> dict[str, Sequence[dict[str, object]]]:
    with (folder / "data" / "digits.csv").open(newline="") as file:
        pixels = [float(value) for value in list(csv.reader(file))[1][:64]]
    return {"inputs": [{"name": "input", "shape": [1, 64], "datatype": "FP32", "data": pixels}]}


def _load(program: str, port: int, seconds: float, *more: str) -> tuple[float, float]:
    """Answers a second, and their p99 in milliseconds."""
    body = str(WORK / "shadow.json")
    words = [str(port), _PATH, str(CONNECTIONS), str(seconds), body, _HEADERS, *more]
    said = json.loads(run([sys.executable, "-m", program, *words], FOLDER.parent))
    return said["rate"], said["p99_ms"]
