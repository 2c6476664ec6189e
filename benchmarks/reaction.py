"""From a save to the start of the stage's process that it touches, with the loop open."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from benchmarks.common import ENVIRONMENT, MLBENCH, Figure, fresh_sample, milliseconds, run

ROUNDS = 15
# The stage's first command says when it began, by the clock of the save; its script comes second.
_CONFIG_LINE = 'cmd = "python train.py"'
_PATIENCE_LOOKS = 500
_REST_SECONDS = 1.0
_BEGINS = "date +%s%N >> .mlbench/began"


def measure() -> Figure:
    """Write train.py, wait for its stage on `mlbench watch --json`, stop the run; each round."""
    folder = fresh_sample("reaction")
    config = folder / "mlbench.toml"
    text = config.read_text(encoding="utf-8")
    assert _CONFIG_LINE in text, text
    config.write_text(
        text.replace(_CONFIG_LINE, f'cmd = ["{_BEGINS}", "python train.py"]'), encoding="utf-8"
    )
    run([MLBENCH, "run"], folder)
    told, began = _rounds(folder)
    return Figure(
        ["from a save of train.py to", "median (range)"],
        [
            ["the start of its stage's process", milliseconds(began)],
            ["its stage_started event in another process", milliseconds(told)],
        ],
        f"{ROUNDS} saves by another program, each a real change of the code; the watch waits 50 ms "
        "for more edits, and the loop is at rest. The stage's first command is `date`. The aim is "
        "100 ms.",
    )


def _rounds(folder: Path) -> tuple[list[float], list[float]]:
    """Seconds from each save to the event, and to the process."""
    script, began_file = folder / "train.py", folder / ".mlbench" / "began"
    code = script.read_text(encoding="utf-8")
    told: list[float] = []
    began: list[float] = []
    with subprocess.Popen(
        [MLBENCH, "watch", "--json"], cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    ) as watch:
        assert watch.stdout is not None
        try:
            _wait(watch.stdout, lambda event: event["event"] == "watch_changed")
            for number in range(ROUNDS):
                # The loop looks at the tree after a run as well: it would see the save before the
                # watch tells of it.
                time.sleep(_REST_SECONDS)
                # A constant is a real change of the code; a comment would start nothing.
                changed = f"{code}\nROUND = {number}\n"
                saved = time.time_ns()
                script.write_text(changed, encoding="utf-8")
                _wait(watch.stdout, _starts_training)
                told.append((time.time_ns() - saved) / 1e9)
                began.append((_begun_since(began_file, saved) - saved) / 1e9)
                run([MLBENCH, "stop"], folder)
                _wait(watch.stdout, lambda event: event["event"] == "run_finished")
        finally:
            watch.send_signal(signal.SIGINT)
            watch.communicate()
    return told, began


def _begun_since(file: Path, saved: int) -> int:
    """When the stage's process began after a save (ns); SystemExit where it does not."""
    for _ in range(_PATIENCE_LOOKS):
        began = int(file.read_text(encoding="utf-8").split()[-1])
        if began > saved:
            return began
        time.sleep(0.01)
    raise SystemExit("the stage was told to have started, but its process did not begin")


def _starts_training(event: dict[str, Any]) -> bool:
    return (event["event"], event.get("stage")) == ("stage_started", "train")


def _wait(events: IO[str], is_it: Callable[[dict[str, Any]], bool]) -> None:
    """Read events until one is it; SystemExit where the loop ends before."""
    for line in events:
        if is_it(json.loads(line)):
            return
    raise SystemExit("mlbench watch ended early; its errors are above")
