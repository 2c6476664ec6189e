"""Reading the screen as a user does, and waiting for what it comes to show."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from textual.pilot import Pilot

from mlbench.tui.app import Workbench
from tests.support import PATIENCE_SECONDS

WIDE = (120, 36)


def screen_text(app: Workbench) -> str:
    """What a user sees, line by line."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


async def until(
    pilot: Pilot[int], holds: Callable[[], bool], story: str, seconds: float = PATIENCE_SECONDS
) -> None:
    """Let the app go on until something holds; fails with the story and the screen."""
    deadline = time.monotonic() + seconds
    await pilot.pause()
    while not holds():
        app = pilot.app
        assert isinstance(app, Workbench)
        assert time.monotonic() < deadline, f"{story}\n{screen_text(app)}"
        await asyncio.sleep(0.01)
        await pilot.pause()


async def see(pilot: Pilot[int], *words: str) -> str:
    """Wait until the screen shows all these words; gives the whole of it."""
    app = pilot.app
    assert isinstance(app, Workbench)
    await until(
        pilot, lambda: all(word in screen_text(app) for word in words), f"never seen: {words}"
    )
    return screen_text(app)


async def built(pilot: Pilot[int]) -> None:
    """Wait until the first run has ended and is in the history."""
    app = pilot.app
    assert isinstance(app, Workbench)
    await until(
        pilot,
        lambda: app.known.board.last is not None and app.known.history.latest is not None,
        "the first run never ended",
    )


def toasts(app: Workbench) -> list[tuple[str, str]]:
    return [(note.severity, note.message) for note in app._notifications]


def line_with(app: Workbench, *words: str) -> str:
    lines = screen_text(app).splitlines()
    return next((line for line in lines if all(word in line for word in words)), "")
