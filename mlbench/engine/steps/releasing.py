"""Releases: judged by the project's files as they are when somebody asks, not as read last."""

from __future__ import annotations

from dataclasses import replace

from mlbench.domain.commands import EndTrial, Release, Rollback, SetTraffic
from mlbench.engine import effects as do
from mlbench.engine import inputs as got
from mlbench.engine.state import LoopState
from mlbench.engine.steps.answers import Effects, Step, plan_next, reply


def release(happened: got.Asked, state: LoopState) -> Step:
    """Look at the tree first: a gate that was edited a moment ago counts."""
    return plan_next(replace(state, releases=(*state.releases, happened), tree_moved=True), [])


def begin_releases(state: LoopState, failed: got.PlanFailed | None = None) -> Step:
    """Carry out what waited for the look that has ended.

    A project that can't be read puts nothing new in front of anybody, but what takes a version
    back must work just then.
    """
    told: Effects = []
    for asked in state.looked_for:
        assert isinstance(asked.command, Release)
        if failed is None or _takes_back(asked.command):
            state = replace(state, carrying=state.carrying + 1)
            told.append(do.CarryOut(asked.id, asked.command))
        else:
            told.append(reply(asked.id, failed.exit_status, failed.message))
    return replace(state, looked_for=()), told


def _takes_back(command: Release) -> bool:
    is_given_back = isinstance(command, SetTraffic) and not command.weights
    return is_given_back or isinstance(command, Rollback | EndTrial)
