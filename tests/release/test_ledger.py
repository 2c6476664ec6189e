"""The ledger: a chain that shows every change, and what it says is live."""

from __future__ import annotations

import json
import resource
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mlbench.domain.errors import UsageError
from mlbench.domain.ledger import history_of, live, live_at, was_live
from mlbench.domain.release import LedgerEntry
from mlbench.release.ledger import Ledger, LedgerDamagedError, chain, first_fault
from mlbench.release.promotion import previous_version
from tests.release.conftest import entry
from tests.tracking.processes import together

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
entries = st.builds(
    LedgerEntry,
    sequence=st.just(0),
    at=texts,
    action=st.sampled_from(["promote", "rollback"]),
    environment=st.sampled_from(["staging", "production"]),
    model=st.sampled_from(["digits", "größe"]),
    version=st.integers(1, 4),
    digest=texts,
    run=texts,
    by=texts,
    why=texts,
)


def linked(unplaced: Sequence[LedgerEntry]) -> list[LedgerEntry]:
    """These entries as a ledger would hold them."""
    placed: list[LedgerEntry] = []
    for item in unplaced:
        placed.append(chain(item, placed[-1] if placed else None))
    return placed


chains = st.lists(entries, min_size=1, max_size=6).map(linked)
FIELDS = ("at", "action", "environment", "model", "digest", "run", "by", "why", "previous")


@given(chains)
def test_an_intact_chain_is_whole(whole: list[LedgerEntry]) -> None:
    assert first_fault(whole) is None
    assert [item.sequence for item in whole] == list(range(1, len(whole) + 1))


@given(chains, st.data())
def test_an_altered_entry_is_found_and_named(whole: list[LedgerEntry], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(whole) - 1))
    name = data.draw(st.sampled_from([*FIELDS, "version", "sequence", "checksum"]))
    value = data.draw(st.integers(-2, 9) if name in ("version", "sequence") else texts)
    assume(getattr(whole[at], name) != value)
    altered: dict[str, Any] = {name: value}
    whole[at] = replace(whole[at], **altered)
    assert first_fault(whole) == f"entry {at + 1} was altered after it was written"


@given(chains, st.data())
def test_a_missing_entry_is_found(whole: list[LedgerEntry], data: st.DataObject) -> None:
    assume(len(whole) > 1)
    at = data.draw(st.integers(0, len(whole) - 2))
    del whole[at]
    assert first_fault(whole) == f"an entry before entry {at + 1} is missing or out of order"


@given(chains, st.data())
def test_swapped_entries_are_found(whole: list[LedgerEntry], data: st.DataObject) -> None:
    assume(len(whole) > 1)
    one, other = data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=2, unique=True))[:2]
    whole[one], whole[other] = whole[other], whole[one]
    fault = first_fault(whole)
    assert fault is not None
    assert f"entry {min(one, other) + 1} " in fault


@given(chains, entries, st.data())
def test_an_inserted_entry_is_found_even_with_a_true_checksum(
    whole: list[LedgerEntry], forged: LedgerEntry, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(whole) - 1))
    assert first_fault([*whole[:at], chain(forged, whole[at - 1] if at else None), *whole[at:]])
    assert first_fault([*whole, whole[at]])


