"""Several runs on their way at once: requests beside what runs, and saves during a run."""

from __future__ import annotations

import pytest

from mlbench.domain.commands import RunStages, StopStages
from mlbench.domain.events import CommandDone, RunStarted, StageFinished
from mlbench.domain.outcomes import ReasonKind, StageOutcome
from mlbench.domain.plan import Plan
from mlbench.domain.stages import Stage
from mlbench.engine import effects as do
from mlbench.engine import inputs as got
from tests.engine.walk import Walk, all_running, plan, planned

# data → prepare → train → evaluate, and tests of the code alone.
PIPELINE: dict[str, tuple[str, ...]] = {
    "prepare": (),
    "train": ("prepare",),
    "evaluate": ("train",),
    "tests": (),
}
TESTS = got.Asked("c2", RunStages(("tests",)))


def training(train: Stage | None = None, *, watching: bool = True) -> Walk:
    """`train` runs in r1, which the watch began; `evaluate` waits for it; the rest is done."""
    walk = Walk(watching=watching)
    stages = {} if train is None else {"train": train}
    first = plan("prepare", "train", "evaluate", needs=PIPELINE)
    asked = got.Asked("c1", RunStages())
    walk.feed(asked, planned(first, asked, stages=stages))
    walk.done("prepare")
    assert walk.running() == {"r1": ["train"]}
    return walk


def during(*stale: str) -> Plan:
    """The plan while `train` runs: its outs are set aside, so it looks stale, with what follows."""
    return plan("train", *stale, needs=PIPELINE)


def test_a_request_takes_off_beside_what_runs() -> None:
    walk = training()
    assert walk.feed(TESTS) == [do.MakePlan(TESTS)]
    walk.feed(planned(plan("train", "tests", needs=PIPELINE), TESTS))
    assert walk.running() == {"r1": ["train"], "r2": ["tests"]}
    walk.done("tests", run="r2")
    (close,) = walk.of(do.CloseRun)
    assert close.flight.requests == ("c2",)
    assert walk.running() == {"r1": ["train"]}


def test_a_request_never_waits_for_a_job_but_only_one_stage_of_it_goes_beyond_them() -> None:
    walk = all_running(jobs=1)
    needs = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c"), "e": (), "f": ()}
    asked = got.Asked("c2", RunStages(("e", "f")))
    walk.feed(asked, planned(plan("a", "e", "f", needs=needs), asked, jobs=1))
    assert walk.running() == {"r1": ["a"], "r2": ["e"]}


def test_what_another_run_makes_is_waited_for_and_looked_at_again() -> None:
    walk = training()
    asked = got.Asked("c2", RunStages(("evaluate",)))
    walk.feed(asked, planned(plan("train", needs=PIPELINE), asked))
    assert walk.running() == {"r1": ["train"], "r2": []}
    walk.done("train")
    assert walk.of(do.ShareStage) == [do.ShareStage("r2", "train", "r1")]
    assert walk.running() == {"r1": ["evaluate"], "r2": []}
    walk.done("evaluate")
    assert [close.flight.run for close in walk.of(do.CloseRun)] == ["r1", "r2"]


def test_outs_are_not_set_aside_under_a_stage_that_reads_them() -> None:
    walk = training()
    asked = got.Asked("c2", RunStages(("prepare",), force=True))
    walk.feed(asked, planned(plan("train", needs=PIPELINE), asked))
    assert walk.running()["r2"] == []
    walk.done("train")
    assert walk.started("r2") == ["prepare"]


def test_a_stage_in_a_snapshot_does_not_hold_what_it_has_copied() -> None:
    walk = training(Stage("train", ("true",), isolate=True))
    asked = got.Asked("c2", RunStages(("prepare",), force=True))
    walk.feed(asked, planned(plan("train", needs=PIPELINE), asked))
    assert walk.running()["r2"] == []
    walk.feed(got.StageBegan("r1", "train", (), "2026-11-23T09:00:00.000Z"))
    walk.feed(got.TreeChanged(()), planned(plan("train", needs=PIPELINE)))
    assert walk.started("r2") == ["prepare"]


