"""Whether a canary moves on, passes, or is rolled back: pure.

It is looked at all the time, and whoever looks often enough sees anything happen by chance. So
evidence against it is weighed only at looks that lie further and further apart, each at 1.5 times
the requests of the one before; look k may raise a false alarm with 1 / (k (k + 1)) of the
probability that is left for its step, which over all looks sums up to no more than that (union
bound; alpha spending as in Lan and DeMets, Discrete sequential boundaries for clinical trials,
Biometrika 70, 1983). However long a canary runs, a good one fails in less than FALSE_ALARM of all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from mlbench.domain.serving import CanaryCheck, CanarySpec
from mlbench.domain.tally import Tally
from mlbench.serving.traffic.bounds import least_increase, normal_quantile, share_between
from mlbench.serving.traffic.shifting import shift_of

FALSE_ALARM = 0.01
PASS, FAIL, WAIT = "pass", "fail", "wait"

_CHECKS = ("errors", "latency", "shift")
_GROWTH = 1.5
# The look at `min_requests`; those before it come at 1/1.5, 1/1.5² … of them.
_FULL = 9
_FEWEST_ANSWERS = 10
_FEWEST_PREDICTIONS = 100
_PERCENTILES = (0.5, 0.95)


def look_at(requests: int, min_requests: int) -> int:
    """The number of the last look that is due with so many requests; 0 where none is yet."""
    look = 0
    while requests >= math.ceil(min_requests * _GROWTH ** (look + 1 - _FULL)):
        look += 1
    return look


def checks_of(
    live: Tally,
    canary: Tally,
    spec: CanarySpec,
    look: int,
    classes: tuple[Sequence[str], Sequence[str]] = ((), ()),
) -> tuple[CanaryCheck, ...]:
    """Errors, latency and prediction shift of a canary at look 1, 2 … of one step.

    Both tallies are of this step alone. A check fails where even the bound in the canary's favour
    exceeds its limit; it passes from `min_requests` on where what was seen is within the limit, and
    waits otherwise. `classes` are those of both, where they have any.
    """
    alarm = FALSE_ALARM / len(spec.steps) / len(_CHECKS) / (look * (look + 1))
    found = (
        _errors(live, canary, spec.max_error_increase, alarm),
        _latency(live, canary, spec.max_latency_ratio, alarm),
        _shift(live, canary, spec.max_shift, alarm, classes),
    )
    return patient(found, canary.ended, spec.min_requests)


def waiting(requests: int, min_requests: int) -> tuple[CanaryCheck, ...]:
    """The checks before the first look."""
    return patient([CanaryCheck(name, WAIT) for name in _CHECKS], requests, min_requests)


def patient(
    checks: Sequence[CanaryCheck], requests: int, min_requests: int
) -> tuple[CanaryCheck, ...]:
    """The checks, of which none passes before its canary had its requests; they say how many."""
    if requests >= min_requests:
        return tuple(checks)
    why = f"{requests} of {min_requests} requests"
    return tuple(
        check if check.verdict == FAIL else replace(check, verdict=WAIT, why=why)
        for check in checks
    )


def verdict_of(checks: Sequence[CanaryCheck]) -> str:
    """Fail where one fails, pass where all pass, wait otherwise."""
    verdicts = {check.verdict for check in checks}
    return FAIL if FAIL in verdicts else PASS if verdicts == {PASS} else WAIT


def _errors(live: Tally, canary: Tally, limit: float, alarm: float) -> CanaryCheck:
    """Errors are all answers but good ones: what one version refuses the other may take."""
    if not live.ended or not canary.ended:
        return CanaryCheck("errors", WAIT, None, limit, "no requests to compare with yet")
    wrong, wrong_live = canary.ended - canary.answered, live.ended - live.answered
    value = wrong / canary.ended - wrong_live / live.ended
    surely = least_increase(wrong_live, live.ended, wrong, canary.ended, alarm)
    told = (
        f"{wrong} of {canary.ended} requests failed ({wrong / canary.ended:.2%}), "
        f"{wrong_live / live.ended:.2%} at the live version"
    )
    if surely > limit:
        return CanaryCheck("errors", FAIL, value, limit, told)
    return _within("errors", value, limit, told)


def _latency(live: Tally, canary: Tally, limit: float, alarm: float) -> CanaryCheck:
    """Half of the canary's answers, and one in 20, may be slower than the live version's by limit.

    Each of the two percentiles gets half of the alarm's probability, and of that half is for how
    uncertain the live version's percentile is.
    """
    if min(live.answered, canary.answered) < _FEWEST_ANSWERS:
        return CanaryCheck("latency", WAIT, None, limit, "too few answers to compare with yet")
    value, told, is_slow = 0.0, "", False
    for share in _PERCENTILES:
        before, after = live.percentile(share) or 0.0, canary.percentile(share) or 0.0
        ratio = after / before
        if ratio > value:
            value = ratio
            told = f"p{share * 100:g} is {after * 1e3:.3g} ms, {before * 1e3:.3g} ms at live"
        is_slow |= _is_slower(live, canary, share, limit, alarm / len(_PERCENTILES))
    if is_slow:
        return CanaryCheck("latency", FAIL, value, limit, told)
    return _within("latency", value, limit, told)


def _is_slower(live: Tally, canary: Tally, share: float, limit: float, alarm: float) -> bool:
    """Whether surely more of the canary's answers than 1 - share take `limit` times the live's."""
    z = normal_quantile(1 - alarm / 2)
    # The live percentile lies below this one of what was seen but for half the probability.
    above = share + z * math.sqrt(share * (1 - share) / live.answered)
    longest = live.percentile(above) if above < 1 else None
    if longest is None:
        return False
    slower = canary.slower_than(longest * limit)
    return share_between(slower, canary.answered, alarm / 2)[0] > 1 - share


def _shift(
    live: Tally,
    canary: Tally,
    limit: float,
    alarm: float,
    classes: tuple[Sequence[str], Sequence[str]],
) -> CanaryCheck:
    if not canary.predictions or not live.predictions:
        return _without_predictions(live, canary, limit)
    clusters = _rows_each(live), _rows_each(canary)
    shift = shift_of(live.predictions, canary.predictions, alarm, classes, clusters)
    told = f"its predictions lie {shift.beyond:.2f} from the live version's"
    enough = all(
        len(tally.predictions) / rows >= _FEWEST_PREDICTIONS
        for tally, rows in zip((live, canary), clusters, strict=True)
    )
    if enough and shift.index > shift.chance and shift.least > limit:
        return CanaryCheck("shift", FAIL, shift.beyond, limit, told)
    return _within("shift", shift.beyond, limit, told)


def _without_predictions(live: Tally, canary: Tally, limit: float) -> CanaryCheck:
    if not live.predictions and not canary.predictions:
        return CanaryCheck("shift", PASS, None, limit, "neither version predicts numbers or labels")
    lacking = "it" if live.predictions else "the live version"
    return CanaryCheck("shift", WAIT, None, limit, f"{lacking} made no predictions in this step")


def _rows_each(tally: Tally) -> float:
    return max(tally.rows / tally.answered, 1.0) if tally.answered else 1.0


def _within(name: str, value: float, limit: float, told: str) -> CanaryCheck:
    if value <= limit:
        return CanaryCheck(name, PASS, value, limit)
    return CanaryCheck(name, WAIT, value, limit, f"{told}; that may be chance yet")
