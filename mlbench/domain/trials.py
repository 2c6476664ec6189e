"""What a canary's verdict means for the record, and canaries and shadows in words."""

from __future__ import annotations

from collections.abc import Iterable

from mlbench.domain.phrases import number, plural
from mlbench.domain.release import LedgerEntry
from mlbench.domain.serving import CanaryCheck, CanarySpec, CanaryState, ShadowState, Traffic

RUNNING, PASSED, FAILED = "running", "passed", "failed"
# What the ledger's words of a canary that was decided begin with.
VERDICTS = ("canary passed", "canary failed")


def is_settled(state: CanaryState, traffic: Traffic, began: LedgerEntry) -> bool:
    """Whether there is nothing to write down of a canary's state.

    It still runs, or the ledger knows how it ended, or it is the state of another canary of the
    same version than the one that `began`.
    """
    is_going = traffic.canary == began.version == state.version
    is_this_one = is_going and state.entry == began.sequence
    return state.verdict == RUNNING or not is_this_one


def passed_words(state: CanaryState) -> str:
    """`canary passed: all is within its limits (errors 0.001 of at most 0.01, …)`."""
    checks = ", ".join(map(check_words, state.checks))
    count = plural(state.requests, "request")
    told = f"canary passed: {state.why}" if state.why else "canary passed"
    return f"{told} ({count} in the last{f': {checks}' if checks else ''})"


def failed_words(state: CanaryState) -> str:
    """`canary failed: latency: p95 is 9 ms, 3 ms at live; …`."""
    failing = (check.why or check_words(check) for check in state.checks if check.verdict == "fail")
    why = state.why or "; ".join(failing)
    return f"canary failed: {why}" if why else "canary failed"


def check_words(check: CanaryCheck) -> str:
    """`latency 1.02 of at most 1.5`."""
    value = "unknown" if check.value is None else number(check.value)
    return f"{check.name} {value}" + (
        f" of at most {number(check.limit)}" if check.limit is not None else ""
    )


def canary_lines(state: CanaryState, spec: CanarySpec) -> Iterable[str]:
    """How a canary stands, the gist first and then a line for each check."""
    where = f"step {state.step + 1} of {len(spec.steps)}, {percent(state.share)} of the requests"
    count = f"{state.requests} of its own in this step, {spec.min_requests} are needed"
    yield f"canary v{state.version} beside v{state.live}: {state.verdict}, {where}, {count}"
    if state.why:
        yield f"  {state.why}"
    for check in state.checks:
        yield f"  {check.verdict:<5}{check_words(check)}" + (f"  {check.why}" if check.why else "")


def shadow_lines(state: ShadowState) -> Iterable[str]:
    """How a shadow's answers compare with the live ones."""
    flips = f"{plural(state.flips, 'flip')} in {plural(state.compared, 'row')}"
    largest = f"largest error {number(state.max_abs_error)}"
    lost = f"{state.failed} failed, {state.dropped} dropped"
    yield f"shadow v{state.version} beside v{state.live}: {flips}, {largest}, {lost}"
    if state.p99_with is not None and state.p99_without is not None:
        yield (
            f"  copies {percent(state.share)}; live p99 {number(state.p99_with)} ms with it, "
            f"{number(state.p99_without)} ms without"
        )
    if state.why:
        yield f"  {state.why}"


def percent(share: float) -> str:
    """`12.5 %`."""
    return f"{100 * share:.4g} %"
