"""When changes are told, by a clock that the test moves."""

from __future__ import annotations

import itertools

from hypothesis import example, given
from hypothesis import strategies as st

from mlbench.pipeline.watching.pending import (
    CAP_SECONDS,
    FREE_CALLS,
    PAUSE_SECONDS,
    QUIET_SECONDS,
    Change,
    Pending,
)

GAPS = st.floats(0.0, 0.2)
EVENTS = st.lists(
    st.tuples(GAPS, st.sampled_from(["a", "b", "c/d"]), st.sampled_from(Change)), max_size=60
)
NEXT_TO_NOTHING = 1e-9


def play(events: list[tuple[float, str, Change]]) -> list[tuple[float, tuple[str, ...]]]:
    """The calls with their times that come of events, each so long after the one before."""
    pending, now, calls = Pending(), 100.0, []

    def tell_until(end: float) -> None:
        while (due := pending.due()) is not None and due <= end:
            calls.append((due, pending.take(due)))

    for gap, path, change in events:
        tell_until(now + gap)
        now += gap
        pending.note(path, change, now)
    tell_until(now + 10.0)
    assert not pending
    return calls


def test_a_save_is_told_after_the_quiet() -> None:
    [(at, paths)] = play([(0.0, "a", Change.WRITTEN), (0.01, "a", Change.SAVED)])
    assert (round(at - 100.01, 6), paths) == (QUIET_SECONDS, ("a",))


def test_what_nobody_closes_is_told_at_the_cap() -> None:
    [(at, paths)] = play([(0.0, "a", Change.WRITTEN)])
    assert (round(at - 100.0, 6), paths) == (CAP_SECONDS, ("a",))


def test_a_log_beside_a_save_does_not_hold_it_up() -> None:
    log = [(0.01, "log", Change.WRITTEN)] * 100
    calls = play([*log[:10], (0.0, "a", Change.SAVED), *log[10:]])
    assert round(calls[0][0] - 100.1, 6) == QUIET_SECONDS


@given(EVENTS)
def test_every_change_is_told_and_none_later_than_the_cap(
    events: list[tuple[float, str, Change]],
) -> None:
    calls = play(events)
    now = 100.0
    for gap, path, change in events:
        now += gap
        told = [at for at, paths in calls if path in paths and now <= at]
        if change in (Change.WRITTEN, Change.SAVED) and not _vanishes(events, path):
            assert told
            assert told[0] <= now + CAP_SECONDS + NEXT_TO_NOTHING


def _vanishes(events: list[tuple[float, str, Change]], path: str) -> bool:
    """Whether the path may have been made and gone within one call."""
    return any(name == path and change is Change.GONE for _, name, change in events)


@example([0.1] * 1000)
@given(st.lists(st.floats(0.0, PAUSE_SECONDS - QUIET_SECONDS - 0.01), min_size=50, max_size=300))
def test_who_never_pauses_is_told_of_at_the_cap_before_long(gaps: list[float]) -> None:
    calls = play([(gap, f"f{number}", Change.SAVED) for number, gap in enumerate(gaps)])
    times = [at for at, _ in calls]
    # By then the distances have doubled up to the cap; the last call has no events after it.
    steady = times[FREE_CALLS + 6 : -1]
    for before, after in itertools.pairwise(steady):
        assert after - before >= CAP_SECONDS - PAUSE_SECONDS


@given(st.lists(st.floats(PAUSE_SECONDS + QUIET_SECONDS + 0.01, 2.0), min_size=1, max_size=40))
def test_who_saves_by_hand_never_waits_longer_than_the_quiet(gaps: list[float]) -> None:
    calls = play([(gap, "a", Change.SAVED) for gap in gaps])
    now = 100.0
    for gap, (at, _) in zip(gaps, calls, strict=True):
        now += gap
        assert abs(at - now - QUIET_SECONDS) < NEXT_TO_NOTHING


def test_what_is_made_and_gone_before_it_is_told_never_was() -> None:
    assert play([(0.0, "a", Change.MADE), (0.0, "a", Change.SAVED), (0.0, "a", Change.GONE)]) == []


def test_what_was_there_and_is_gone_is_told_though_it_came_again_meanwhile() -> None:
    steps = (Change.GONE, Change.MADE, Change.SAVED, Change.GONE)
    [(_, paths)] = play([(0.0, "a", step) for step in steps])
    assert paths == ("a",)


def test_everything_stands_for_all_paths_and_only_once() -> None:
    pending = Pending()
    pending.note("a", Change.SAVED, 100.0)
    pending.note_everything(100.0)
    assert pending.take(101.0) == ()
    assert not pending
    pending.note("b", Change.SAVED, 102.0)
    assert pending.take(103.0) == ("b",)


def test_a_hold_starts_the_waiting_anew() -> None:
    pending = Pending()
    pending.note("a", Change.SAVED, 100.0)
    pending.hold(105.0)
    assert pending.due() == 105.0 + QUIET_SECONDS
