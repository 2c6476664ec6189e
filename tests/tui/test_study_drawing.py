"""A study's charts by keys and clicks, drawn beside the event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from textual.app import App, ComposeResult
from textual.pilot import Pilot

from mlbench.domain.sweeps import Trial
from mlbench.tui.draw.study_chart import HISTORY, IMPORTANCES, SLICE, Choice, Known, Wanted
from mlbench.tui.draw.study_plot import Look
from mlbench.tui.themes import FALLBACK
from mlbench.tui.widgets.study_charts import StudyCharts
from mlbench.tui.widgets.study_plot import StudyPlot
from tests.support import PATIENCE_SECONDS
from tests.tui.test_study_charts import study, trial


class Charts(App[None]):
    """The charts alone, telling what they tell."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[object] = []

    def compose(self) -> ComposeResult:
        yield StudyCharts()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return dict(FALLBACK.variables)

    def on_study_charts_pointed(self, message: StudyCharts.Pointed) -> None:
        self.told.append(message.number)

    def on_study_charts_changed(self) -> None:
        self.told.append(self.query_one(StudyCharts).chart)


async def until(pilot: Pilot[None], holds: Callable[[StudyPlot], bool], story: str) -> str:
    """What the chart says once this holds of it."""
    plot = pilot.app.query_one(StudyPlot)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds(plot):
        assert time.monotonic() < deadline, f"{story}\n{plot.text}"
        await asyncio.sleep(0.01)
        await pilot.pause()
    return plot.text


async def shown(pilot: Pilot[None], words: str) -> str:
    return await until(pilot, lambda plot: words in plot.text, f"never seen: {words}")


def fits(plot: StudyPlot) -> bool:
    return {len(row) for row in plot.text.splitlines()} == {plot.size.width}


async def test_keys_and_clicks_choose_the_chart_the_parameter_and_a_trial() -> None:
    app = Charts()
    async with app.run_test(size=(90, 24)) as pilot:
        charts, plot = app.query_one(StudyCharts), app.query_one(StudyPlot)
        charts.take_focus()
        charts.show(study(*(trial(number, 0.5 + number / 10) for number in range(5))))
        rows = (await shown(pilot, "★ 0.9 in trial 4")).splitlines()
        y = next(at for at, row in enumerate(rows) if "★" in row and at > 0)
        await pilot.click(StudyPlot, offset=(rows[y].index("★") - 1, y))
        assert charts.wants_importances is False
        await pilot.press("v", "v", "right")
        await shown(pilot, "by train.solver")
        await pilot.press("left_square_bracket")
        await shown(pilot, "by train.alpha")
        await pilot.click("#study-tabs", offset=(2, 0))
        await shown(pilot, "★ 0.9 in trial 4")
        assert app.told == [4, IMPORTANCES, SLICE, HISTORY]
        await pilot.resize_terminal(40, 20)
        await pilot.pause()
        await until(pilot, fits, "not drawn for the new size")
        assert plot.size.width == 40
        assert not charts.act("promote")


class Watched(tuple[Trial, ...]):
    """Trials that remember which threads went through them."""

    def __iter__(self) -> Iterator[Trial]:
        self.readers.add(threading.get_ident())
        return super().__iter__()

    @property
    def readers(self) -> set[int]:
        found: set[int] = self.__dict__.setdefault("readers_seen", set())
        return found


async def test_charts_are_worked_out_beside_the_event_loop() -> None:
    app = Charts()
    trials = Watched(trial(number, 0.5 + number / 10) for number in range(5))
    view = replace(study(*trials), trials=trials)
    trials.readers.clear()
    async with app.run_test(size=(90, 24)) as pilot:
        app.query_one(StudyCharts).show(view)
        await shown(pilot, "★ 0.9 in trial 4")
        assert trials.readers
        assert threading.get_ident() not in trials.readers


async def test_a_chart_of_another_study_is_never_shown() -> None:
    app = Charts()
    async with app.run_test(size=(90, 24)) as pilot:
        charts, plot = app.query_one(StudyCharts), app.query_one(StudyPlot)
        one = study(trial(0, 0.1), trial(1, 0.2))
        other = replace(study(trial(0, 0.7)), study=replace(one.study, id="other"))
        charts.show(one)
        await shown(pilot, "★ 0.2")
        charts.show(other)
        assert plot.text == "", "what is of the study before is gone at once"
        await shown(pilot, "★ 0.7")
        look = Look(plot.size.width, plot.size.height)
        late = Wanted(Known(one), Choice(HISTORY), HISTORY, look)
        charts.post_message(StudyCharts.Answered((late, late.drawn())))
        await pilot.pause()
        assert "★ 0.7" in plot.text
        newer = Wanted(
            Known(other, selected=0), Choice(HISTORY), HISTORY, replace(look, selected=0)
        )
        charts.post_message(StudyCharts.Answered((newer, newer.drawn())))
        await shown(pilot, "◆")


async def test_a_chart_that_fails_says_so_and_the_next_is_drawn() -> None:
    app = Charts()
    async with app.run_test(size=(90, 24)) as pilot:
        charts = app.query_one(StudyCharts)
        broken = trial(0, "no number")  # type: ignore[arg-type]
        charts.show(replace(study(), trials=(broken,)))
        await shown(pilot, "The chart could not be drawn: ")
        charts.show(study(trial(0, 0.7)))
        await shown(pilot, "★ 0.7")
