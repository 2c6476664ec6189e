"""Draw the pictures of the docs with the app itself: `python docs/make_pictures.py`."""

from __future__ import annotations

import asyncio
import itertools
import math
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from textual.pilot import Pilot

from mlbench.engine.sandbox import Sandbox
from mlbench.engine.session import find_layout, make_sample
from mlbench.tui.app import Workbench

_HERE = Path(__file__).parent
_SIZE = (120, 34)
_PATIENCE_SECONDS = 120.0
_CHARTED_SECONDS = 45.0
_DRAWN_TRIALS = 17


async def draw(folder: Path, target: Path) -> None:
    """Let the first run pass, promote it, edit a parameter; draw what follows, and both models."""
    app = Workbench(folder)
    async with app.run_test(size=_SIZE) as pilot:

        async def see(words: str) -> None:
            await _until(pilot, lambda: words in _text(app), words)

        await see("p promotes")
        await pilot.press("p")
        await see("staging v1 ●")
        params = folder / "params.toml"
        params.write_text(params.read_text().replace("alpha = 0.1 ", "alpha = 0.08"))
        await see("epoch 120")
        app.clear_notifications()
        await pilot.pause(0.2)
        _save(app, target / "workbench.svg")
        await _until(pilot, lambda: len(app.known.history.runs) > 1, "the second run")
        await pilot.press("2", "d")
        await see("╭─ curves")
        await see("because")
        await pilot.press("L")
        app.clear_notifications()
        await pilot.pause(0.5)
        _save(app, target / "runs.svg")
        await _draw_sweep(app, pilot, target)
        await pilot.press("4")
        await see("candidate")
        await see("Signature")
        app.clear_notifications()
        await pilot.pause(0.5)
        _save(app, target / "models.svg")
        stop = threading.Event()
        asking = threading.Thread(target=_ask, args=(folder, stop))
        asking.start()
        try:
            await _draw_serving(app, pilot, target)
        finally:
            stop.set()
            asking.join()


async def _draw_sweep(app: Workbench, pilot: Pilot[int], target: Path) -> None:
    """Draw screen 3 in the middle of the sample's sweep, and stop that."""
    await pilot.press("3")
    await _until(pilot, lambda: "No sweep yet" in _text(app), "screen 3")
    await pilot.press("n")
    await _until(pilot, lambda: "small" in _text(app), "the sweeps to choose from")
    await pilot.press("enter")
    await _until(pilot, lambda: _ended_trials(app) >= _DRAWN_TRIALS, "the trials")
    app.clear_notifications()
    await pilot.pause(0.5)
    _save(app, target / "sweeps.svg")
    await pilot.press("s", "s")
    await _until(pilot, lambda: "stopped" in _text(app), "the end of the sweep")


async def _draw_serving(app: Workbench, pilot: Pilot[int], target: Path) -> None:
    """Draw screen 5 once its charts look back far enough, and the form with an answer."""
    await pilot.press("5")
    await _until(pilot, lambda: _known_seconds(app) > _CHARTED_SECONDS, "the charts")
    app.clear_notifications()
    await pilot.pause(0.5)
    _save(app, target / "serving.svg")
    await pilot.press("a")
    await _until(pilot, lambda: "held-out row 0" in _text(app), "the form")
    await pilot.press("enter")
    await _until(pilot, lambda: "the same" in _text(app), "the answer")
    _save(app, target / "try-it.svg")


def _ask(folder: Path, stop: threading.Event) -> None:
    """Ask staging about the held-out rows, one after the other, more and less often."""
    sandbox = Sandbox(find_layout(folder))
    for row in itertools.count():
        sandbox.ask(sandbox.request("staging", row=row % 100))
        if stop.wait(0.01 + 0.01 * math.sin(row / 60)):
            return


def _ended_trials(app: Workbench) -> int:
    chosen = app.known.sweeps.chosen
    return sum(trial.state.has_ended for trial in chosen.view.trials) if chosen is not None else 0


def _known_seconds(app: Workbench) -> float:
    """How far back the charts of staging look."""
    trail = app.trails.get(("staging", "", ""))
    points = trail.points if trail is not None else ()
    return points[-1].at - points[0].at if points else 0.0


async def _until(pilot: Pilot[int], holds: Callable[[], bool], story: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(story)
        await pilot.pause(0.05)


def _save(app: Workbench, target: Path) -> None:
    target.write_text(_without_web_fonts(app.export_screenshot()), encoding="utf-8")


def _text(app: Workbench) -> str:
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


def _without_web_fonts(svg: str) -> str:
    """A picture in the docs fetches nothing: the reader's own monospaced font will do."""
    return re.sub(r"@font-face\s*{[^}]*}", "", svg)


def main() -> None:
    """Make every picture anew."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "digits"
        os.environ.pop("NO_COLOR", None)
        make_sample(folder)
        try:
            asyncio.run(draw(folder, _HERE))
        finally:
            sandbox = Sandbox(find_layout(folder))
            for environment in sandbox.environments():
                sandbox.down(environment)


if __name__ == "__main__":
    main()
