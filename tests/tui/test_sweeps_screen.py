"""Screen 3 by keys and mouse, beside boards on disk and whoever would coordinate their studies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot

from mlbench.domain.sweeps import EnqueueTrial, Objective, Progress, StopSweep, StopTrial
from mlbench.engine.study_files import StudyFiles
from mlbench.tui.app import Workbench
from mlbench.tui.situation import RUN, SWEEPS
from mlbench.tui.sweep_hand import Begin, SweepDeed
from mlbench.tui.sweeping_reading import SweepQuestion, SweepReaders
from mlbench.tui.widgets.line_list import LineList
from tests.support import SmallProject
from tests.tui.released import ReleasedProject, run_of
from tests.tui.screen import line_with, screen_text, see, toasts, until
from tests.tui.swept import SWEEP, first_trials, make_swept, stepped, trial, write_study

WIDE = (130, 44)
RUNNING = Progress("running", 1)


@pytest.fixture
def swept(tmp_path: Path) -> SmallProject:
    (tmp_path / "swept").mkdir()
    return make_swept(tmp_path / "swept")


@contextmanager
def coordinated(files: StudyFiles) -> Iterator[StudyFiles]:
    """Somebody has this study."""
    assert files.lock.try_acquire()
    try:
        yield files
    finally:
        files.lock.release()


@asynccontextmanager
async def opened(
    project: SmallProject, size: tuple[int, int] = WIDE, screen: str = "sweeps"
) -> AsyncIterator[tuple[Workbench, Pilot[int]]]:
    (project.root / ".mlbench" / "workbench.json").write_text(f'{{"screen": "{screen}"}}')
    app = Workbench(project.root)
    async with app.run_test(size=size) as pilot:
        yield app, pilot


async def received(pilot: Pilot[int], files: StudyFiles) -> list[object]:
    """What the workbench leaves for the coordinator."""
    found: list[object] = []

    def came() -> bool:
        found.extend(files.received())
        return bool(found)

    await until(pilot, came, "no command came")
    return found


async def test_without_a_study_it_says_how_to_begin_and_why_it_can_not(swept: SmallProject) -> None:
    async with opened(swept) as (app, pilot):
        await see(pilot, "No sweep yet", "Press n", "[sweeps.small.space]")
        await pilot.press("s")
        await until(pilot, lambda: bool(toasts(app)), "no word")
        assert "there is no sweep yet: n starts one" in toasts(app)[-1][1]
        await pilot.press("n")
        await see(pilot, "A sweep on the spot", "maximize accuracy")
        await pilot.press("down", "down", *"train.x=1,2", "enter")
        await until(
            pilot, lambda: any(kind == "error" for kind, _ in toasts(app)), "nothing was said"
        )
        assert "train.x" in next(text for kind, text in toasts(app) if kind == "error")
        assert not app.known.beginning


async def test_a_running_study_is_followed_live(swept: SmallProject) -> None:
    files = write_study(swept.root, first_trials(6), progress=RUNNING)
    with coordinated(files):
        async with opened(swept) as (app, pilot):
            shown = await see(pilot, "small", "running", "6 of 30", "TPESampler seed=7", "2 jobs")
            assert " 5  ✗ failed" in shown
            assert "★" in line_with(app, " 4  ✓ complete"), "the best is marked"
            assert " 3  ✂ pruned" in shown
            assert "alpha" in shown
            files.write_trials(stepped(6, 3))
            await see(pilot, "▶ running", "1 running")
            assert app.situation.trial is not None
            assert app.situation.trial.number == 6, "the cursor follows the newest"
            files.write_trials([trial(6)])
            await see(pilot, "7 of 30", "★ 0.9570")
            assert "▶7/30" in screen_text(app).splitlines()[0], "how far, on any screen"
            files.write_progress(Progress("ended", 1, "nothing better in 20 trials", True))
            await see(pilot, "✓ done", "nothing better in 20 trials")


@pytest.mark.long
async def test_the_cursor_stays_on_its_trial_and_the_table_sorts(swept: SmallProject) -> None:
    files = write_study(swept.root, first_trials(10), progress=RUNNING)
    with coordinated(files):
        async with opened(swept) as (app, pilot):
            await see(pilot, "10 of 30")
            await pilot.press("down", "down", "down")
            await until(pilot, lambda: _number(app) == 6, "not on trial 6")
            files.write_trials([trial(10), trial(11)])
            await see(pilot, "12 of 30")
            assert _number(app) == 6
            # By state, then by value: the best comes first.
            await pilot.press("o", "o", "home")
            await until(pilot, lambda: _number(app) == 11, "not sorted by value")
            await pilot.press("O")
            await until(pilot, lambda: _order(app)[0] == 0, "the order was not turned round")
            await pilot.press("slash", *"failed", "enter")
            await see(pilot, "1 of 12 with “failed”", "out of memory")
            await pilot.press("escape")
            await see(pilot, "12 trials")


def _number(app: Workbench) -> int | None:
    chosen = app.situation.trial
    return chosen.number if chosen is not None else None


def _order(app: Workbench) -> list[int]:
    return [each.number for each in app.known.sweeps.rows]


async def test_trials_are_added_and_stopped_and_then_the_sweep(swept: SmallProject) -> None:
    files = write_study(swept.root, [trial(0), *stepped(1, 2)], progress=RUNNING)
    best = dict(trial(0).params)
    with coordinated(files):
        async with opened(swept) as (app, pilot):
            await see(pilot, "1 running")
            await pilot.press("a")
            await see(pilot, "The next trial of small", "train.hidden", "32", "1e-5 … 0.1 log")
            await pilot.press("down", "end", "9")
            await see(pilot, '"329" is none of 32, 64, 128')
            await pilot.press("enter", "backspace", "enter")
            assert await received(pilot, files) == [EnqueueTrial(best)]
            await pilot.press("s")
            assert await received(pilot, files) == [StopSweep()]
            await see(pilot, "s stops at once")
            await pilot.press("s")
            assert await received(pilot, files) == [StopSweep(at_once=True)]
            await pilot.press("X")
            await see(pilot, "Stop trial 1?")
            await pilot.press("y")
            assert await received(pilot, files) == [StopTrial(1)]
            assert any("trial 1 is being stopped" in text for _, text in toasts(app))


async def test_starting_going_on_and_restarting(swept: SmallProject) -> None:
    write_study(swept.root, first_trials(3), progress=Progress("ended", 1, "it was stopped"))
    async with opened(swept) as (app, pilot):
        begun: list[SweepDeed] = []
        app.sweep_hand.do = begun.append  # type: ignore[method-assign,assignment]
        await see(pilot, "■ stopped", "it was stopped")
        await pilot.press("u")
        await until(pilot, lambda: len(begun) == 1, "it does not go on")
        assert begun == [Begin(SWEEP)]
        app.known = replace(app.known, beginning=())
        await pilot.press("R")
        await see(pilot, "Restart small?", "3 trials of this")
        await pilot.press("y")
        await until(pilot, lambda: len(begun) == 2, "not restarted")
        assert begun[-1] == Begin(SWEEP, restart=True)


async def test_p_writes_the_best_parameters_after_showing_the_difference(
    swept: SmallProject,
) -> None:
    write_study(swept.root, first_trials(3))
    async with opened(swept) as (app, pilot):
        await see(pilot, "3 trials")
        await pilot.press("p")
        await see(pilot, "Apply trial 2?", "-hidden = 32", "+hidden = 128")
        await pilot.press("n", "p")
        await see(pilot, "Apply trial 2?")
        assert "hidden = 32" in swept.read("params.toml"), "nothing is written unasked"
        await pilot.press("y")
        await until(pilot, lambda: "hidden = 128" in swept.read("params.toml"), "not applied")
        await until(
            pilot, lambda: any("are in params.toml" in text for _, text in toasts(app)), "no word"
        )
        await pilot.press("p")
        await until(pilot, lambda: any("already" in text for _, text in toasts(app)), "no word")


async def test_enter_opens_the_trials_run(tmp_path: Path) -> None:
    (tmp_path / "swept").mkdir()
    project = ReleasedProject(make_swept(tmp_path / "swept").root)
    run = run_of(1, 0.97)
    project.record(run)
    write_study(project.root, [trial(0, runs=(run.id,))])
    async with opened(project) as (app, pilot):
        await see(pilot, "1 trial")
        await pilot.press("enter")
        await until(pilot, lambda: app.situation.screen == RUN, "the run was not opened")
        await see(pilot, run.name)


@pytest.mark.long
async def test_another_study_is_chosen_by_key_and_by_mouse(swept: SmallProject) -> None:
    write_study(swept.root, first_trials(4), number=1)
    two = replace(
        SWEEP, name="wide", objectives=(*SWEEP.objectives, Objective("log_loss", "minimize"))
    )
    both = [trial(n, values=(0.9 + n / 100, 0.1 + n / 10)) for n in range(3)]
    write_study(swept.root, both, number=2, sweep=two)
    async with opened(swept) as (app, pilot):
        await see(pilot, "wide", "small", "maximize accuracy", "minimize log_loss")
        assert app.known.sweeps.chosen is not None
        assert len(app.known.sweeps.chosen.view.best) == 3, "all are on the front"
        await pilot.click("#studies", offset=(4, 2))
        await see(pilot, "4 trials", "pruned")
        assert app.situation.study is not None
        assert app.situation.study.name == "small"
        app.query_one("#studies", LineList).focus()
        await pilot.press("up")
        await see(pilot, "3 trials")


async def test_a_sweep_that_runs_is_seen_on_screen_1(swept: SmallProject) -> None:
    files = write_study(swept.root, first_trials(4), progress=RUNNING)
    with coordinated(files):
        async with opened(swept, screen="pipeline") as (app, pilot):
            await see(pilot, "small  4 of 30", "3 opens")
            await pilot.press("q")
            await see(pilot, "Quit?", "Sweeping: small", "goes on without a workbench")
            await pilot.press("n")
            await pilot.click("#sweeping", offset=(3, 0))
            await until(
                pilot, lambda: app.situation.screen == SWEEPS, "a click does not lead there"
            )


def test_only_what_is_new_of_a_study_is_read(swept: SmallProject) -> None:
    files = write_study(swept.root, map(trial, range(500)), progress=RUNNING)
    readers = SweepReaders(swept.root, print)
    with coordinated(files):
        first = readers.look(SweepQuestion())
        assert len(first.rows) == 500
        assert readers.look(SweepQuestion()) is first, "nothing new costs nothing"
        known = {id(each) for each in first.rows}
        files.write_trials([trial(500)])
        again = readers.look(SweepQuestion())
        assert len(again.rows) == 501
        assert sum(id(each) not in known for each in again.rows) == 1, "the rest was not read again"


@pytest.mark.long
async def test_ten_thousand_trials_are_drawn_as_seen(swept: SmallProject) -> None:
    files = write_study(swept.root, map(trial, range(10_000)), progress=RUNNING)
    with coordinated(files):
        async with opened(swept) as (app, pilot):
            await see(pilot, "10000 trials", "9999")
            await pilot.press("end")
            await until(pilot, lambda: _number(app) == 0, "not at the end")
            assert len(app.query_one("#trials-list", LineList)._strips) < 200


@pytest.mark.parametrize(
    "size",
    [
        pytest.param((40, 20), marks=pytest.mark.long),
        (80, 24),
        pytest.param((300, 80), marks=pytest.mark.long),
    ],
)
async def test_it_fits_every_size(swept: SmallProject, size: tuple[int, int]) -> None:
    files = write_study(swept.root, [*first_trials(12), *stepped(12, 9)], progress=RUNNING)
    with coordinated(files):
        async with opened(swept, size) as (app, pilot):
            shown = await see(pilot, "12 of 30", "Trials", "★", "? keys")
            assert len(shown.splitlines()) == size[1]
            for _ in range(3):
                await pilot.press("v")
                shown = await see(pilot, "small", "? keys")
                assert len(shown.splitlines()) == size[1]
            await pilot.press("escape")
            await see(pilot, "▶ running")
            assert app.situation.trial is not None


async def test_without_colour_states_are_still_told(
    swept: SmallProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    write_study(swept.root, first_trials(8), progress=Progress("ended", 1, "stopped by hand"))
    async with opened(swept) as (app, pilot):
        await see(pilot, "■ stopped", "✓ complete", "✂ pruned", "✗ failed", "★")
        strips = app.screen._compositor.render_strips()
        assert not any(
            part.style and part.style.color and part.style.color.triplet
            and len(set(part.style.color.triplet)) > 1
            for strip in strips for part in strip
        )  # fmt: skip
