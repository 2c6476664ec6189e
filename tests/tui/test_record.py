"""Screen 2 on a real record: marks, undo, columns, export, comparing, restoring, many runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from mlbench.domain.outcomes import RunOutcome
from mlbench.domain.runs import CodeState, Run
from mlbench.engine.exporting import History as Runs
from mlbench.tui.app import Told, Workbench
from mlbench.tui.history import History, HistoryQuestion, PassedBefore
from mlbench.tui.record_deeds import changed_tags
from mlbench.tui.screens.runs import RunsPane
from mlbench.tui.widgets.columns_dialog import ColumnsDialog
from mlbench.tui.widgets.dialog import QuestionDialog
from mlbench.tui.widgets.line_list import LineList
from mlbench.tui.widgets.picture_page import PicturePage
from mlbench.tui.widgets.text_dialog import TextDialog
from tests.support import SmallProject, commit_all
from tests.tui.screen import WIDE, line_with, screen_text, see, toasts, until

SAVES = """
import mlbench
mlbench.log_table([{"row": 1, "error": 0.5}], "errors")
"""


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three passed runs with other rates, the last with other code: copied for each test."""
    from tests.support import CONFIG, PREPARE, REPORT, TRAIN

    project = SmallProject(tmp_path_factory.mktemp("record") / "small")
    files = {"mlbench.toml": CONFIG, "prepare.py": PREPARE, "report.py": REPORT, "train.py": TRAIN}
    files |= {"data.txt": "Some DATA\n", "rule.py": "def score(rate):\n    return 1 - rate\n"}
    files |= {".gitignore": "build/\n", "params.toml": "[train]\nrate = 0.5\n"}
    for name, text in files.items():
        project.write(name, text)
    commit_all(project.root)
    assert project.cli("run").returncode == 0
    project.write("params.toml", "[train]\nrate = 0.25\n")
    assert project.cli("run").returncode == 0
    project.write("params.toml", "[train]\nrate = 0.1\n")
    project.write("train.py", TRAIN + SAVES)
    done = project.cli("run")
    assert done.returncode == 0, done.stderr
    return project.root


@pytest.fixture
def recorded(record: Path, tmp_path: Path) -> SmallProject:
    root = tmp_path / "small"
    shutil.copytree(record, root, symlinks=True)
    return SmallProject(root)


async def at_runs(pilot: Pilot[int], app: Workbench) -> None:
    await until(pilot, lambda: app.known.history.is_read, "the record was never read")
    await pilot.press("2")
    await see(pilot, "3 runs of 3", "0.9000")


def names(app: Workbench) -> list[str]:
    return [run.name for run in app.known.history.runs]


async def test_marks_are_written_shown_and_taken_back(recorded: SmallProject) -> None:
    app = Workbench(recorded.root)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await at_runs(pilot, app)
        first = names(app)[0]
        await pilot.press("z")
        assert ("warning", "undo: there is nothing to undo") in toasts(app)
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, TextDialog), "no dialog")
        await pilot.press(*"seems good", "enter")
        await until(pilot, lambda: app.known.history.runs[0].marks.note == "seems good", "no note")
        await pilot.press("number_sign", *"good team=x", "enter", "asterisk", "b")
        await see(pilot, f"{first} ★⚑", "good team=x")
        assert "▼" in line_with(app, names(app)[1]), "the change against the baseline"
        await until(pilot, lambda: app.known.history.baseline is not None, "no baseline")
        await pilot.press("z")
        await until(pilot, lambda: app.known.history.baseline is None, "not undone")
        assert any(f"undone: {first} is now the baseline" in text for _, text in toasts(app))
        await pilot.press("number_sign", "ctrl+u", *"team=y", "enter")
        await until(
            pilot, lambda: app.known.history.runs[0].marks.tags == ("team=y",), "not tagged anew"
        )
    listed = json.loads(recorded.cli("runs", "--json").stdout)
    assert (listed[0]["note"], listed[0]["star"]) == ("seems good", True)


async def test_what_others_do_to_the_record_is_seen(recorded: SmallProject) -> None:
    app = Workbench(recorded.root)
    async with app.run_test(size=WIDE) as pilot:
        await at_runs(pilot, app)
        oldest = names(app)[2]
        assert recorded.cli("star", oldest).returncode == 0
        await see(pilot, f"{oldest} ★")


async def test_a_text_with_a_fault_is_not_taken_and_esc_leaves_all_as_it_was(
    recorded: SmallProject,
) -> None:
    app = Workbench(recorded.root)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await at_runs(pilot, app)
        await pilot.press("E", "ctrl+u", *"runs.txt", "enter")
        await see(pilot, "✗ end the name in .csv, .json, .parquet")
        await pilot.press("ctrl+u", *"mlbench.toml.csv", "enter")
        await until(pilot, (recorded.root / "mlbench.toml.csv").exists, "not written")
        lines = recorded.read("mlbench.toml.csv").splitlines()
        assert len(lines) == 4
        assert "metrics.score" in lines[0]
        await pilot.press("E", "ctrl+u", *"mlbench.toml.csv", "enter")
        await see(pilot, "is there already")
        await pilot.press("escape")
        await until(pilot, lambda: len(app.screen_stack) == 1, "esc did not leave")
        await pilot.press("down", "space", "E", "ctrl+u", *"one.json", "enter")
        await until(pilot, (recorded.root / "one.json").exists, "not written")
        assert [row["name"] for row in json.loads(recorded.read("one.json"))] == [names(app)[1]]


