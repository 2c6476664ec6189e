"""Runs with parameters of their own, as the loop decides on them: apart from the project's own."""

from __future__ import annotations

from dataclasses import replace

from mlbench.domain.commands import RunStages, StopStages
from mlbench.domain.events import CommandDone, PlanMade, RunStarted
from mlbench.domain.outcomes import StageOutcome
from mlbench.domain.stages import Resources, Stage
from mlbench.engine import effects as do
from mlbench.engine import inputs as got
from mlbench.engine.steps.holders import to_keep
from tests.engine.walk import MACHINE, NO_STAGES, Stages, Walk, all_running, plan, planned, project

SET = got.Asked("c9", RunStages(params={"rate": 2}))


def made(
    *stale: str,
    request: got.Asked | None = SET,
    slot: str = "set-1",
    jobs: int = 2,
    stages: Stages = NO_STAGES,
) -> got.VariantMade:
    """The answer to MakeVariant."""
    plain = project(jobs, stages=stages)
    return got.VariantMade(slot, plan(*stale), plain, MACHINE, request)


def answers(walk: Walk) -> list[tuple[str, int]]:
    return [(done.command, done.exit_status) for done in walk.told(CommandDone)]


def test_it_is_planned_in_a_snapshot_and_tells_nothing_of_the_project() -> None:
    walk = Walk()
    assert walk.feed(SET) == [do.MakeVariant(SET)]
    assert not walk.state.is_idle
    walk.feed(made("b"))
    (began,) = walk.told(RunStarted)
    assert (began.requests, began.params) == (("c9",), {"rate": 2})
    assert walk.told(PlanMade) == []
    assert [(one.run, one.variant) for one in walk.of(do.TellUnchanged)] == [("r1", "set-1")]
    assert walk.of(do.StartStage) == [do.StartStage("r1", "b", False, variant="set-1")]
    assert walk.of(do.OpenRun) == [do.OpenRun("r1", "set-1")]
    walk.done("b")
    walk.done("d")
    (close,) = walk.of(do.CloseRun)
    assert close.flight.variant == "set-1"


def test_it_takes_off_beside_the_same_stages_in_the_project_within_the_jobs() -> None:
    walk = all_running(jobs=2)
    walk.feed(SET, made("a", "b", "c", "d"))
    assert walk.running() == {"r1": ["a"], "r2": ["a"]}
    walk.done("a", run="r2")
    assert walk.running() == {"r1": ["a"], "r2": ["b"]}, "nor does it wait for readers and writers"
    walk.done("a")
    assert walk.running() == {"r1": ["b"], "r2": ["b"]}
    assert walk.of(do.ShareStage) == []


def test_what_it_makes_stands_for_nobody_else() -> None:
    walk = all_running()
    walk.feed(SET, made("a", "b"))
    walk.done("a", run="r2")
    assert walk.running()["r1"] == ["a"]
    assert walk.of(do.ShareStage) == []


def test_resources_count_for_all() -> None:
    greedy = {"a": Stage("a", ("true",), resources=Resources(gpu=2))}
    asked = got.Asked("c1", RunStages(("a",)))
    walk = Walk()
    walk.feed(asked, planned(plan("a"), asked, stages=greedy))
    walk.feed(SET, made("a", stages=greedy))
    assert walk.running() == {"r1": ["a"], "r2": []}
    walk.done("a")
    assert walk.running() == {"r2": ["a"]}


def test_a_save_neither_stops_nor_supersedes_it() -> None:
    walk = Walk(watching=True)
    walk.feed(SET, made("a", "b"))
    walk.feed(got.TreeChanged(("a.py",)))
    walk.feed(planned(plan("a", "b")))
    assert walk.stopped() == []
    assert walk.running() == {"r1": ["a"], "r2": ["a"]}
    assert walk.state.flight("r1") is not None


