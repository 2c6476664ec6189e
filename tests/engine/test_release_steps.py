"""The loop's decisions on releases: which look at the tree each is judged by."""

from __future__ import annotations

import pytest

from mlbench.domain.commands import (
    EndTrial,
    ExportRun,
    Promote,
    Release,
    Rollback,
    SetTraffic,
    StartCanary,
    StartShadow,
    StopStages,
)
from mlbench.domain.events import CommandDone
from mlbench.engine import effects as do
from mlbench.engine import inputs as got
from tests.engine.walk import RUN, Walk, plan, planned

BY_HAND = Promote("staging")
PROMOTE = got.Asked("p1", BY_HAND)
CARRIED_OUT = do.CarryOut("p1", BY_HAND)


def test_a_release_waits_for_a_look_at_the_tree() -> None:
    walk = Walk()
    assert walk.feed(PROMOTE) == [do.MakePlan(None)]
    assert not walk.state.is_idle
    assert CARRIED_OUT in walk.feed(planned(plan()))
    assert not walk.state.planning


def test_a_look_that_began_before_the_release_says_nothing_of_the_edit_before_it() -> None:
    walk = Walk()
    walk.feed(got.TreeChanged(()), PROMOTE)
    effects = walk.feed(planned(plan()))
    assert CARRIED_OUT not in effects
    assert do.MakePlan(None) in effects
    assert not walk.state.is_idle
    assert CARRIED_OUT in walk.feed(planned(plan()))


def test_a_look_for_a_run_counts_for_a_release_too() -> None:
    walk = Walk()
    walk.feed(got.TreeChanged(()), RUN, PROMOTE)
    walk.feed(planned(plan()))
    walk.feed(planned(plan("a"), RUN))
    assert walk.of(do.CarryOut) == [CARRIED_OUT]
    assert walk.started() == ["a"]


def test_a_run_that_is_called_off_holds_no_release_up() -> None:
    walk = Walk()
    walk.feed(RUN, PROMOTE, got.Asked("s1", StopStages()))
    walk.feed(planned(plan("a"), RUN), planned(plan("a")))
    assert walk.of(do.CarryOut) == [CARRIED_OUT]
    assert walk.started() == []


def test_releases_are_carried_out_in_the_order_they_came() -> None:
    walk = Walk()
    back = Rollback("staging")
    walk.feed(got.TreeChanged(()), PROMOTE, got.Asked("p2", back), planned(plan()), planned(plan()))
    assert walk.of(do.CarryOut) == [CARRIED_OUT, do.CarryOut("p2", back)]


@pytest.mark.parametrize(
    "command",
    [
        Promote("staging"),
        SetTraffic("staging", "m", {"1": 1.0}),
        StartCanary("staging"),
        StartShadow("staging"),
        ExportRun("last"),
    ],
)
def test_a_broken_project_file_lets_nothing_new_out(command: Release) -> None:
    walk = Walk()
    walk.feed(got.Asked("p1", command), got.PlanFailed("mlbench.toml:3: oops", 2))
    assert not walk.of(do.CarryOut)
    told = [(one.command, one.exit_status, one.message) for one in walk.told(CommandDone)]
    assert told == [("p1", 2, "mlbench.toml:3: oops")]
    assert walk.state.is_idle


@pytest.mark.parametrize(
    "command", [Rollback("staging"), EndTrial("canary", "staging"), SetTraffic("staging", "m")]
)
def test_what_takes_a_version_back_works_beside_a_broken_project_file(command: Release) -> None:
    walk = Walk()
    walk.feed(got.Asked("p1", command), got.PlanFailed("mlbench.toml:3: oops", 2))
    assert walk.of(do.CarryOut) == [do.CarryOut("p1", command)]


def test_quitting_leaves_a_release_that_has_not_begun_to_the_next_holder() -> None:
    walk = Walk()
    walk.feed(PROMOTE, got.Quit())
    effects = walk.feed(planned(plan()))
    assert not walk.of(do.CarryOut)
    assert not walk.told(CommandDone)
    assert do.Finish() in effects