@given(st.lists(entries, min_size=1, max_size=4), entries, st.data())
def test_a_torn_tail_costs_the_unacknowledged_entry_alone(
    known: list[LedgerEntry], later: LedgerEntry, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ledger.jsonl")
        acknowledged = [Ledger(path).append(item) for item in known]
        before = path.stat().st_size
        Ledger(path).append(later)
        whole = path.read_bytes()
        path.write_bytes(whole[: data.draw(st.integers(before, len(whole) - 1))])

        assert list(Ledger(path).entries()) == acknowledged
        again = Ledger(path).append(later)
        assert list(Ledger(path).entries()) == [*acknowledged, again]
        assert first_fault(Ledger(path).entries()) is None
        assert path.read_bytes() == whole


@pytest.mark.parametrize("room", [0, 40])
def test_what_does_not_reach_the_disk_was_never_written(tmp_path: Path, room: int) -> None:
    path = tmp_path / "ledger.jsonl"
    first = Ledger(path).append(entry())
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + room, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as refused:
            Ledger(path).append(entry(version=2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert refused.value.filename == str(path)
    assert path.read_bytes() == before
    assert Ledger(path).entries() == (first,)


@given(st.binary(min_size=1).filter(lambda tail: b"\n" not in tail))
def test_whatever_a_crash_left_at_the_end_is_cut(tail: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ledger.jsonl")
        first = Ledger(path).append(entry())
        with path.open("ab") as file:
            file.write(tail)
        assert Ledger(path).entries() == (first,)
        second = Ledger(path).append(entry(version=2))
        assert Ledger(path).entries() == (first, second)


@pytest.mark.parametrize("damage", ["", "not json", "null", "[]", "7", '"sequence"', "{}"])
def test_a_damaged_line_is_named_and_nothing_is_changed(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "ledger.jsonl"
    for version in (1, 2, 3):
        Ledger(path).append(entry(version=version))
    lines = path.read_text().splitlines()
    lines[1] = damage
    path.write_text("\n".join(lines) + "\n")
    damaged = path.read_bytes()

    with pytest.raises(LedgerDamagedError, match=r"\.mlbench/ledger\.jsonl:2: ") as refused:
        Ledger(path).entries()
    assert "backup" in str(refused.value)
    with pytest.raises(LedgerDamagedError):
        Ledger(path).append(entry(version=4))
    assert path.read_bytes() == damaged


def test_there_is_a_ledger_only_with_the_first_entry(tmp_path: Path) -> None:
    path = tmp_path / "own" / "ledger.jsonl"
    assert Ledger(path).entries() == ()
    assert not path.parent.exists()
    assert first_fault(()) is None


def test_a_line_is_json_that_other_programs_read(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    written = Ledger(path).append(entry(model="größe"))
    (line,) = path.read_text(encoding="utf-8").splitlines()
    value = json.loads(line)
    assert (value["model"], value["sequence"], value["checksum"]) == ("größe", 1, written.checksum)


APPEND = """
import sys
from pathlib import Path
from mlbench.domain.release import LedgerEntry
from mlbench.release.ledger import Ledger
path, name = sys.argv[1:]
ready()
for version in range(1, 16):
    entry = LedgerEntry(0, "now", "promote", "staging", name, version, "d", "r", "ada")
    Ledger(Path(path)).append(entry)
"""


def test_four_processes_append_one_whole_chain(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    names = ("a", "b", "c", "d")
    together(APPEND, *([str(path), name] for name in names))
    found = Ledger(path).entries()
    assert first_fault(found) is None
    assert len(found) == 60
    for name in names:
        assert [item.version for item in found if item.model == name] == list(range(1, 16))


@given(chains)
def test_promote_pushes_and_rollback_pops_but_the_last(whole: list[LedgerEntry]) -> None:
    stacks: dict[tuple[str, str], list[int]] = {}
    for item in whole:
        stack = stacks.setdefault((item.environment, item.model), [])
        if item.action == "promote":
            stack.append(item.version)
        elif len(stack) > 1:
            stack.pop()

    serving = live(whole)
    for (environment, model), stack in stacks.items():
        standing = history_of(whole, environment, model)
        assert [item.version for item in standing] == stack
        if stack:
            assert serving[environment][model] == standing[-1]
        else:
            assert model not in serving.get(environment, {})
        if len(stack) > 1:
            now, before = previous_version(whole, environment, model)
            assert [before.version, now.version] == stack[-2:]
        else:
            with pytest.raises(UsageError):
                previous_version(whole, environment, model)


def test_an_action_of_a_later_mlbench_changes_nothing_that_is_live() -> None:
    whole = linked([entry("canary", version=9), entry("promote", 1, "production")])
    serving = live(whole)
    assert {name: set(models) for name, models in serving.items()} == {"production": {"digits"}}


@given(st.lists(st.integers(0, 9), min_size=1, max_size=8))
def test_an_entry_is_never_earlier_than_the_one_before(minutes: list[int]) -> None:
    times = [f"2026-11-23T09:{minute:02d}:00.000Z" for minute in minutes]
    whole = linked([replace(entry(), at=at) for at in times])
    assert [item.at for item in whole] == [max(times[: number + 1]) for number in range(len(times))]
    assert first_fault(whole) is None


steps = st.tuples(
    st.sampled_from(["promote", "promote", "rollback", "withdraw"]),
    st.sampled_from(["staging", "production"]),
    st.sampled_from(["digits", "cats"]),
    st.integers(0, 3),
)


@given(st.lists(steps, max_size=14), st.lists(st.integers(-1, 60), min_size=1, max_size=6))
def test_what_was_live_then_is_what_a_witness_saw(
    asked: list[tuple[str, str, str, int]], moments: list[int]
) -> None:
    """A witness keeps a stack for each environment and model, and a picture after each step.

    A step that is withdrawn right after is one that no server ever answered from: the witness saw
    nothing of it. Several steps may fall into one moment; the last of them is what stood then.
    """
    second, unplaced = 0, []
    stacks: dict[tuple[str, str], list[int]] = {}
    seen: list[tuple[int, dict[tuple[str, str], int]]] = [(-1, {})]
    for version, (action, environment, model, wait) in enumerate(asked, start=1):
        second += wait
        item = replace(entry(action, version, environment, model), at=at(second))
        stack = stacks.setdefault((environment, model), [])
        if action == "withdraw":
            # What is withdrawn was written a moment before, and never came about.
            unplaced.append(replace(item, action=("promote", "rollback")[version % 2]))
        unplaced.append(item)
        if action == "promote":
            stack.append(version)
        elif action == "rollback" and len(stack) > 1:
            stack.pop()
        seen.append((second, {key: versions[-1] for key, versions in stacks.items() if versions}))
    whole = linked(unplaced)
    for moment in moments:
        expected = [picture for when, picture in seen if when <= moment][-1]
        found = {
            (environment, model): item.version
            for environment, models in live_at(whole, at(moment)).items()
            for model, item in models.items()
        }
        assert found == expected
    assert live_at(whole, at(99)) == live(whole)


def at(second: int) -> str:
    """A moment as the ledger writes it, from one second before the minute on."""
    return f"2026-11-23T09:{second // 60 + 15:02d}:{second % 60:02d}.000Z"


def test_what_was_withdrawn_was_not_live_between_the_two_either() -> None:
    whole = linked(
        [
            replace(entry("promote", 1), at=at(0)),
            replace(entry("promote", 2), at=at(10)),
            replace(entry("withdraw", 2), at=at(40)),
        ]
    )
    for second in (0, 9, 10, 20, 50):
        assert live_at(whole, at(second))["staging"]["digits"].version == 1
    assert not was_live(whole, "staging", "digest-002")
