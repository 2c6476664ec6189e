"""Every size of terminal, and lists of every length."""

from __future__ import annotations

import pytest

from mlbench.tui.app import Workbench
from mlbench.tui.screens.runs import RunsPane
from mlbench.tui.widgets.line_list import LineList
from mlbench.tui.widgets.piece_bar import PieceBar
from tests.support import SmallProject
from tests.tui.screen import WIDE, built, see, until


@pytest.mark.parametrize("size", [(40, 20), (80, 24), (120, 40), (300, 80)])
async def test_every_screen_fits_every_size(small: SmallProject, size: tuple[int, int]) -> None:
    app = Workbench(small.root)
    async with app.run_test(size=size) as pilot:
        await built(pilot)
        for key, marker in (
            ("1", "prepare"),
            ("2", "run"),
            ("3", "No sweep yet"),
            ("4", "No model"),
            ("5", "Serving"),
        ):
            await pilot.press(key)
            shown = await see(pilot, marker, "? keys")
            lines = shown.splitlines()
            assert len(lines) == size[1]
            assert "? keys" in lines[-1]
            assert "small" in lines[0]
        await pilot.press("2", "enter")
        await see(pilot, "passed", "? keys")
        await pilot.press("question_mark")
        await see(pilot, "Keys: run")


async def test_turning_the_terminal_stacks_the_panes(small: SmallProject) -> None:
    app = Workbench(small.root)
    async with app.run_test(size=WIDE) as pilot:
        await built(pilot)
        stages, log = app.query_one("#stages"), app.query_one("#stage")
        await until(pilot, lambda: stages.region.y == log.region.y, "not side by side")
        await pilot.resize_terminal(50, 40)
        await until(pilot, lambda: log.region.y > stages.region.y, "not one above the other")
        assert log.region.width == 50


async def test_only_seen_lines_are_drawn_however_many_there_are(small: SmallProject) -> None:
    app = Workbench(small.root)
    async with app.run_test(size=WIDE) as pilot:
        await built(pilot)
        await pilot.press("2")
        await see(pilot, "changed params")
        run = app.known.history.runs[0]
        drawn: list[int] = []
        listed = app.query_one("#runs-list", LineList)

        def draw(index: int, width: int) -> object:
            drawn.append(index)
            return app.query_one(PieceBar).render()

        app.query_one(RunsPane).draw = lambda known, moment: None  # type: ignore[method-assign]
        listed.show(100_000, draw)  # type: ignore[arg-type]
        await pilot.press("end")
        await until(pilot, lambda: 99_999 in drawn, "the last line was never drawn")
        assert len(set(drawn)) < 3 * WIDE[1]
        assert run.name
