"""Draw the pictures of the docs with the app itself: `python docs/make_pictures.py`."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from mlbench.engine.sandbox import Sandbox
from mlbench.engine.session import find_layout, make_sample
from mlbench.tui.app import Workbench

_HERE = Path(__file__).parent
_SIZE = (120, 34)
_PATIENCE_SECONDS = 120.0


async def draw(folder: Path, target: Path) -> None:
    """Let the first run pass, promote it, edit a parameter; draw what follows, and both models."""
    app = Workbench(folder)
    async with app.run_test(size=_SIZE) as pilot:

        async def until(holds: Callable[[], bool], story: str) -> None:
            deadline = time.monotonic() + _PATIENCE_SECONDS
            while not holds():
                if time.monotonic() > deadline:
                    raise TimeoutError(story)
                await pilot.pause(0.05)

        async def see(words: str) -> None:
            await until(lambda: words in _text(app), words)

        await see("p promotes")
        await pilot.press("p")
        await see("staging v1 ●")
        params = folder / "params.toml"
        params.write_text(params.read_text().replace("alpha = 0.1 ", "alpha = 0.08"))
        await see("epoch 120")
        app.clear_notifications()
        await pilot.pause(0.2)
        _save(app, target / "workbench.svg")
        await until(lambda: len(app.known.history.runs) > 1, "the second run")
        await pilot.press("2", "d")
        await see("╭─ curves")
        await see("because")
        await pilot.press("L")
        app.clear_notifications()
        await pilot.pause(0.5)
        _save(app, target / "runs.svg")
        await pilot.press("4")
        await see("candidate")
        await see("Signature")
        app.clear_notifications()
        await pilot.pause(0.5)
        _save(app, target / "models.svg")


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
