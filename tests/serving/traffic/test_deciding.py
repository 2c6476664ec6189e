"""Canaries against simulated traffic with fixed seeds: how often good ones fail, how soon bad ones.

Every step may last for ever: here each is looked at until its canary had ten times as many requests
as it needs, and nothing passes before that.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mlbench.domain.serving import CanaryCheck, CanarySpec
from mlbench.domain.tally import Tally
from mlbench.serving.traffic.deciding import checks_of, look_at, verdict_of, waiting
from tests.serving.traffic.simulated import Version, first_failure, looks, usual_latency

_SPEC = CanarySpec()
_GOOD = Version()


def slower(factor: float) -> Version:
    return Version(latency=lambda rng, size: usual_latency(rng, size) * factor)


def shifted(by: float) -> Version:
    return Version(predictions=lambda rng, size: rng.normal(by, 1.0, size))


GOOD = pytest.mark.parametrize(
    ("live", "canary"),
    [
        (_GOOD, _GOOD),
        (Version(errors=0.02), Version(errors=0.02)),
        (_GOOD, Version(errors=0.01)),
        (_GOOD, slower(1.5)),
        (_GOOD, shifted(0.3)),
    ],
    ids=["equal", "equal with errors", "errors at the limit", "latency at the limit", "shift"],
)


# What happens in less than one of 300 steps happens in none of 20; the seeds are fixed. Where a
# bound is left out, several fail.
@GOOD
def test_a_good_canary_is_not_rolled_back_however_often_it_is_looked_at(
    live: Version, canary: Version
) -> None:
    assert [first_failure(live, canary, seed, 2000) for seed in range(20)] == [None] * 20


@GOOD
@pytest.mark.long
def test_less_than_one_in_a_hundred_good_canaries_is_rolled_back(
    live: Version, canary: Version
) -> None:
    """200 canaries of three steps each, and each step looked at as if it went on."""
    failures = [
        any(first_failure(live, canary, 1000 * step + seed, 2000) for step in range(3))
        for seed in range(200)
    ]
    assert sum(failures) / len(failures) < 0.01


@pytest.mark.parametrize(
    ("live", "canary", "check", "most"),
    [
        (_GOOD, Version(errors=1.0), "errors", 20),
        (_GOOD, Version(errors=0.05), "errors", 800),
        (Version(errors=0.02), Version(errors=0.07), "errors", 2000),
        (_GOOD, slower(2.0), "latency", 240),
        (_GOOD, shifted(0.7), "shift", 2000),
        (_GOOD, shifted(1.0), "shift", 400),
    ],
)
def test_a_bad_canary_is_found_soon_by_what_is_bad_about_it(
    live: Version, canary: Version, check: str, most: int
) -> None:
    """Of 20 canaries, 19 at least within so many of their requests, and all in the end."""
    found = [first_failure(live, canary, seed, 5000) for seed in range(20)]
    assert {failure[0] for failure in found if failure} == {check}
    assert None not in found
    assert sorted(failure[1] for failure in found if failure)[18] <= most


def test_one_that_is_slow_now_and_then_alone_is_found_by_its_tail() -> None:
    def hanging(
        rng: np.random.Generator, size: int
    ) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        seconds = usual_latency(rng, size)
        seconds[rng.random(size) < 0.2] += 0.05
        return seconds

    failure = first_failure(_GOOD, Version(latency=hanging), 1, 5000)
    assert failure is not None
    assert failure[0] == "latency"


def test_a_good_canary_has_all_it_needs_at_its_min_requests() -> None:
    """A step ends then, in nine of ten at least."""
    passed = 0
    for seed in range(30):
        for look, live, canary, requests in looks(_GOOD, _GOOD, _SPEC, 0.05, seed, 500):
            verdict = verdict_of(checks_of(live, canary, _SPEC, look))
            assert verdict == "wait" or requests >= 500
        passed += verdict == "pass"
    assert passed >= 27


@pytest.mark.parametrize("least", [1, 7, 20, 500, 100_000])
def test_looks_come_at_one_and_a_half_times_the_requests_and_at_those_needed(least: int) -> None:
    assert look_at(0, least) == 0
    assert look_at(least, least) == look_at(least - 1, least) + 1 or least == 1
    assert look_at(round(least * 1.6), least) > look_at(least, least) or least == 1
    numbers = [look_at(requests, least) for requests in range(0, 3 * least, max(least // 50, 1))]
    assert numbers == sorted(numbers)


def test_with_little_traffic_it_says_for_how_many_it_waits() -> None:
    checks = waiting(12, 500)
    assert [(check.name, check.verdict, check.why) for check in checks] == [
        (name, "wait", "12 of 500 requests") for name in ("errors", "latency", "shift")
    ]
    assert verdict_of(checks) == "wait"


def test_without_any_live_traffic_nothing_is_decided() -> None:
    canary = _GOOD.serve(Tally("m", "2"), np.random.default_rng(1), 5000)
    checks = checks_of(Tally("m", "1"), canary, _SPEC, 12)
    assert {check.verdict for check in checks} == {"wait"}
    assert all(check.why for check in checks)


def test_what_the_canary_refuses_and_the_live_version_takes_is_an_error() -> None:
    live = _GOOD.serve(Tally("m", "1"), np.random.default_rng(1), 5000)
    canary = _GOOD.serve(Tally("m", "2"), np.random.default_rng(2), 400)
    refusing = replace(canary, refused=100)
    [errors, *_] = checks_of(live, refusing, _SPEC, 9)
    assert errors.verdict == "fail"
    assert "100 of 500" in errors.why
    both = replace(live, refused=1250)
    [errors, *_] = checks_of(both, refusing, _SPEC, 9)
    assert errors.verdict == "pass"


def test_models_without_predictions_don_t_shift() -> None:
    live = _GOOD.serve(Tally("m", "1"), np.random.default_rng(1), 5000)
    canary = _GOOD.serve(Tally("m", "2"), np.random.default_rng(2), 500)
    checks = checks_of(replace(live, predictions=()), replace(canary, predictions=()), _SPEC, 9)
    assert checks[2].verdict == "pass"
    [*_, shift] = checks_of(live, replace(canary, predictions=()), _SPEC, 9)
    assert shift.verdict == "wait"
    assert "it made no predictions" in shift.why


def test_any_failure_fails_and_only_all_passes_pass() -> None:
    passed, waits, failed = (CanaryCheck("errors", word) for word in ("pass", "wait", "fail"))
    assert verdict_of([passed, waits, failed]) == "fail"
    assert verdict_of([passed, waits]) == "wait"
    assert verdict_of([passed, passed]) == "pass"
