"""What the ledger says shares traffic, now and at any time, against a witness who saw it all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.ledger import (
    began,
    history_of,
    live,
    live_at,
    roles_in,
    shares_in_words,
    taken,
    traffic_at,
    traffic_of,
)
from mlbench.domain.release import LedgerEntry
from mlbench.domain.serving import Traffic
from mlbench.release.ledger import chain, line_of
from mlbench.release.ledger_check import fault_in
from tests.release.conftest import entry

Place = tuple[str, str]


def at(second: int) -> str:
    return f"2026-11-23T09:{second // 60 + 15:02d}:{second % 60:02d}.000Z"


def linked(unplaced: Sequence[LedgerEntry]) -> list[LedgerEntry]:
    placed: list[LedgerEntry] = []
    for item in unplaced:
        placed.append(chain(item, placed[-1] if placed else None))
    return placed


@dataclass
class Witness:
    """Stands beside one model of one environment and writes down what gets requests."""

    live: list[int] = field(default_factory=list)
    split: dict[int, float] = field(default_factory=dict)
    canary: int | None = None
    shadow: int | None = None

    def sees(self, action: str, version: int, split: dict[int, float]) -> None:
        is_step = action in ("promote", "rollback", "withdraw")
        if action == "promote":
            self.live.append(version)
        elif action == "rollback" and len(self.live) > 1:
            self.live.pop()
        if is_step and self.shadow == version:
            self.shadow = None
        if is_step or action in ("traffic", "canary", "canary_ended"):
            self.canary = version if action == "canary" else None
        if is_step or action in ("traffic", "canary"):
            self.split = split if action == "traffic" else {}
        if action in ("shadow", "shadow_ended"):
            self.shadow = version if action == "shadow" else None

    @property
    def traffic(self) -> tuple[dict[int, float], int | None, int | None]:
        return dict(self.split), self.canary, self.shadow


events = st.tuples(
    st.sampled_from(
        "promote promote rollback withdraw traffic canary canary canary_ended shadow shadow_ended"
        " of_a_later_mlbench".split()
    ),
    st.sampled_from(["staging", "production"]),
    st.sampled_from(["digits", "cats"]),
    st.integers(1, 4),
    st.dictionaries(st.integers(1, 4), st.floats(0.01, 1), max_size=3),
    st.integers(0, 3),
)
Happened = tuple[str, str, str, int, dict[int, float], int]


def told(action: str, place: Place, version: int, split: dict[int, float]) -> LedgerEntry:
    weights = {str(number): weight for number, weight in split.items()}
    item = entry(action, version, *place)
    return replace(item, weights=weights) if action == "traffic" else item


@given(st.lists(events, max_size=16), st.lists(st.integers(-1, 60), min_size=1, max_size=5))
def test_what_shared_traffic_then_is_what_a_witness_saw(
    happened: list[Happened], moments: list[int]
) -> None:
    second, unplaced = 0, []
    witnesses: dict[Place, Witness] = {}
    seen: list[tuple[int, dict[Place, object]]] = [(-1, {})]
    nothing = Witness().traffic
    for action, environment, model, version, split, wait in happened:
        second += wait
        place = (environment, model)
        unplaced.append(replace(told(action, place, version, split), at=at(second)))
        witnesses.setdefault(place, Witness()).sees(action, version, split)
        now = {key: one.traffic for key, one in witnesses.items() if one.traffic != nothing}
        seen.append((second, dict(now)))
    whole = linked(unplaced)
    for moment in moments:
        expected = [picture for when, picture in seen if when <= moment][-1]
        assert _pictured(traffic_at(whole, at(moment))) == expected
    assert traffic_at(whole, at(99)) == traffic_of(whole)


def _pictured(shared: dict[str, dict[str, Traffic]]) -> dict[Place, object]:
    return {
        (environment, model): (
            {int(version): weight for version, weight in one.weights.items()},
            one.canary,
            one.shadow,
        )
        for environment, models in shared.items()
        for model, one in models.items()
    }


@given(st.lists(events, max_size=16), st.integers(0, 60))
def test_what_shares_traffic_is_no_step_of_what_is_live(
    happened: list[Happened], moment: int
) -> None:
    second, unplaced = 0, []
    for action, environment, model, version, split, wait in happened:
        second += wait
        item = told(action, (environment, model), version, split)
        unplaced.append(replace(item, at=at(second)))
    whole = linked(unplaced)
    steps = [item for item in whole if item.action in ("promote", "rollback", "withdraw")]
    assert taken(whole) == taken(steps)
    assert live(whole) == live(steps)
    assert live_at(whole, at(moment)) == live_at(steps, at(moment))
    for environment in ("staging", "production"):
        assert history_of(whole, environment, "cats") == history_of(steps, environment, "cats")
    data = b"".join(map(line_of, whole))
    assert fault_in(data, []) is None


def test_the_entry_by_which_a_trial_began_is_found() -> None:
    whole = linked([entry("canary", 1), entry("canary_ended", 1), entry("canary", 2)])
    found = began(whole, "staging", "digits", "canary")
    assert found == whole[2]
    assert began(whole, "production", "digits", "canary") is None
    assert began(whole, "staging", "digits", "shadow") is None


def test_shares_are_told_in_percents() -> None:
    assert shares_in_words({"10": 0.125, "9": 0.875}) == "v9 87.5 %, v10 12.5 %"
    assert shares_in_words({"3": 2 / 3, "4": 1 / 3}) == "v3 66.67 %, v4 33.33 %"
    traffic = Traffic("digits", {"3": 0.8, "4": 0.2}, shadow=5)
    assert [roles_in(traffic, version) for version in (3, 4, 5, 6)] == [
        ("80 %",),
        ("20 %",),
        ("shadow",),
        (),
    ]
    assert roles_in(Traffic("digits", canary=4, shadow=4), 4) == ("canary", "shadow")
