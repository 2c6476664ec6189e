"""One canary from its first step to its verdict: pure, from one tally to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mlbench.domain.records import dataclass
from mlbench.domain.serving import CanarySpec, CanaryState
from mlbench.domain.tally import Tally
from mlbench.domain.trials import FAILED, PASSED, RUNNING
from mlbench.serving.traffic.deciding import (
    FAIL,
    PASS,
    checks_of,
    look_at,
    patient,
    verdict_of,
    waiting,
)

MOST_DEATHS = 3


@dataclass(frozen=True, slots=True)
class Trial:
    """A canary as it stands, and the counts of both versions when its step began.

    `live_first` are the live version's when the canary began: where the canary has all of the
    traffic, that is what it is compared with. `look` is the last look that was taken in this step,
    `deaths` how many workers died in it. `classes` are the live version's and the canary's.
    """

    state: CanaryState
    spec: CanarySpec
    live_first: Tally
    live: Tally
    canary: Tally
    classes: tuple[Sequence[str], Sequence[str]] = ((), ())
    look: int = 0
    deaths: int = 0

    @property
    def is_running(self) -> bool:
        """Whether it has no verdict yet."""
        return self.state.verdict == RUNNING


def begun(
    state: CanaryState,
    spec: CanarySpec,
    live: Tally,
    canary: Tally,
    classes: tuple[Sequence[str], Sequence[str]] = ((), ()),
) -> Trial:
    """A canary at the beginning of the step that its state names; one with a verdict keeps it."""
    if state.verdict == RUNNING:
        state = _at_step(state, spec, min(state.step, len(spec.steps) - 1))
    return Trial(state, spec, live, live, canary, classes)


def observed(trial: Trial, live: Tally, canary: Tally) -> Trial:
    """What the newest counts make of it: it stays, takes the next step, passes or fails."""
    if not trial.is_running:
        return trial
    mine = canary.since(trial.canary)
    requests = mine.ended
    look = look_at(requests, trial.spec.min_requests)
    if look == trial.look:
        if requests == trial.state.requests:
            return trial
        checks = patient(trial.state.checks, requests, trial.spec.min_requests)
        return replace(trial, state=replace(trial.state, requests=requests, checks=checks))
    before = trial.live_first if trial.state.share >= 1 else trial.live
    checks = checks_of(live.since(before), mine, trial.spec, look, trial.classes)
    state = replace(trial.state, requests=requests, checks=checks)
    verdict = verdict_of(checks)
    if verdict == FAIL:
        return replace(trial, look=look, state=_failed(state, _reason(state)))
    if verdict == PASS:
        return _moved(replace(trial, state=state), live, canary)
    return replace(trial, look=look, state=state)


def without_worker(trial: Trial) -> Trial:
    """A worker died while the canary was served: several in one step are the canary's failure."""
    if not trial.is_running:
        return trial
    deaths = trial.deaths + 1
    if deaths < MOST_DEATHS:
        return replace(trial, deaths=deaths)
    why = f"{deaths} workers died while it had {trial.state.share:.4g} of the traffic"
    return replace(trial, deaths=deaths, state=_failed(trial.state, why))


def not_served(trial: Trial, why: str) -> Trial:
    """It can't be loaded: that is its failure."""
    return replace(trial, state=_failed(trial.state, why)) if trial.is_running else trial


def _moved(trial: Trial, live: Tally, canary: Tally) -> Trial:
    """At the next step, or passed after the last one."""
    step = trial.state.step + 1
    if step < len(trial.spec.steps):
        state = _at_step(trial.state, trial.spec, step)
        return replace(trial, state=state, live=live, canary=canary, look=0, deaths=0)
    why = f"errors, latency and predictions are within their limits at all {step} steps"
    return replace(trial, state=replace(trial.state, share=1.0, verdict=PASSED, why=why))


def _at_step(state: CanaryState, spec: CanarySpec, step: int) -> CanaryState:
    checks = waiting(0, spec.min_requests)
    return replace(state, step=step, share=spec.steps[step], requests=0, checks=checks)


def _failed(state: CanaryState, why: str) -> CanaryState:
    return replace(state, share=0.0, verdict=FAILED, why=why)


def _reason(state: CanaryState) -> str:
    failed = [check for check in state.checks if check.verdict == FAIL]
    told = "; ".join(f"{check.name}: {check.why}" for check in failed)
    return f"{told}; rolled back after {state.requests} requests at {state.share:.4g}"
