"""A stage that writes its own input is not started for ever; a user's saves are no such thing."""

from __future__ import annotations

import pytest

from mlbench.domain.events import Notice
from mlbench.domain.outcomes import StageOutcome
from mlbench.engine import inputs as got
from tests.engine.walk import RUN, Walk, plan, planned

NEEDS: dict[str, tuple[str, ...]] = {"a": ()}


def overtaken(walk: Walk, number: int, by_itself: bool | None, path: str = "in.txt") -> bool:
    """Run `a` once more and have it overtaken; whether the watch starts it again."""
    run = f"r{number}"
    walk.done("a", StageOutcome.OVERTAKEN, run=run, moved=path, moved_by_itself=by_itself)
    complaints = walk.told(Notice)
    walk.feed(got.TreeChanged((path,)), got.RunClosed(run))
    walk.settle(planned(plan("a", needs=NEEDS, keys={"a": f"key-{number}"})))
    assert bool(complaints) is not bool(walk.started())
    for complaint in complaints:
        assert complaint.level == "error"
        assert complaint.message.startswith("a ")
        assert path in complaint.message
        assert "persist" in complaint.message
    return bool(walk.started())


def watching() -> Walk:
    walk = Walk(watching=True)
    walk.feed(got.TreeChanged(()), planned(plan("a", needs=NEEDS)))
    assert walk.started() == ["a"]
    return walk


@pytest.mark.parametrize(("by_itself", "starts"), [(True, 2), (None, 3)])
def test_it_is_not_started_again_once_that_is_plain(by_itself: bool | None, starts: int) -> None:
    walk = watching()
    again = [overtaken(walk, number, by_itself) for number in range(1, starts + 1)]
    assert again == [True] * (starts - 1) + [False]


def test_saves_of_the_user_overtake_it_any_number_of_times() -> None:
    walk = watching()
    assert all(overtaken(walk, number, by_itself=False) for number in range(1, 20))


def test_different_files_are_nothing_in_a_row() -> None:
    walk = watching()
    assert all(overtaken(walk, n, None, path=f"in{n % 2}.txt") for n in range(1, 20))


def test_asked_for_by_hand_it_runs_and_when_it_ends_well_all_is_forgotten() -> None:
    walk = watching()
    overtaken(walk, 1, by_itself=True)
    assert not overtaken(walk, 2, by_itself=True)
    walk.feed(RUN, planned(plan("a", needs=NEEDS), RUN))
    assert walk.started() == ["a"]
    walk.done("a", run="r3")
    walk.feed(got.RunClosed("r3"), got.TreeChanged(("x",)), planned(plan("a", needs=NEEDS)))
    assert walk.started() == ["a"]


def test_a_guess_is_dropped_when_the_file_changes_while_the_stage_does_not_run() -> None:
    walk = watching()
    for number in (1, 2, 3):
        overtaken(walk, number, None)
    walk.now = 60.0
    walk.feed(got.TreeChanged(("in.txt",)), planned(plan("a", needs=NEEDS)))
    assert walk.started() == ["a"]


def test_its_own_last_write_does_not_clear_it() -> None:
    walk = watching()
    for number in (1, 2, 3):
        overtaken(walk, number, None)
    walk.now = 1.0
    walk.feed(got.TreeChanged(("in.txt",)), planned(plan("a", needs=NEEDS)))
    assert walk.started() == []


def test_once_another_of_its_inputs_is_edited_it_gets_another_chance() -> None:
    walk = watching()
    overtaken(walk, 1, by_itself=True)
    overtaken(walk, 2, by_itself=True)
    walk.feed(got.TreeChanged(("notes.md",)), planned(plan("a", needs=NEEDS, keys={"a": "key-2"})))
    assert walk.started() == [], "a save of something else changes nothing"
    walk.feed(got.TreeChanged(("a.py",)), planned(plan("a", needs=NEEDS, keys={"a": "mended"})))
    assert walk.started() == ["a"]