def test_a_save_that_touches_nothing_that_runs_starts_what_is_stale_beside_it() -> None:
    walk = training()
    walk.feed(got.TreeChanged(("tests/test_x.py",)))
    looks = (got.Look("r1", "train", 600.0),)
    walk.feed(planned(during("tests"), looks=looks))
    assert walk.stopped() == []
    assert walk.running() == {"r1": ["train"], "r2": ["tests"]}
    first, second = walk.state.flights
    assert first.waiting == ("evaluate",), "the first run is as good as before"
    assert second.origin == "watch"


def test_a_save_of_what_has_not_begun_needs_nothing() -> None:
    walk = training()
    walk.feed(got.TreeChanged(("evaluate.py",)))
    walk.feed(planned(during("evaluate"), looks=(got.Look("r1", "train", 5.0),)))
    assert walk.running() == {"r1": ["train"]}
    assert not walk.told(RunStarted)


@pytest.mark.parametrize(
    ("policy", "seconds", "stops"),
    [("auto", 5.0, True), ("auto", 61.0, False), ("finish", 5.0, False), ("restart", 600.0, True)],
)
def test_on_edit_says_whether_a_save_stops_what_it_makes_pointless(
    policy: str, seconds: float, stops: bool
) -> None:
    walk = training(Stage("train", ("true",), on_edit=policy))
    walk.feed(got.TreeChanged(("train.py",)))
    looks = (got.Look("r1", "train", seconds, "train.py"),)
    walk.feed(planned(during(), looks=looks))
    assert walk.stopped() == ([("r1", "train")] if stops else [])
    assert [(e.stage, e.outcome) for e in walk.told(StageFinished)] == [
        ("evaluate", StageOutcome.OVERTAKEN)
    ]
    assert walk.running() == {"r1": ["train"], "r2": []}
    walk.done("train", StageOutcome.OVERTAKEN, moved="train.py", moved_by_itself=False)
    assert [close.flight.run for close in walk.of(do.CloseRun)] == ["r1"]
    assert walk.started("r2") == ["train"]


def test_a_save_of_what_a_running_stage_is_built_from_makes_it_pointless_too() -> None:
    walk = training()
    walk.feed(got.TreeChanged(("prepare.py",)))
    walk.feed(planned(during("prepare"), looks=(got.Look("r1", "train", 5.0),)))
    assert walk.stopped() == [("r1", "train")]
    walk.done("train", StageOutcome.OVERTAKEN)
    assert walk.started("r2") == ["prepare"]


def test_what_is_too_far_along_goes_on_and_what_it_is_built_from_waits() -> None:
    walk = training()
    walk.feed(got.TreeChanged(("prepare.py",)))
    walk.feed(planned(during("prepare"), looks=(got.Look("r1", "train", 600.0),)))
    assert walk.stopped() == []
    assert walk.running() == {"r1": ["train"], "r2": []}
    walk.done("train")
    assert walk.started("r2") == ["prepare"]


def test_a_run_is_not_built_on_what_is_stale_again() -> None:
    needs = {"prepare": (), "long": (), "train": ("prepare", "long")}
    walk = Walk(watching=True)
    asked = got.Asked("c1", RunStages())
    walk.feed(asked, planned(plan("prepare", "long", needs=needs), asked))
    walk.done("prepare")
    walk.feed(got.TreeChanged(("prepare.py",)))
    walk.feed(planned(plan("prepare", "long", needs=needs), looks=(got.Look("r1", "long", 5.0),)))
    assert walk.running() == {"r1": ["long"], "r2": ["prepare"]}
    assert [(e.stage, e.outcome) for e in walk.told(StageFinished)] == [
        ("train", StageOutcome.OVERTAKEN)
    ]


