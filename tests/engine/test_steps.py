"""The loop's decisions, as (state, input) → (state, effects): one run at a time."""

from __future__ import annotations

import pytest

from mlbench.domain.commands import Promote, RunStages, SetWatch, StopStages
from mlbench.domain.events import CommandDone, PlanMade, RunStarted, StageFinished
from mlbench.domain.outcomes import ReasonKind, StageOutcome
from mlbench.engine import effects as do
from mlbench.engine import inputs as got
from tests.engine.walk import RUN, Walk, all_running, plan, planned


def test_a_run_plans_first_and_starts_what_needs_nothing() -> None:
    walk = Walk()
    assert walk.feed(RUN) == [do.MakePlan(RUN)]
    walk.feed(planned(plan("a"), RUN))
    assert walk.started() == ["a"]
    assert len(walk.told(PlanMade)) == len(walk.told(RunStarted)) == 1


def test_stages_start_side_by_side_as_soon_as_what_they_need_stands() -> None:
    walk = all_running()
    walk.done("a", StageOutcome.UNCHANGED)
    assert walk.started() == ["b", "c"]
    walk.done("b")
    assert walk.started() == []
    walk.done("c")
    assert walk.started() == ["d"]


def test_no_more_stages_than_jobs_run_at_once() -> None:
    walk = all_running(jobs=1)
    walk.done("a")
    assert walk.started() == ["b"]
    walk.done("b")
    assert walk.started() == ["c"]


def test_a_run_closes_once_when_all_stages_have_ended() -> None:
    walk = all_running()
    for stage in ("a", "b", "c"):
        walk.done(stage)
    walk.done("d")
    assert len(walk.of(do.CloseRun)) == 1
    assert walk.state.flights == ()
    assert walk.state.closing == {"r1"}


def test_what_a_failed_stage_feeds_is_blocked_and_the_rest_goes_on() -> None:
    walk = all_running()
    walk.done("a")
    walk.done("b", StageOutcome.FAILED)
    assert [(event.stage, event.outcome) for event in walk.told(StageFinished)] == [
        ("b", StageOutcome.FAILED),
        ("d", StageOutcome.BLOCKED),
    ]
    walk.done("c")
    (close,) = walk.of(do.CloseRun)
    assert close.flight.outcomes["c"] is StageOutcome.RAN


@pytest.mark.parametrize("outcome", [StageOutcome.CANCELLED, StageOutcome.OVERTAKEN])
def test_what_waits_for_a_stage_that_did_not_come_about_shares_its_fate(
    outcome: StageOutcome,
) -> None:
    walk = all_running()
    walk.done("a", outcome)
    (close,) = walk.of(do.CloseRun)
    assert set(close.flight.outcomes.values()) == {outcome}


def test_what_the_plan_finds_fresh_is_told_in_one_go_and_never_started() -> None:
    walk = Walk()
    walk.feed(RUN, planned(plan("d"), RUN))
    (told,) = walk.of(do.TellUnchanged)
    assert [status.name for status in told.stages] == ["a", "b", "c"]
    assert walk.started() == ["d"]


def test_a_run_with_nothing_to_do_closes_at_once_and_notes_nothing() -> None:
    walk = Walk()
    walk.feed(RUN, planned(plan(), RUN))
    assert walk.started() == []
    assert not walk.of(do.OpenRun)
    assert not walk.of(do.KeepFlight)
    (close,) = walk.of(do.CloseRun)
    assert set(close.flight.outcomes.values()) == {StageOutcome.UNCHANGED}
    assert close.flight.requests == ("c1",)


def test_what_is_forced_runs_and_what_follows_looks_again() -> None:
    walk = Walk()
    asked = got.Asked("c1", RunStages(("b", "d"), force=True))
    walk.feed(asked, planned(plan(), asked))
    assert [one.force for one in walk.of(do.StartStage)] == [True]
    assert walk.started() == ["b"]