def test_what_a_save_makes_stale_does_not_stop_what_was_built_on_it_there() -> None:
    walk = Walk(watching=True)
    walk.feed(SET, made("a", "b"))
    walk.done("a")
    walk.feed(got.TreeChanged(("a.py",)))
    walk.feed(planned(plan("a", "b")))
    flight = walk.state.flight("r1")
    assert flight is not None
    assert flight.waiting == ("d",)


def test_what_fails_there_is_started_by_a_save_all_the_same() -> None:
    walk = Walk(watching=True)
    walk.feed(SET, made("a"))
    walk.done("a", StageOutcome.FAILED)
    assert walk.state.given_up == {}
    assert walk.of(do.CloseRun)[0].flight.outcomes["b"] is StageOutcome.BLOCKED


def test_a_wrong_parameter_is_answered_and_nothing_begins() -> None:
    walk = Walk()
    walk.feed(SET, got.VariantFailed(SET, "no such parameter", 2))
    assert answers(walk) == [("c9", 2)]
    assert walk.state.is_idle


def test_stopped_before_it_begins_it_never_does_and_its_slot_is_free() -> None:
    walk = Walk()
    walk.feed(SET, got.Asked("c2", StopStages(run="c9")))
    assert answers(walk) == [("c9", 130), ("c2", 0)]
    walk.feed(made("a"))
    assert walk.effects == [do.DropVariant("set-1")]
    walk.feed(SET, got.Asked("c3", StopStages()))
    walk.feed(got.VariantFailed(SET, "no such parameter", 2))
    assert answers(walk) == []


def test_stop_stops_it_where_it_runs() -> None:
    walk = all_running()
    walk.feed(SET, made("a"))
    walk.feed(got.Asked("c2", StopStages(run="c9")))
    assert walk.stopped() == [("r2", "a")]


def test_who_asked_while_the_loop_ends_asks_the_next_holder() -> None:
    walk = Walk()
    walk.feed(SET, got.Quit())
    assert do.Finish() in walk.effects
    walk.feed(made("a"))
    assert do.DropVariant("set-1") in walk.effects
    assert answers(walk) == []


def test_the_next_holder_goes_on_with_it_before_it_knows_the_project() -> None:
    before = Walk()
    before.feed(SET, made("a", "b"))
    before.feed(got.Quit(leave_running=True), got.StageLeft("r1", "a"))
    (keep,) = [one for one in before.of(do.KeepFlight) if one.is_left]
    kept = to_keep(keep.flight, was_left=True)
    assert (kept.variant, kept.params) == ("set-1", {"rate": 2})
    walk = Walk()
    left = (got.Unfinished("r1", "a"),)
    walk.feed(got.Resumed((kept,), left, (made("a", "b", request=None),)))
    assert walk.of(do.AdoptStage) == [do.AdoptStage("r1", "a")]
    assert walk.told(RunStarted)[0].params == {"rate": 2}
    walk.feed(got.PlanFailed("mlbench.toml: broken", 2))
    walk.done("a")
    assert [(one.stage, one.variant) for one in walk.of(do.StartStage)] == [
        ("b", "set-1"),
        ("c", "set-1"),
    ]


def test_a_stop_that_came_while_the_project_is_broken_ends_what_was_left() -> None:
    before = Walk()
    before.feed(SET, made("a"))
    flight = before.state.flights[0]
    kept = to_keep(flight, was_left=False)
    other = replace(kept, run="r7", variant="")
    walk = Walk()
    left = (got.Unfinished("r1", "a"), got.Unfinished("r7", "b"))
    walk.feed(got.Resumed((kept, other), left, (made("a", request=None),)))
    walk.feed(got.Asked("c2", StopStages()))
    walk.feed(got.PlanFailed("mlbench.toml: broken", 2))
    assert walk.of(do.AbandonStage) == [do.AbandonStage("r7", "b")]
    assert walk.stopped() == [("r1", "a")]
    assert answers(walk) == [("c2", 0)]
