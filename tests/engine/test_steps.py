"""The loop's decisions, as (state, input) → (state, effects)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mlbench.domain.commands import Promote, RunStages, SetWatch, StopStages
from mlbench.domain.events import CommandDone, Event, PlanMade, RunStarted, StageFinished
from mlbench.domain.outcomes import ReasonKind, StageOutcome, StageState
from mlbench.domain.plan import Plan, Reason, StageStatus
from mlbench.engine import effects as do
from mlbench.engine import inputs as got
from mlbench.engine.state import Flight, LoopState, NewRun
from mlbench.engine.steps import step

NEW_RUN = NewRun("20261123-000000-aaaaaa", "brave-otter", 0.0)
RUN = got.Asked("c1", RunStages())
NEEDS: dict[str, tuple[str, ...]] = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}


def plan(*stale: str, keys: dict[str, str] | None = None) -> Plan:
    def status(name: str) -> StageStatus:
        state = StageState.STALE if name in stale else StageState.FRESH
        reasons = (Reason(ReasonKind.FILE, "x"),) if name in stale else ()
        return StageStatus(name, state, reasons, (keys or {}).get(name, f"key-{name}"))

    return Plan(tuple(status(name) for name in NEEDS), NEEDS)


class Walk:
    """Feeds inputs and keeps what came of them."""

    def __init__(self, **state: object) -> None:
        self.state = replace(LoopState(), **state)  # type: ignore[arg-type]
        self.effects: list[do.Effect] = []

    def feed(self, *happened: got.Input) -> list[do.Effect]:
        self.effects = []
        for one in happened:
            self.state, effects = step(one, self.state, NEW_RUN)
            self.effects += effects
        return self.effects

    def started(self) -> list[str]:
        return [effect.stage for effect in self.effects if isinstance(effect, do.StartStage)]

    def told(self, kind: type[Event]) -> list[Event]:
        events = [effect.event for effect in self.effects if isinstance(effect, do.Tell)]
        return [event for event in events if isinstance(event, kind)]

    def done(self, stage: str, outcome: StageOutcome = StageOutcome.RAN) -> list[do.Effect]:
        return self.feed(got.StageDone(NEW_RUN.id, stage, outcome, 1.0, f"key-{stage}"))


def planned(made: Plan, request: got.Asked | None = None, jobs: int = 2) -> got.Planned:
    return got.Planned(made, jobs, {}, request)


def running(jobs: int = 2) -> Walk:
    walk = Walk(watching=True)
    walk.feed(RUN, planned(plan("a", "b", "c", "d"), RUN, jobs))
    return walk


def test_a_run_plans_first_and_starts_what_needs_nothing() -> None:
    walk = Walk()
    assert walk.feed(RUN) == [do.MakePlan(RUN)]
    walk.feed(planned(plan("a"), RUN))
    assert walk.started() == ["a"]
    assert [type(event) for event in walk.told(PlanMade) + walk.told(RunStarted)] == [
        PlanMade,
        RunStarted,
    ]


def test_stages_start_side_by_side_as_soon_as_what_they_need_stands() -> None:
    walk = running()
    walk.done("a", StageOutcome.UNCHANGED)
    assert walk.started() == ["b", "c"]
    walk.done("b")
    assert walk.started() == []
    walk.done("c")
    assert walk.started() == ["d"]


def test_no_more_stages_than_jobs_run_at_once() -> None:
    walk = running(jobs=1)
    walk.done("a")
    assert walk.started() == ["b"]
    walk.done("b")
    assert walk.started() == ["c"]


def test_a_run_closes_once_when_all_stages_have_ended() -> None:
    walk = running()
    for stage in ("a", "b", "c"):
        walk.done(stage)
    effects = walk.done("d")
    assert [effect for effect in effects if isinstance(effect, do.CloseRun)]
    assert walk.state.flight is None
    assert walk.state.closing == {NEW_RUN.id}


def test_what_a_failed_stage_feeds_is_blocked_and_the_rest_goes_on() -> None:
    walk = running()
    walk.done("a")
    walk.done("b", StageOutcome.FAILED)
    assert [
        (e.stage, e.outcome) for e in walk.told(StageFinished) if isinstance(e, StageFinished)
    ] == [
        ("b", StageOutcome.FAILED),
        ("d", StageOutcome.BLOCKED),
    ]
    effects = walk.done("c")
    (close,) = [effect for effect in effects if isinstance(effect, do.CloseRun)]
    assert close.flight.outcomes["c"] is StageOutcome.RAN


@pytest.mark.parametrize(
    ("outcome", "after"),
    [
        (StageOutcome.CANCELLED, StageOutcome.CANCELLED),
        (StageOutcome.OVERTAKEN, StageOutcome.OVERTAKEN),
    ],
)
def test_what_waits_for_a_stage_that_did_not_come_about_shares_its_fate(
    outcome: StageOutcome, after: StageOutcome
) -> None:
    walk = running()
    effects = walk.done("a", outcome)
    (close,) = [effect for effect in effects if isinstance(effect, do.CloseRun)]
    assert set(close.flight.outcomes.values()) == {outcome, after}


def test_a_run_asked_for_while_one_is_going_waits_for_its_turn() -> None:
    walk = running()
    second = got.Asked("c2", RunStages(("b",)))
    assert walk.feed(second) == []
    for stage in ("a", "b", "c"):
        walk.done(stage)
    assert do.MakePlan(second) in walk.done("d")


def test_an_unknown_stage_is_refused_with_the_nearest_name() -> None:
    walk = Walk()
    asked = got.Asked("c1", RunStages(("aa",)))
    walk.feed(asked, planned(plan("a"), asked))
    (reply,) = walk.told(CommandDone)
    assert isinstance(reply, CommandDone)
    assert reply.exit_status == 2
    assert 'there is no stage "aa" (did you mean "a"?)' in reply.message
    assert walk.state.flight is None


def test_a_save_that_makes_something_stale_starts_a_run_of_all_stages() -> None:
    walk = Walk(watching=True)
    assert walk.feed(got.TreeChanged(("x.py",))) == [do.MakePlan()]
    walk.feed(planned(plan("b", "d")))
    assert walk.state.flight is not None
    assert set(walk.state.flight.order) == {"a", "b", "c", "d"}
    assert walk.state.flight.origin == "watch"


def test_a_save_that_touches_nothing_starts_nothing() -> None:
    walk = Walk(watching=True)
    walk.feed(got.TreeChanged(()), planned(plan()))
    assert walk.state.flight is None
    assert walk.state.is_idle


def test_nothing_starts_by_itself_while_the_watch_is_paused() -> None:
    walk = Walk(watching=False)
    walk.feed(got.TreeChanged(()), planned(plan("a")))
    assert walk.state.flight is None


@pytest.mark.parametrize("outcome", [StageOutcome.FAILED, StageOutcome.CANCELLED])
def test_the_watch_does_not_repeat_what_failed_or_was_stopped_until_its_inputs_change(
    outcome: StageOutcome,
) -> None:
    walk = running()
    walk.done("a", outcome)
    walk.feed(got.RunClosed(NEW_RUN.id), got.TreeChanged(("y.txt",)))
    walk.feed(planned(plan("a", "b", "c", "d")))
    assert walk.state.flight is None
    walk.feed(got.TreeChanged(("a.py",)), planned(plan("a", "b", keys={"a": "another"})))
    assert walk.state.flight is not None


def test_a_manual_run_does_repeat_what_failed() -> None:
    walk = running()
    walk.done("a", StageOutcome.FAILED)
    walk.feed(RUN, planned(plan("a", "b", "c", "d"), RUN))
    assert walk.started() == ["a"]


def test_a_change_during_a_run_looks_at_what_runs_and_plans_again_afterwards() -> None:
    walk = running()
    assert walk.feed(got.TreeChanged(("a.py",))) == [do.LookAtRunning(NEW_RUN.id)]
    effects = walk.done("a", StageOutcome.OVERTAKEN)
    assert do.MakePlan() in effects


@pytest.mark.parametrize(
    ("policy", "seconds", "stops"),
    [
        ("auto", 5.0, True),
        ("auto", 61.0, False),
        ("finish", 5.0, False),
        ("restart", 600.0, True),
    ],
)
def test_on_edit_says_whether_an_edit_stops_a_running_stage(
    policy: str, seconds: float, stops: bool
) -> None:
    walk = Walk()
    walk.feed(RUN, got.Planned(plan("a"), 2, {"a": policy}, RUN))
    effects = walk.feed(got.InputMoved(NEW_RUN.id, "a", "a.py", seconds))
    expected = [do.StopStage(NEW_RUN.id, "a", StageOutcome.OVERTAKEN)] if stops else []
    assert effects == expected


def test_stop_ends_what_runs_and_starts_nothing_more() -> None:
    walk = running()
    walk.done("a")
    effects = walk.feed(got.Asked("c9", StopStages()))
    assert [effect.stage for effect in effects if isinstance(effect, do.StopStage)] == ["b", "c"]
    walk.done("b", StageOutcome.CANCELLED)
    effects = walk.done("c", StageOutcome.CANCELLED)
    (close,) = [effect for effect in effects if isinstance(effect, do.CloseRun)]
    assert close.flight.outcomes["d"] is StageOutcome.CANCELLED


def test_stop_of_one_stage_leaves_the_others() -> None:
    walk = running()
    walk.done("a")
    effects = walk.feed(got.Asked("c9", StopStages(("b",))))
    assert [effect.stage for effect in effects if isinstance(effect, do.StopStage)] == ["b"]


def test_stop_with_nothing_running_says_so() -> None:
    walk = Walk()
    walk.feed(got.Asked("c9", StopStages()))
    (reply,) = walk.told(CommandDone)
    assert isinstance(reply, CommandDone)
    assert (reply.exit_status, reply.message) == (0, "nothing is running")


def test_a_broken_project_file_answers_who_asked_and_is_told_once_to_the_watch() -> None:
    walk = Walk(watching=True)
    walk.feed(RUN, got.PlanFailed("mlbench.toml:3: oops", 2, RUN))
    (reply,) = walk.told(CommandDone)
    assert isinstance(reply, CommandDone)
    assert (reply.exit_status, reply.message) == (2, "mlbench.toml:3: oops")
    first = walk.feed(got.TreeChanged(()), got.PlanFailed("mlbench.toml:4: oops", 2))
    again = walk.feed(got.TreeChanged(()), got.PlanFailed("mlbench.toml:4: oops", 2))
    assert len([effect for effect in first if isinstance(effect, do.Tell)]) == 1
    assert not [effect for effect in again if isinstance(effect, do.Tell)]


def test_a_plan_is_told_again_once_what_was_broken_is_mended() -> None:
    walk = Walk(watching=True)
    walk.feed(got.TreeChanged(()), planned(plan()))
    walk.feed(got.TreeChanged(()), got.PlanFailed("params.toml: oops", 2))
    walk.feed(got.TreeChanged(()), planned(plan()))
    assert len(walk.told(PlanMade)) == 1


def test_quitting_stops_what_runs_and_finishes_when_all_is_closed() -> None:
    walk = running()
    effects = walk.feed(got.Quit())
    assert do.StopStage(NEW_RUN.id, "a", StageOutcome.CANCELLED) in effects
    assert do.Finish() not in effects
    effects = walk.done("a", StageOutcome.CANCELLED)
    assert do.Finish() not in effects
    assert walk.feed(got.RunClosed(NEW_RUN.id)) == [do.Finish()]


def test_quitting_waits_for_a_promotion_under_way() -> None:
    walk = Walk()
    walk.feed(got.Asked("p1", Promote("staging")))
    assert do.Finish() not in walk.feed(got.Quit())
    done = CommandDone("", "p1", 0)
    assert do.Finish() in walk.feed(got.Happened((done,)))


def test_turning_the_watch_on_looks_at_the_tree() -> None:
    walk = Walk()
    effects = walk.feed(got.Asked("w", SetWatch(True)))
    assert do.SetWatching(True) in effects
    assert do.MakePlan() in effects


def test_a_late_answer_of_another_run_is_ignored() -> None:
    walk = running()
    before = walk.state
    walk.feed(got.StageDone("20200101-000000-bbbbbb", "a", StageOutcome.RAN, 1.0, "k"))
    assert walk.state == before


def test_ready_never_offers_a_stage_twice() -> None:
    flight = Flight(
        "r", "n", "manual", 0.0, tuple(NEEDS), {k: frozenset(v) for k, v in NEEDS.items()}, 4
    )
    assert flight.ready() == ("a",)
    assert replace(flight, running=frozenset("a")).ready() == ()


def test_a_stop_while_a_run_is_planned_calls_it_off() -> None:
    walk = Walk()
    walk.feed(RUN, got.Asked("c9", StopStages()))
    walk.feed(planned(plan("a"), RUN))
    assert walk.state.flight is None
    (reply,) = walk.told(CommandDone)
    assert isinstance(reply, CommandDone)
    assert (reply.command, reply.exit_status) == ("c1", 130)
    walk.feed(RUN, planned(plan("a"), RUN))
    assert walk.started() == ["a"], "the next run is not called off with it"


def test_quitting_while_a_run_is_planned_starts_nothing_and_leaves_it_to_the_next_holder() -> None:
    walk = Walk()
    walk.feed(RUN, got.Quit())
    effects = walk.feed(planned(plan("a"), RUN))
    assert walk.state.flight is None
    assert not walk.told(CommandDone)
    assert do.Finish() in effects