def test_an_unknown_stage_is_refused_with_the_nearest_name() -> None:
    walk = Walk()
    asked = got.Asked("c1", RunStages(("aa",)))
    walk.feed(asked, planned(plan("a"), asked))
    (reply,) = walk.told(CommandDone)
    assert reply.exit_status == 2
    assert 'there is no stage "aa" (did you mean "a"?)' in reply.message
    assert walk.state.flights == ()


def test_a_save_that_makes_something_stale_starts_a_run_of_all_stages() -> None:
    walk = Walk(watching=True)
    assert walk.feed(got.TreeChanged(("x.py",))) == [do.MakePlan()]
    walk.feed(planned(plan("b")))
    (flight,) = walk.state.flights
    assert set(flight.order) == {"a", "b", "c", "d"}
    assert flight.origin == "watch"


def test_a_save_that_touches_nothing_starts_nothing() -> None:
    walk = Walk(watching=True)
    walk.feed(got.TreeChanged(()), planned(plan()))
    assert walk.state.flights == ()
    assert walk.state.is_idle


def test_a_stage_that_runs_every_time_is_no_cause_for_the_watch_but_runs_along() -> None:
    walk = Walk(watching=True)
    always = plan("b", kind=ReasonKind.ALWAYS)
    walk.feed(got.TreeChanged(()), planned(always))
    assert walk.state.is_idle
    walk.feed(RUN, planned(always, RUN))
    assert walk.started() == ["b"]


def test_nothing_starts_by_itself_while_the_watch_is_paused() -> None:
    walk = Walk(watching=False)
    walk.feed(got.TreeChanged(()), planned(plan("a")))
    assert walk.state.flights == ()


@pytest.mark.parametrize("outcome", [StageOutcome.FAILED, StageOutcome.CANCELLED])
def test_the_watch_does_not_repeat_what_failed_or_was_stopped_until_its_inputs_change(
    outcome: StageOutcome,
) -> None:
    walk = all_running()
    walk.done("a", outcome)
    walk.feed(got.RunClosed("r1"), got.TreeChanged(("y.txt",)))
    walk.feed(planned(plan("a", "b", "c", "d")))
    assert walk.state.flights == ()
    walk.feed(got.TreeChanged(("a.py",)), planned(plan("a", "b", keys={"a": "another"})))
    assert walk.started() == ["a"]


def test_a_manual_run_does_repeat_what_failed() -> None:
    walk = all_running()
    walk.done("a", StageOutcome.FAILED)
    walk.feed(RUN, planned(plan("a", "b", "c", "d"), RUN))
    assert walk.started() == ["a"]


def test_stop_ends_what_runs_and_starts_nothing_more() -> None:
    walk = all_running()
    walk.done("a")
    walk.feed(got.Asked("c9", StopStages()))
    assert walk.stopped() == [("r1", "b"), ("r1", "c")]
    walk.done("b", StageOutcome.CANCELLED)
    walk.done("c", StageOutcome.CANCELLED)
    (close,) = walk.of(do.CloseRun)
    assert close.flight.outcomes["d"] is StageOutcome.CANCELLED


def test_stop_of_one_stage_leaves_the_others() -> None:
    walk = all_running()
    walk.done("a")
    walk.feed(got.Asked("c9", StopStages(("b",))))
    assert walk.stopped() == [("r1", "b")]


def test_what_failed_runs_again_below_an_edit_that_has_not_reached_its_inputs_yet() -> None:
    walk = Walk(watching=True)
    walk.feed(RUN, planned(plan("a", "b", "c", "d"), RUN))
    walk.done("a")
    walk.done("b", StageOutcome.FAILED)
    walk.done("c")
    walk.feed(got.RunClosed("r1"))
    # The outs of "a" are still those with which "b" failed, so its fingerprint is too.
    walk.feed(got.TreeChanged(()), planned(plan("a", "b")))
    assert walk.told(RunStarted)[0].stages == ("a", "b", "c", "d")


