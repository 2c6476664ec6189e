"""A test stage's single tests: as lines, and on the screen."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain import outcomes, runs
from mlbench.tui.app import Workbench
from mlbench.tui.draw.single_tests import (
    counted,
    failures_first,
    matching,
    message_lines,
    result_line,
)
from mlbench.tui.screens.pipeline import PipelinePane
from mlbench.tui.widgets.single_tests import SingleTests
from tests.support import SmallProject
from tests.tui.screen import WIDE, built, line_with, screen_text, see, toasts, until

PASSED, FAILED, ERROR, SKIPPED = outcomes.TestOutcome
results = st.lists(
    st.builds(
        runs.TestResult,
        id=st.text(max_size=60),
        outcome=st.sampled_from(outcomes.TestOutcome),
        seconds=st.floats(0, 1e5),
        message=st.text(max_size=200),
    )
)


def result(name: str, outcome: outcomes.TestOutcome, message: str = "") -> runs.TestResult:
    return runs.TestResult(f"tests/test_a.py::{name}", outcome, 0.25, message)


SOME = (
    result("test_one", PASSED),
    result("test_two", SKIPPED, "later"),
    result("test_three", FAILED, "assert 1 == 2\n + where 1 = f()"),
    result("test_four", ERROR, "no database"),
    result("test_five", FAILED, "assert False"),
)


def test_failures_come_first_and_the_rest_in_pytests_order() -> None:
    names = [item.id.rpartition("_")[2] for item in failures_first(SOME)]
    assert names == ["three", "five", "four", "one", "two"]


def test_a_line_has_glyph_id_seconds_and_the_first_words_of_what_is_wrong() -> None:
    shown = result_line(SOME[2], 80).plain
    assert shown.startswith("✗ tests/test_a.py::test_three  assert 1 == 2 ")
    assert shown.endswith("0.2 s")
    narrow = result_line(SOME[2], 26).plain
    assert narrow.startswith("✗ …")
    assert "test_three" in narrow


@given(items=results, width=st.integers(1, 200))
def test_no_line_is_wider_than_its_room(items: list[runs.TestResult], width: int) -> None:
    for item in items:
        assert result_line(item, max(12, width)).cell_length <= max(12, width)
        for shown in message_lines(item, width, 5):
            assert "\n" not in shown.plain
        assert len(message_lines(item, width, 5)) <= 5


@given(items=results)
def test_sorting_loses_and_adds_nothing(items: list[runs.TestResult]) -> None:
    ordered = failures_first(items)
    assert sorted(map(repr, ordered)) == sorted(map(repr, items))
    flags = [item.outcome.is_bad for item in ordered]
    assert flags == sorted(flags, reverse=True)


def test_words_filter_by_id_and_outcome() -> None:
    assert [item.id for item in matching(SOME, "failed FIVE")] == ["tests/test_a.py::test_five"]
    assert matching(SOME, "") == SOME


@pytest.mark.parametrize(
    ("items", "words"),
    [
        (SOME, "3 of 5 tests failed"),
        (SOME[:2], "1 test passed, 1 skipped"),
        (SOME[:1], "1 test passed"),
    ],
)
def test_the_title_counts(items: tuple[runs.TestResult, ...], words: str) -> None:
    assert counted(items).plain.strip() == words


STAGE = """
[stages.checks]
cmd = "python -m pytest -q -p no:cacheprovider test_model.py"
kind = "test"
deps = ["build/model.txt", "test_model.py"]
"""
TESTS = """\
import pathlib

def test_text():
    assert "model" in pathlib.Path("build/model.txt").read_text()

def test_rate():
    rate = 0.5
    assert rate == 0.75, "the rate is off"

def test_name():
    assert "name" == "nome"
"""


@pytest.fixture
def tested(small: SmallProject) -> SmallProject:
    small.write("mlbench.toml", small.read("mlbench.toml") + STAGE)
    small.write("test_model.py", TESTS)
    return small


async def test_the_stage_pane_lists_single_tests_with_the_message_under_the_cursor(
    tested: SmallProject,
) -> None:
    app = Workbench(tested.root)
    async with app.run_test(size=WIDE) as pilot:
        await built(pilot)
        await see(pilot, "2 of 3 tests failed", "✗ test_model.py::test_rate", "the rate is off")
        shown = screen_text(app)
        assert shown.index("::test_rate") < shown.index("::test_name") < shown.index("::test_text")
        await pilot.press("t")
        tests = app.query_one(PipelinePane).query_one(SingleTests)
        await until(pilot, lambda: tests.listed.has_focus, "t did not go to the tests")
        await pilot.press("down")
        await see(pilot, "assert 'name' == 'nome'")
        await pilot.press("slash")
        await pilot.press(*"rate")
        await until(
            pilot,
            lambda: not line_with(app, "::test_text"),
            "the tests were not filtered",
        )
        assert line_with(app, "::test_rate")


async def test_a_recorded_run_shows_its_own(tested: SmallProject) -> None:
    tested.cli("run")
    tested.write("test_model.py", TESTS.replace("0.75", "0.5").replace("nome", "name"))
    assert tested.cli("run").returncode == 0
    app = Workbench(tested.root)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: app.known.history.total == 2, "the runs were never read")
        await pilot.press("2")
        await pilot.press("enter")
        await see(pilot, "Stages", "checks")
        await pilot.press("end")
        await see(pilot, "3 tests passed", "✓ test_model.py::test_rate")


async def test_a_stage_without_single_tests_says_why_t_does_nothing(small: SmallProject) -> None:
    app = Workbench(small.root)
    async with app.run_test(size=WIDE) as pilot:
        await built(pilot)
        assert not app.query_one(PipelinePane).query_one(SingleTests).display
        await pilot.press("t")
        await until(pilot, lambda: bool(toasts(app)), "t said nothing")
        assert "is no test stage" in toasts(app)[0][1]


def test_nothing_is_left_of_the_suite_in_the_project(tested: SmallProject) -> None:
    before = {path.name for path in tested.root.iterdir()}
    tested.cli("run")
    after = {path.name for path in tested.root.iterdir()} - {"build", ".mlbench", "__pycache__"}
    assert after == before
    assert not list(Path(tested.root).glob("**/.pytest_cache"))
