"""Curves: ten million points drawn from the pyramid, and what a script logs on the screen."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.common import WORK, Figure, milliseconds
from mlbench.domain.curves import Curve
from mlbench.inside.steplog import NAMES_SUFFIX, POINT, RECORDS_SUFFIX
from mlbench.tracking.curves import CurveReader
from mlbench.tracking.pyramid import build_pyramid
from mlbench.tracking.pyramid_file import PYRAMID_NAME
from mlbench.tracking.steps import RECORD_TYPE, StepReader
from mlbench.tui.app import Workbench
from mlbench.tui.draw.curve import MOST_COLUMNS
from mlbench.tui.draw.stage import curve_lines
from mlbench.tui.screens.pipeline import PipelinePane

POINTS = 10_000_000
ROUNDS = 9
SIZE = (120, 36)
SECONDS = 8.0
_LOOK_SECONDS = 0.005
_PATIENCE_SECONDS = 60.0
_SLOW, _FAST = "every 10 ms", "as fast as it can"
_CONFIG = '[stages.train]\ncmd = "python train.py"\n'
# The value is when it was logged, so that a curve's last value tells how old the picture is.
_SCRIPT = """\
import time
import mlbench

ends = time.monotonic() + {seconds}
while time.monotonic() < ends:
    mlbench.log(clock=time.time())
    {rest}
"""


def measure() -> Figure:
    """The pyramid of one long log, then two scripts in the real app, one after the other."""
    folder = _long_log()
    read = _times(lambda: StepReader(folder).gather())
    built = _times(lambda: _build(folder))
    size = (folder / PYRAMID_NAME).stat().st_size
    drawn = _times(lambda: _draw(CurveReader(folder).curves(MOST_COLUMNS)))
    zoomed = _times(
        lambda: _draw(
            CurveReader(folder).curves(
                MOST_COLUMNS, first_step=POINTS // 2, last_step=POINTS // 2 + 5_000
            )
        )
    )
    shutil.rmtree(folder)
    rows = [
        [f"{POINTS:,} points read from the log", milliseconds(read), ""],
        ["… summed up in the pyramid", milliseconds(built), ""],
        ["… drawn: pyramid opened, reduced, drawn", milliseconds(drawn), _met(drawn, 0.2)],
        ["… 5,000 steps of them drawn", milliseconds(zoomed), _met(zoomed, 0.2)],
    ]
    for name in (_SLOW, _FAST):
        ages, lags, rate = asyncio.run(_on_the_screen(name))
        head = f"from mlbench.log to the screen, a script that logs {name}"
        rows.append([head, milliseconds(ages), _met(ages, 0.2)])
        longest = f"{max(lags) * 1000:.0f} ms at most"
        rows.append([f"… {rate:,.0f} points a second; the event loop held up", longest, ""])
    return Figure(
        ["", "median (range)", "aim"],
        rows,
        f"The pyramid has {size / 1e6:.1f} MB beside {POINTS * RECORD_TYPE.itemsize / 1e6:.0f} MB "
        f"of log; {ROUNDS} rounds, without imports, files in the system's cache. The screen is "
        "the workbench's own, 120 by 36; values are the times at which they were logged, and of "
        "the points that a picture is the first to show the oldest counts; "
        f"{SECONDS:g} s each.",
    )


def _times(work: Callable[[], object]) -> list[float]:
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return times


def _met(times: list[float], aim: float) -> str:
    return f"{aim * 1000:.0f} ms, {'met' if median(times) <= aim else 'missed'}"


def _draw(curves: tuple[Curve, ...]) -> None:
    assert curves
    assert len(curve_lines(curves, *SIZE)) > 1


def _build(folder: Path) -> None:
    (folder / PYRAMID_NAME).unlink(missing_ok=True)
    build_pyramid(folder)


def _long_log() -> Path:
    folder = WORK / "curves" / "stage"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    noise = np.random.default_rng(7).normal(0.0, 0.05, POINTS)
    records = np.zeros(POINTS, RECORD_TYPE)
    records["kind"] = POINT
    records["step"] = np.arange(POINTS)
    records["value"] = np.exp(-5.0 * np.arange(POINTS) / POINTS) + noise
    records["at"] = np.arange(POINTS) / 400_000
    (folder / f"steps-1-1{NAMES_SUFFIX}").write_text("loss\n", encoding="utf-8")
    records.tofile(folder / f"steps-1-1{RECORDS_SUFFIX}")
    return folder


async def _on_the_screen(name: str) -> tuple[list[float], list[float], float]:
    """Ages of the pictures as they are drawn, how late the loop's timers came, points a second."""
    rest = "time.sleep(0.01)" if name == _SLOW else "pass"
    root = WORK / "curves" / "project"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    (root / "mlbench.toml").write_text(_CONFIG, encoding="utf-8")
    script = _SCRIPT.format(seconds=SECONDS, rest=rest)
    (root / "train.py").write_text(script, encoding="utf-8")
    app = Workbench(root)
    ages: list[float] = []
    lags: list[float] = []
    first: Curve | None = None
    shown: Curve | None = None
    async with app.run_test(size=SIZE) as pilot:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while app.known.board.last is None and time.monotonic() < deadline:
            before = time.monotonic()
            await asyncio.sleep(_LOOK_SECONDS)
            curves = app.query_one(PipelinePane)._curves
            lags.append(time.monotonic() - before - _LOOK_SECONDS)
            if curves and curves[0] is not shown:
                if shown is None:
                    # What came before was the app's own beginning.
                    first = curves[0]
                    lags.clear()
                else:
                    # The oldest point that this picture is the first to show.
                    ages.append(time.time() - shown.last)
                shown = curves[0]
        await pilot.press("q")
    assert first is not None
    assert shown is not None
    rate = (shown.last_step - first.last_step) / (shown.last - first.last)
    # The last one is the whole series again, once the stage has ended.
    return ages[:-1], lags, rate