async def test_deleting_asks_and_archiving_hides(recorded: SmallProject) -> None:
    app = Workbench(recorded.root)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await at_runs(pilot, app)
        newest, middle, oldest = names(app)
        await pilot.press("down", "X")
        await until(pilot, lambda: isinstance(app.screen, QuestionDialog), "did not ask")
        await see(pilot, f"Delete {middle}?", "y yes", "n no")
        await pilot.press("n")
        await until(pilot, lambda: len(app.screen_stack) == 1, "no is no")
        await pilot.press("X", "y")
        await until(pilot, lambda: names(app) == [newest, oldest], "not deleted")
        await pilot.press("z")
        await until(pilot, lambda: len(names(app)) == 3, "not brought back")
        await pilot.press("home", "space", "A")
        await until(pilot, lambda: names(app) == [middle, oldest], "not hidden")
        await pilot.press("a")
        await until(pilot, lambda: names(app) == [newest, middle, oldest], "not shown again")
        await see(pilot, "archived, trials and failed too")


async def test_columns_are_chosen_moved_and_there_the_next_day(recorded: SmallProject) -> None:
    app = Workbench(recorded.root)
    async with app.run_test(size=WIDE) as pilot:
        await at_runs(pilot, app)
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, ColumnsDialog), "no dialog")
        await pilot.press("slash", *"loss.min", "enter", "space", "K", "enter")
        await see(pilot, "loss.min", "0.3333")
        chosen = app.memory.runs_columns
        assert chosen[-2:] == ("metrics.loss.min", "commit")
        await pilot.press("equals_sign")
        await see(pilot, "only differences", "train.rate")
        assert "took" not in line_with(app, "train.rate")
    again = Workbench(recorded.root)
    async with again.run_test(size=WIDE) as pilot:
        await at_runs(pilot, again)
        await see(pilot, "only differences")
        await pilot.press("equals_sign")
        await see(pilot, "loss.min")
        await pilot.press("c", "x")
        await until(pilot, lambda: again.memory.runs_columns == (), "not automatic again")


async def test_one_screen_says_why_one_beat_the_other(recorded: SmallProject) -> None:
    app = Workbench(recorded.root)
    async with app.run_test(size=WIDE) as pilot:
        await at_runs(pilot, app)
        newest, before, _ = names(app)
        await pilot.press("d")
        shown = await see(pilot, "because", "train.rate 0.25 → 0.1", "score 0.75 → 0.9 ▲ 0.15")
        assert f"A {before}" in shown
        assert f"B {newest}" in shown
        await see(pilot, "╭─ curves", "min 0.3333 at 2", "≠ score")
        await pilot.press("L", "S")
        await see(pilot, "log scale · smoothed 0.6")
        await pilot.press("v")
        await see(pilot, "╭─ parallel", "among 1 other run")
        await pilot.press("v")
        await see(pilot, "╭─ code", "+ import mlbench", "train.py  +3")
        await pilot.press("v", "equals_sign")
        shown = await see(pilot, "╭─ environment", "Packages")
        await pilot.press("escape")
        await see(pilot, "3 runs of 3")


async def test_curves_are_looked_at_more_closely(recorded: SmallProject) -> None:
    many = "\nfor step in range(3, 200):\n    mlbench.log(loss=1 / (step + 1), step=step)\n"
    recorded.write("train.py", recorded.read("train.py") + many)
    app = Workbench(recorded.root)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: len(app.known.history.runs) == 4, "no further run")
        await pilot.press("2", "d")
        await see(pilot, "╭─ curves", "step 0", "199")
        await pilot.press("plus", "plus")
        await see(pilot, "steps 75 to 124", "step 75")
        await pilot.press("left")
        await see(pilot, "steps 63 to 112")
        await pilot.press("minus", "minus", "minus")
        await until(pilot, lambda: "steps " not in screen_text(app), "not all steps again")


async def test_what_a_run_saved_can_be_looked_at(recorded: SmallProject) -> None:
    app = Workbench(recorded.root)
    async with app.run_test(size=WIDE) as pilot:
        await at_runs(pilot, app)
        await pilot.press("enter")
        await see(pilot, "Saved  i looks at it", "errors")
        await pilot.press("i")
        await until(pilot, lambda: isinstance(app.screen, PicturePage), "no page")
        await see(pilot, "row,error", "1,0.5", "o open outside")
        await pilot.press("escape")
        await until(pilot, lambda: len(app.screen_stack) == 1, "esc did not close it")


