"""The app itself, by keys and clicks, on the real engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from textual.command import CommandPalette
from textual.widgets import Input

from mlbench.domain.commands import SetWatch
from mlbench.domain.errors import UsageError
from mlbench.domain.outcomes import RunOutcome, StageOutcome
from mlbench.tui.actions import ACTIONS
from mlbench.tui.app import Workbench
from mlbench.tui.palette import ActionProvider
from mlbench.tui.screens.pipeline import PipelinePane
from mlbench.tui.screens.runs import RunsPane
from mlbench.tui.widgets.dialog import HelpPage, QuestionDialog
from mlbench.tui.widgets.filter_line import FilterLine
from mlbench.tui.widgets.log_view import LogView
from tests.support import SmallProject
from tests.tui.screen import WIDE, built, line_with, screen_text, see, toasts, until


async def test_opening_it_builds_what_is_new_and_says_what_came_of_it(small: SmallProject) -> None:
    app = Workbench(small.root)
    async with app.run_test(size=WIDE) as pilot:
        await built(pilot)
        shown = await see(pilot, "3 of 3 stages ran", "score 0.5", "◉ watching")
        assert "first build" in shown
        assert "✓ prepare" in shown
        assert app.known.board.last is not None
        assert app.known.board.last.outcome is RunOutcome.PASSED


async def test_a_save_runs_what_it_touches_and_the_cursor_follows(held: SmallProject) -> None:
    app = Workbench(held.root)
    async with app.run_test(size=WIDE) as pilot:
        await built(pilot)
        held.write("hold", "")
        held.write("params.toml", "[train]\nrate = 0.25\n")
        await see(pilot, "running 0:0", "≔ train.rate  0.5 → 0.25", "step 2", "loss 0.3333")
        assert "train" in line_with(app, "▌", "rate 0.5 → 0.25")
        assert app.situation.stage == "train"
        await pilot.press("up")
        assert app.situation.stage == "prepare"
        await see(pilot, "esc follows the run")
        await pilot.press("escape")
        await until(pilot, lambda: app.situation.stage == "train", "esc did not follow again")
        (held.root / "hold").unlink()
        shown = await see(pilot, "train.rate 0.5 → 0.25 · score 0.75 ▲ 0.25 · ")
        assert "1 of 3 stages ran" in shown


async def test_a_stage_that_fails_stands_in_the_cursor_with_its_message_and_log(
    small: SmallProject,
) -> None:
    app = Workbench(small.root)
    async with app.run_test(size=WIDE) as pilot:
        await built(pilot)
        small.write("rule.py", "def score(rate):\n    raise ValueError('no such [rate]')\n")
        await see(pilot, "✗ failed", "ValueError: no such [rate]", "failed at train", "Traceback")
        assert app.situation.stage == "train"
        small.write("rule.py", "def score(rate):\n    return 1 - rate\n")
        await until(
            pilot,
            lambda: app.known.board.is_fresh and "✗ failed" not in screen_text(app),
            "what was mended still stands as failed",
        )


async def test_a_key_that_can_not_work_says_why(small: SmallProject) -> None:
    app = Workbench(small.root)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await built(pilot)
        await pilot.press("s", "p")
        await until(pilot, lambda: len(toasts(app)) >= 2, "no toasts")
        assert ("warning", "stop: nothing is running") in toasts(app)
        said = [text for _, text in toasts(app) if text.startswith("promote: ")]
        assert said == ["promote: mlbench.toml names no model to release: add [models.NAME]"]


async def test_stop_stops_and_force_runs_again(held: SmallProject) -> None:
    app = Workbench(held.root)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await built(pilot)
        held.write("hold", "")
        await until(pilot, lambda: app.situation.stage is not None, "no stage under the cursor")
        await pilot.press("home", "down")
        assert app.situation.stage == "train"
        await pilot.press("f")
        await see(pilot, "running 0:0", "forced")
        await pilot.press("s")
        await see(pilot, "■ cancelled")
        assert ("information", "stopping train") in toasts(app)
        train = app.known.board.stage("train")
        assert train is not None
        assert train.outcome is StageOutcome.CANCELLED


async def test_watching_can_be_paused_and_r_runs_by_hand(small: SmallProject) -> None:
    app = Workbench(small.root)
    async with app.run_test(size=WIDE) as pilot:
        await built(pilot)
        await pilot.press("w")
        await see(pilot, "○ paused")
        small.write("params.toml", "[train]\nrate = 0.1\n")
        await pilot.press("r")
        await see(pilot, "score 0.9 ▲ 0.4")
        assert app.known.history.latest is not None
        assert app.known.history.latest.origin == "manual"


async def test_the_history_opens_a_run_compares_two_and_filters_as_one_types(
    small: SmallProject,
) -> None:
    app = Workbench(small.root)
    async with app.run_test(size=WIDE) as pilot:
        await built(pilot)
        small.write("params.toml", "[train]\nrate = 0.25\n")
        await until(pilot, lambda: len(app.known.history.runs) == 2, "no second run")
        await pilot.press("2")
        shown = await see(pilot, "changed params", "train.rate 0.5 → 0.25", "2 runs of 2")
        assert shown.index("0.7500") < shown.index("0.5000"), "newest first"

        await pilot.press("enter")
        await see(pilot, "1 changed since", "Stages", "score")
        await pilot.press("down")
        await see(pilot, "step 2", "loss 0.3333")
        await pilot.press("escape", "space", "space", "d")
        shown = await see(pilot, "≠ train.rate", "≠ score", "▲ 0.25")
        await pilot.press("escape", "escape")

        await pilot.press("slash", *"score > 0.6")
        await see(pilot, "1 run of 2")
        await pilot.press("backspace", "backspace", "backspace")
        await see(pilot, "✗ not an expression: score >", "0.7500")
        await pilot.press("escape")
        await see(pilot, "2 runs of 2")
        await pilot.press("o", "o")
        pane = app.query_one(RunsPane)
        assert pane.question.sort == "metrics.score"
        await pilot.press("O")
        await until(
            pilot,
            lambda: [run.metrics["score"] for run in app.known.history.runs] == [0.5, 0.75],
            "not the other way round",
        )


async def test_what_was_chosen_is_there_again_the_next_day(small: SmallProject) -> None:
    app = Workbench(small.root)
    async with app.run_test(size=WIDE) as pilot:
        await built(pilot)
        await pilot.press("2", "o", "a")
        await until(pilot, lambda: app.memory.runs_everything, "not remembered")
    again = Workbench(small.root)
    async with again.run_test(size=WIDE) as pilot:
        await see(pilot, "archived, trials and failed too")
        assert again.query_one(RunsPane).question.sort == "seconds"


async def test_everything_can_be_clicked(small: SmallProject) -> None:
    app = Workbench(small.root)
    async with app.run_test(size=WIDE) as pilot:
        await built(pilot)
        await see(pilot, "3 of 3 stages ran")

        async def click(bar: str, words: str) -> None:
            await see(pilot, words)
            place = app.query_one(bar).region
            rows = screen_text(app).splitlines()[place.y : place.bottom]
            row, text = next((n, text) for n, text in enumerate(rows) if words in text)
            await pilot.click(bar, offset=(text.index(words) - place.x + 1, row))

        await click("#top", "2 Runs")
        await see(pilot, "changed params")
        await pilot.click("#runs-list", offset=(5, 0), times=2)
        await see(pilot, "Stages")
        await click("#keys", "esc back")
        await see(pilot, "changed params")
        await click("#runs-header", "took")
        await until(
            pilot, lambda: app.query_one(RunsPane).question.sort == "seconds", "not sorted by it"
        )
        await click("#top", "1 Pipeline")
        await pilot.click("#stages", offset=(6, 1))
        await until(pilot, lambda: app.situation.stage == "prepare", "row not chosen")
        await click("#keys", "? keys")
        await until(pilot, lambda: isinstance(app.screen, HelpPage), "no help")


async def test_the_palette_has_every_action_with_its_twin_and_does_it(small: SmallProject) -> None:
    app = Workbench(small.root)
    async with app.run_test(size=WIDE) as pilot:
        await built(pilot)
        await pilot.press("colon")
        await until(pilot, lambda: isinstance(app.screen, CommandPalette), "no palette")
        provider = ActionProvider(app.screen)
        hits = [str(hit.prompt) async for hit in provider.discover()]
        for action in ACTIONS:
            assert any(hit.startswith(f"{action.label} ") and action.twin in hit for hit in hits)
        assert "theme monochrome" in hits
        found = [str(hit.prompt) async for hit in provider.search("rollb")]
        assert found[0].startswith("rollback")
        await pilot.press(*"Models")
        await until(pilot, lambda: "candidates, versions" in screen_text(app), "not found")
        await pilot.press("enter", "enter")
        await see(pilot, "No model to release yet")
        assert app.situation.screen == "models"


async def test_help_lists_the_keys_of_this_screen(small: SmallProject) -> None:
    app = Workbench(small.root)
    async with app.run_test(size=WIDE) as pilot:
        await built(pilot)
        await pilot.press("question_mark")
        await see(pilot, "Keys: pipeline", "bring every stage up to date", "mlbench run")
        await pilot.press("escape")
        await until(pilot, lambda: len(app.screen_stack) == 1, "esc did not close it")


async def test_a_broken_project_file_is_said_until_it_is_mended(small: SmallProject) -> None:
    app = Workbench(small.root)
    async with app.run_test(size=WIDE) as pilot:
        await built(pilot)
        good = small.read("mlbench.toml")
        small.write(
            "mlbench.toml", good.replace('cmd = "python train.py"', 'cdm = "python train.py"')
        )
        shown = await see(pilot, "Mend this first", '(did you mean "cmd"?)', "Press e")
        assert "small" in shown.splitlines()[0], "what was known stays on the screen"
        for screen in ("2", "4"):
            await pilot.press(screen)
            assert "✗ mlbench.toml:12: " in line_with(app, "✗ mlbench.toml")
        await pilot.press("1")
        small.write("mlbench.toml", good)
        await until(pilot, lambda: "did you mean" not in screen_text(app), "still said")


async def test_a_project_without_stages_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "mlbench.toml").write_text('[project]\nname = "empty"\n')
    app = Workbench(tmp_path)
    async with app.run_test(size=WIDE) as pilot:
        await see(pilot, "No stages yet", "[stages.train]")
        await pilot.press("2")
        await see(pilot, "No runs yet. Press r to run")


async def test_a_folder_without_a_project_is_refused_before_the_screen(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        Workbench(tmp_path)


async def test_a_second_workbench_attaches_and_its_commands_arrive(small: SmallProject) -> None:
    first, second = Workbench(small.root), Workbench(small.root)
    async with first.run_test(size=WIDE) as one:
        await built(one)
        async with second.run_test(size=WIDE) as two:
            await see(two, "attached", "✓ prepare")
            await two.press("w")
            await see(two, "○ paused")
            await see(one, "○ paused")
        first.send(SetWatch(True))
        await see(one, "◉ watching")


async def test_a_log_is_followed_until_one_scrolls_up(small: SmallProject) -> None:
    small.write(
        "prepare.py", small.read("prepare.py") + 'for n in range(500):\n    print("line", n)\n'
    )
    app = Workbench(small.root)
    async with app.run_test(size=WIDE) as pilot:
        await built(pilot)
        await pilot.press("up", "up")
        await see(pilot, "line 499", "following")
        await pilot.press("enter")
        view = app.query_one(PipelinePane).query_one(LogView)
        assert view.has_focus
        await pilot.press("pageup")
        await see(pilot, "stopped, end follows")
        assert "line 499" not in screen_text(app)
        await pilot.press("end")
        await see(pilot, "line 499", "following")
        await pilot.press("slash", *"line 77")
        await see(pilot, "/line 77")
        assert view.count == 1
        await pilot.press("escape")
        await until(pilot, lambda: view.count == 500, "the filter stayed")


async def test_stages_are_filtered_by_name(small: SmallProject) -> None:
    app = Workbench(small.root)
    async with app.run_test(size=WIDE) as pilot:
        await built(pilot)
        await pilot.press("slash", *"rep")
        await until(pilot, lambda: "train" not in line_with(app, "└─"), "not filtered")
        await pilot.press("enter")
        assert not isinstance(app.focused, Input)
        assert app.query_one(FilterLine).display


async def test_quitting_with_a_run_on_its_way_asks_and_stops_it(held: SmallProject) -> None:
    held.write("hold", "")
    app = Workbench(held.root)
    async with app.run_test(size=WIDE) as pilot:
        await see(pilot, "running 0:0")
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, QuestionDialog), "did not ask")
        await see(pilot, "Still running: ", "It can go on", "y yes", "n no")
        await pilot.press("n")
        await until(pilot, lambda: len(app.screen_stack) == 1, "no is no")
        await pilot.press("ctrl+q", "down", "y")
        await until(pilot, lambda: not app.is_running or app.return_value == 0, "did not end")
    assert app.return_value == 0
    (run,) = json.loads(held.cli("runs", "--all", "--json").stdout)
    assert run["outcome"] == "cancelled"


async def test_the_log_of_one_stage_is_never_shown_as_that_of_another(small: SmallProject) -> None:
    app = Workbench(small.root)
    async with app.run_test(size=WIDE) as pilot:
        await built(pilot)
        app.query_one(PipelinePane).query_one("#stages").focus()
        # The cursor follows what runs, and may stand on either side of it.
        await pilot.press("up", "up", "up")
        await until(pilot, lambda: app.situation.stage == "prepare", "the top was never reached")
        while app.situation.stage != "train":
            assert app.situation.stage != "report"
            await pilot.press("down")
        await see(pilot, "step 2")
        # From here on nothing can be read any more, as in the moment before it is.
        app.readers.stage.close()
        await pilot.press("up")
        shown = await see(pilot, "nothing logged")
        assert app.situation.stage == "prepare"
        assert "step 2" not in shown