def test_stop_with_nothing_running_says_so() -> None:
    walk = Walk()
    walk.feed(got.Asked("c9", StopStages()))
    (reply,) = walk.told(CommandDone)
    assert (reply.exit_status, reply.message) == (0, "nothing is running")


def test_a_broken_project_file_answers_who_asked_and_is_told_once_to_the_watch() -> None:
    walk = Walk(watching=True)
    walk.feed(RUN, got.PlanFailed("mlbench.toml:3: oops", 2, RUN))
    (reply,) = walk.told(CommandDone)
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
    walk = all_running()
    effects = walk.feed(got.Quit())
    assert do.StopStage("r1", "a", StageOutcome.CANCELLED) in effects
    assert do.Finish() not in effects
    effects = walk.done("a", StageOutcome.CANCELLED)
    assert do.Finish() not in effects
    assert walk.feed(got.RunClosed("r1")) == [do.Finish()]


def test_quitting_waits_for_a_promotion_under_way() -> None:
    walk = Walk()
    walk.feed(got.Asked("p1", Promote("staging")), planned(plan()))
    assert do.Finish() not in walk.feed(got.Quit())
    done = CommandDone("", "p1", 0)
    assert do.Finish() in walk.feed(got.Happened((done,)))


def test_turning_the_watch_on_looks_at_the_tree() -> None:
    walk = Walk()
    effects = walk.feed(got.Asked("w", SetWatch(True)))
    assert do.SetWatching(True) in effects
    assert do.MakePlan() in effects


def test_a_late_answer_of_another_run_is_ignored() -> None:
    walk = all_running()
    before = walk.state
    walk.done("a", run="r7")
    assert walk.state == before


def test_a_stop_while_a_run_is_planned_calls_it_off() -> None:
    walk = Walk()
    walk.feed(RUN, got.Asked("c9", StopStages()))
    walk.feed(planned(plan("a"), RUN))
    assert walk.state.flights == ()
    (reply,) = walk.told(CommandDone)
    assert (reply.command, reply.exit_status) == ("c1", 130)
    walk.feed(RUN, planned(plan("a"), RUN))
    assert walk.started() == ["a"], "the next run is not called off with it"


def test_quitting_while_a_run_is_planned_starts_nothing_and_leaves_it_to_the_next_holder() -> None:
    walk = Walk()
    walk.feed(RUN, got.Quit())
    effects = walk.feed(planned(plan("a"), RUN))
    assert walk.state.flights == ()
    assert not walk.told(CommandDone)
    assert do.Finish() in effects


def test_an_event_of_its_own_outs_is_no_news() -> None:
    walk = all_running()
    assert walk.feed(got.TreeChanged(("out/a/part-1",))) == []
    assert walk.feed(got.TreeChanged(("out/a/part-1", "x.py"))) == [do.MakePlan()]


@pytest.mark.parametrize("is_stop_first", [True, False], ids=["stop first", "look first"])
def test_a_stop_of_what_was_left_is_answered_also_where_the_project_is_broken(
    is_stop_first: bool,
) -> None:
    walk = Walk()
    kept = got.Kept("r0", "old-otter", "manual", 1.0, ("a",), 2)
    walk.feed(got.Resumed((kept,), (got.Unfinished("r0", "a"),)))
    stop = got.Asked("c9", StopStages())
    broken = got.PlanFailed("mlbench.toml:1: oops", 2)
    if is_stop_first:
        walk.feed(stop, broken)
    else:
        walk.feed(broken)
        assert do.MakePlan() in walk.feed(stop)
        walk.feed(broken)
    assert walk.of(do.AbandonStage) == [do.AbandonStage("r0", "a")]
    (reply,) = walk.told(CommandDone)
    assert (reply.command, reply.exit_status) == ("c9", 0)