async def test_a_run_is_brought_back_after_asking(recorded: SmallProject) -> None:
    app = Workbench(recorded.root)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await at_runs(pilot, app)
        await pilot.press("w", "end", "R")
        await until(pilot, lambda: isinstance(app.screen, QuestionDialog), "did not ask")
        await see(pilot, "Bring back", "build/model.txt", "train.rate  0.1 → 0.5")
        await pilot.press("y")
        await until(pilot, lambda: "model 0.5" in recorded.read("build/model.txt"), "not back")
        assert "rate = 0.5" in recorded.read("params.toml")


async def test_columns_sort_by_a_click_both_ways(recorded: SmallProject) -> None:
    app = Workbench(recorded.root)
    async with app.run_test(size=WIDE) as pilot:
        await at_runs(pilot, app)
        header = app.query_one("#runs-header")

        async def click(title: str) -> None:
            text = screen_text(app).splitlines()[header.region.y]
            await pilot.click("#runs-header", offset=(text.index(title) - header.region.x, 0))

        scores = [run.metrics["score"] for run in app.known.history.runs]
        await click("score")
        await until(pilot, lambda: "score▾" in screen_text(app), "not sorted")
        await click("score")
        await until(
            pilot,
            lambda: [run.metrics["score"] for run in app.known.history.runs] == sorted(scores),
            "not the other way round",
        )


@pytest.mark.parametrize("size", [(40, 20), (80, 24), (300, 80)])
async def test_every_page_fits_every_size(recorded: SmallProject, size: tuple[int, int]) -> None:
    app = Workbench(recorded.root)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: len(app.known.history.runs) == 3, "the record was never read")
        await pilot.press("2", "enter")
        await see(pilot, "passed", "? keys")
        await pilot.press("d")
        await see(pilot, "because", "train.rate 0.25")
        views = []
        for _ in range(5 if size[0] < 100 else 4):
            views.append(app.situation.view)
            shown = await see(pilot, views[-1], "? keys")
            assert len(shown.splitlines()) == size[1]
            assert all(len(text) <= size[0] for text in shown.splitlines())
            await pilot.press("v")
        assert app.situation.view == views[0], "round and round"
        assert set(views) >= {"curves", "parallel", "code", "environment"}
        await pilot.press("escape")
        assert app.situation.screen == "run", "back to where it was opened"
        await pilot.press("escape", "c")
        await see(pilot, "[x] run")
        await pilot.press("escape", "number_sign")
        await see(pilot, "Words, or key=value")


def test_another_value_takes_the_place_of_a_tag_and_needs_no_taking_away() -> None:
    before = ["good", "team=x", "old"]
    assert changed_tags(before, ["good", "team=y"]) == (["team=y"], ["old"])
    assert changed_tags(before, before) == ([], [])
    assert changed_tags(before, []) == ([], before)


class Counting(Runs):
    """A history that counts which of its runs were decoded."""

    touched: set[int]

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, int):
            self.touched.add(at)
        return super().__getitem__(at)

    def __iter__(self) -> Iterator[Run]:
        raise AssertionError("somebody goes through all runs")


async def test_a_hundred_thousand_runs_cost_those_that_are_seen(small: SmallProject) -> None:
    code = CodeState("1ae7cf91", "main")
    run = Run(
        "20261123-091502-00000000", "brave-otter", RunOutcome.PASSED, "watch", "me",
        "2026-11-23T09:15:02.120Z", 1.0, code, {"rate": 0.1}, {"score": 0.5}, {},
    )  # fmt: skip
    (line,) = Runs.of([run]).lines
    count = 100_000
    lines = [line.replace(b"-00000000", b"-%08x" % (count - n)) for n in range(count)]
    runs = Counting(lines)
    runs.touched = set()
    sample = tuple(Runs(lines[:50]))
    before = PassedBefore(runs, runs.ids())
    history = History(
        HistoryQuestion(), runs, sample, before=before, recent=sample[:9], total=count, is_read=True
    )
    app = Workbench(small.root)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: app.known.board.last is not None, "the first run never ended")
        app.readers.history.close()
        app.post_message(Told(history))
        await pilot.press("2")
        await see(pilot, "100000 runs of 100000", "brave-otter")
        listed = app.query_one("#runs-list", LineList)
        seen = WIDE[1]
        assert len(runs.touched) < 3 * seen
        await pilot.press("end")
        assert listed.cursor == count - 1
        await until(pilot, lambda: count - 1 in runs.touched, "the last run was never drawn")
        await pilot.press("pageup", "home", "down", "space", "equals_sign")
        await see(pilot, "1 marked")
        assert len(runs.touched) < 12 * seen
        assert isinstance(app.query_one(RunsPane).situated(app.known).run, Run)


async def test_a_key_is_typed_into_the_filter_and_not_done(recorded: SmallProject) -> None:
    app = Workbench(recorded.root)
    async with app.run_test(size=WIDE) as pilot:
        await at_runs(pilot, app)
        await pilot.press("slash", *"bnX*#z")
        assert isinstance(app.focused, Input)
        assert app.focused.value == "bnX*#z"
        assert len(app.screen_stack) == 1
