"""Logs points one by one with one tracker, from a script's plain loop, and prints the rate.

`python log_points.py TRACKER POINTS`, with that tracker's interpreter, in an empty folder; it needs
the standard library and the tracker alone. Prints one JSON object: points a second, of the calls
and with what closes the tracker.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable

Loop = Callable[[int], None]
Close = Callable[[], None]


def main() -> None:
    """Time the tracker that the command line names; its imports and its beginning don't count."""
    tracker, points = sys.argv[1], int(sys.argv[2])
    loop, close = TRACKERS[tracker]()
    started = time.perf_counter()
    loop(points)
    logged = time.perf_counter()
    close()
    closed = time.perf_counter()
    print(json.dumps({"calls": points / (logged - started), "whole": points / (closed - started)}))


def _mlbench() -> tuple[Loop, Close]:
    import mlbench

    mlbench.log(warm=0)

    def loop(points: int) -> None:
        for step in range(points):
            mlbench.log(loss=1 / (step + 1), step=step)

    return loop, lambda: None


def _mlbench_beside_a_busy_thread() -> tuple[Loop, Close]:
    is_done = threading.Event()

    def count() -> None:
        number = 0
        while not is_done.is_set():
            for _ in range(1000):
                number += 1

    threading.Thread(target=count, daemon=True).start()
    return _mlbench()[0], is_done.set


def _file() -> tuple[Loop, Close]:
    """The limit of what a script does with a file of lines: buffered, lost when it is killed."""
    file = open("points.jsonl", "w", encoding="utf-8")  # noqa: SIM115 - `close` closes it

    def loop(points: int) -> None:
        for step in range(points):
            file.write(f'{{"k":"loss","s":{step},"v":{1 / (step + 1)},"t":{time.time()}}}\n')

    def close() -> None:
        file.flush()
        os.fsync(file.fileno())
        file.close()

    return loop, close


def _trackio() -> tuple[Loop, Close]:
    import trackio  # type: ignore[import-not-found]

    trackio.init(project="bench")

    def loop(points: int) -> None:
        for step in range(points):
            trackio.log({"loss": 1 / (step + 1)})

    return loop, trackio.finish


def _mlflow() -> tuple[Loop, Close]:
    import mlflow  # type: ignore[import-not-found,unused-ignore]

    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    mlflow.start_run()

    def loop(points: int) -> None:
        for step in range(points):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)

    return loop, mlflow.end_run


def _dvclive() -> tuple[Loop, Close]:
    from dvclive import Live  # type: ignore[import-not-found,unused-ignore]

    live = Live("dvclive", save_dvc_exp=False, report=None, dvcyaml=None)

    def loop(points: int) -> None:
        for step in range(points):
            live.log_metric("loss", 1 / (step + 1))
            live.next_step()

    return loop, live.end


TRACKERS: dict[str, Callable[[], tuple[Loop, Close]]] = {
    "mlbench": _mlbench,
    "mlbench-busy": _mlbench_beside_a_busy_thread,
    "file": _file,
    "trackio": _trackio,
    "mlflow": _mlflow,
    "dvclive": _dvclive,
}

if __name__ == "__main__":
    main()
