"""From a save to the start of the stage that it touches, with the loop open."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from typing import IO, Any

from benchmarks.common import ENVIRONMENT, MLBENCH, Figure, fresh_sample, milliseconds, run

ROUNDS = 10


def measure() -> Figure:
    """Write train.py, wait for its stage_started on `mlbench watch --json`, stop the run."""
    folder = fresh_sample("reaction")
    run([MLBENCH, "run"], folder)
    script = folder / "train.py"
    code = script.read_text(encoding="utf-8")
    seconds = []
    with subprocess.Popen(
        [MLBENCH, "watch", "--json"], cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    ) as watch:
        assert watch.stdout is not None
        try:
            _wait(watch.stdout, lambda event: event["event"] == "watch_changed")
            for number in range(ROUNDS):
                # A constant is a real change of the code; a comment would start nothing.
                changed = f"{code}\nROUND = {number}\n"
                started = time.perf_counter()
                script.write_text(changed, encoding="utf-8")
                _wait(watch.stdout, _starts_training)
                seconds.append(time.perf_counter() - started)
                run([MLBENCH, "stop"], folder)
                _wait(watch.stdout, lambda event: event["event"] == "run_finished")
        finally:
            watch.send_signal(signal.SIGINT)
            watch.communicate()
    return Figure(
        ["from a save of train.py to", "median (range)"],
        [["its stage_started event in another process", milliseconds(seconds)]],
        f"{ROUNDS} saves by another program, each a real change of the code; "
        "the watch waits 50 ms for more edits.",
    )


def _starts_training(event: dict[str, Any]) -> bool:
    return (event["event"], event.get("stage")) == ("stage_started", "train")


def _wait(events: IO[str], is_it: Callable[[dict[str, Any]], bool]) -> None:
    """Read events until one is it; SystemExit where the loop ends before."""
    for line in events:
        if is_it(json.loads(line)):
            return
    raise SystemExit("mlbench watch ended early; its errors are above")