def test_what_was_made_in_a_snapshot_is_looked_at_by_the_others() -> None:
    walk = training(Stage("train", ("true",), isolate=True))
    asked = got.Asked("c2", RunStages(("train",)))
    alone = Stage("train", ("true",), isolate=True)
    walk.feed(asked, planned(plan("train", needs=PIPELINE), asked, stages={"train": alone}))
    walk.done("train")
    assert not walk.of(do.ShareStage)


def test_a_second_save_does_not_stop_the_same_stage_or_begin_the_same_run_again() -> None:
    walk = training()
    looks = (got.Look("r1", "train", 5.0, "train.py"),)
    walk.feed(got.TreeChanged(("train.py",)))
    walk.feed(planned(during(), looks=looks))
    walk.feed(got.TreeChanged(("train.py",)))
    walk.feed(planned(during(), looks=looks))
    assert walk.stopped() == []
    assert not walk.told(RunStarted)


def test_a_stage_in_a_snapshot_is_not_overtaken_and_its_run_goes_on() -> None:
    walk = training(Stage("train", ("true",), isolate=True, on_edit="finish"))
    walk.feed(got.TreeChanged(("train.py",)))
    walk.feed(planned(during(), looks=(got.Look("r1", "train", 5.0, "train.py"),)))
    assert walk.stopped() == []
    walk.done("train")
    assert walk.started("r1") == ["evaluate"]


def test_what_overtook_a_stage_unseen_is_looked_at_when_it_ends() -> None:
    walk = training()
    walk.done("train", StageOutcome.OVERTAKEN, moved="train.py")
    assert walk.of(do.MakePlan) == [do.MakePlan()]
    walk.feed(got.RunClosed("r1"), planned(plan("train", needs=PIPELINE)))
    assert walk.started() == ["train"]


def test_without_the_watch_what_is_overtaken_is_left_to_the_user() -> None:
    walk = training(watching=False)
    walk.done("train", StageOutcome.OVERTAKEN, moved="train.py")
    assert not walk.of(do.MakePlan)


def test_a_plan_tells_nothing_of_a_stage_that_was_running_meanwhile() -> None:
    walk = training()
    walk.feed(got.TreeChanged(("x.py",)))
    walk.done("train")
    walk.done("evaluate", StageOutcome.UNCHANGED)
    walk.feed(got.RunClosed("r1"), planned(plan("train", needs=PIPELINE)))
    assert walk.state.flights == (), "train looked stale only while its outs were set aside"


def test_stop_can_be_for_one_run_by_the_command_that_asked_for_it() -> None:
    walk = training()
    walk.feed(TESTS, planned(plan("train", "tests", needs=PIPELINE), TESTS))
    walk.feed(got.Asked("c9", StopStages(run="c2")))
    assert walk.stopped() == [("r2", "tests")]


def test_stop_of_a_run_that_waits_for_its_plan_calls_off_that_one_alone() -> None:
    walk = training()
    third = got.Asked("c3", RunStages(("prepare",)))
    walk.feed(TESTS, third)
    walk.feed(got.Asked("c9", StopStages(run="c3")))
    assert [(e.command, e.exit_status) for e in walk.told(CommandDone)] == [("c3", 130), ("c9", 0)]
    walk.feed(planned(plan("train", "tests", needs=PIPELINE), TESTS))
    assert walk.running() == {"r1": ["train"], "r2": ["tests"]}


def test_an_always_stage_before_a_running_one_does_not_make_it_pointless() -> None:
    walk = training()
    walk.feed(got.TreeChanged(("notes.txt",)))
    made = plan("prepare", needs=PIPELINE, kind=ReasonKind.ALWAYS)
    walk.feed(planned(made, looks=(got.Look("r1", "train", 5.0),)))
    assert walk.stopped() == []
    assert not walk.told(RunStarted)
