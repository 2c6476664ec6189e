"""Candidates and versions in a real folder: numbers, pruning, crashes, two processes."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.errors import UsageError
from mlbench.release.registry import FACTS_NAME, KEPT_CANDIDATES, MODEL_NAME, Registry
from tests.release.conftest import PASSED, Shelf, made
from tests.tracking.processes import together


def test_a_kept_candidate_is_read_back_whole(shelf: Shelf) -> None:
    kept = shelf.keep(1, b"model")
    assert shelf.registry.candidates("digits") == [kept]
    assert shelf.payload(kept) == b"model"
    assert kept.version is None
    assert shelf.names() == {"candidates", ".lock"}
    assert shelf.registry.models() == ["digits"]
    assert shelf.registry.find("digits", run=kept.run) == kept
    assert shelf.registry.find("digits", run="other") is None


def test_the_newest_five_are_kept(shelf: Shelf) -> None:
    for number in range(1, 9):
        shelf.keep(number)
    assert [item.run for item in shelf.registry.candidates("digits")] == [
        f"run-{number:03d}" for number in (8, 7, 6, 5, 4)
    ]
    folders = shelf.own / "models" / "digits" / "candidates"
    assert len(list(folders.iterdir())) == KEPT_CANDIDATES


def test_what_is_kept_just_now_stays_even_if_the_clock_went_back(shelf: Shelf) -> None:
    for number in range(2, 8):
        shelf.keep(number)
    kept = shelf.keep(1)
    assert kept in shelf.registry.candidates("digits")
    assert len(shelf.registry.candidates("digits")) == KEPT_CANDIDATES


def test_a_run_exported_again_takes_the_place_of_the_first(shelf: Shelf) -> None:
    shelf.keep(1, b"first")
    second = shelf.keep(1, b"second")
    assert shelf.registry.candidates("digits") == [second]
    assert shelf.payload(second) == b"second"


def test_versions_outlive_their_candidates(shelf: Shelf) -> None:
    version = shelf.registry.register(shelf.keep(1, b"good"))
    for number in range(2, 9):
        shelf.keep(number)
    assert shelf.registry.versions("digits") == [version]
    assert shelf.payload(version) == b"good"
    assert shelf.registry.find("digits", run="run-001") == version


@given(st.lists(st.integers(1, 4), max_size=8))
def test_numbers_count_up_and_the_same_bytes_have_the_same(payloads: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shelf = Shelf(Path(folder))
        numbers: dict[int, int] = {}
        for run, payload in enumerate(payloads, start=1):
            version = shelf.registry.register(shelf.keep(run, b"model %d" % payload))
            assert version.version == numbers.setdefault(payload, len(numbers) + 1)
        versions = shelf.registry.versions("digits")
        assert [item.version for item in versions] == sorted(numbers.values(), reverse=True)
        assert {shelf.payload(item) for item in versions} == {b"model %d" % p for p in numbers}


def test_a_version_never_changes(shelf: Shelf) -> None:
    kept = shelf.keep(1, b"model")
    version = shelf.registry.register(kept)
    folder = shelf.registry.folder_of(version)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    shelf.registry.register(replace(kept, run="run-777", created="2027"))
    shelf.registry.register(shelf.keep(2, b"other"))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_later_judgement_is_written_beside_the_model(shelf: Shelf) -> None:
    kept = shelf.keep(1)
    shelf.registry.judged(replace(kept, gates=(PASSED,)))
    assert shelf.registry.candidates("digits")[0].gates == (PASSED,)


def test_what_a_crash_left_behind_is_not_seen(shelf: Shelf) -> None:
    version = shelf.registry.register(shelf.keep(1, b"model"))
    crashed = shelf.registry.scratch("digits")
    (crashed / MODEL_NAME).write_bytes(b"half")
    for name in (FACTS_NAME, MODEL_NAME):
        (crashed / name).write_bytes((shelf.registry.folder_of(version) / name).read_bytes())
    torn = shelf.own / "models" / "digits" / "candidates" / "run-009"
    torn.mkdir()
    (torn / FACTS_NAME).write_bytes(b'{"model": "digits", "run"')

    assert shelf.registry.versions("digits") == [version]
    assert [item.run for item in shelf.registry.candidates("digits")] == ["run-001"]
    assert shelf.registry.register(shelf.keep(2)).version == 2


@pytest.mark.parametrize("damage", [b"", b'{"version"', b"[]", b'{"version": 2}', b'"model"'])
def test_the_number_of_a_damaged_version_is_not_given_again(shelf: Shelf, damage: bytes) -> None:
    first = shelf.registry.register(shelf.keep(1))
    second = shelf.registry.register(shelf.keep(2))
    facts = shelf.registry.folder_of(second) / FACTS_NAME
    facts.write_bytes(damage)

    assert shelf.registry.versions("digits") == [first]
    third = shelf.registry.register(shelf.keep(3))
    assert third.version == 3
    assert facts.read_bytes() == damage


def test_a_candidate_that_is_gone_is_refused_and_leaves_nothing(shelf: Shelf) -> None:
    gone = shelf.keep(1)
    for number in range(2, 8):
        shelf.keep(number)
    with pytest.raises(UsageError, match="run-001"):
        shelf.registry.register(gone)
    assert shelf.names() == {"candidates", ".lock"}


REGISTER = """
import sys
from pathlib import Path
from mlbench.release.registry import Registry
registry = Registry(Path(sys.argv[1]))
ready()
for run in sys.argv[2:]:
    print(registry.register(registry.find("digits", run=run)).version)
"""


def test_two_processes_give_no_number_twice(shelf: Shelf) -> None:
    runs = {number: shelf.keep(number).run for number in range(1, 5)}
    models = str(shelf.own / "models")
    printed = together(REGISTER, [models, runs[1], runs[2]], [models, runs[3], runs[4]])
    numbers = [int(word) for text in printed for word in text.split()]
    assert sorted(numbers) == [1, 2, 3, 4]
    found = {item.version: item.digest for item in shelf.registry.versions("digits")}
    assert len(set(found.values())) == 4


def test_two_processes_give_the_same_bytes_one_number(shelf: Shelf) -> None:
    one, other = shelf.keep(1, b"same"), shelf.keep(2, b"same")
    models = str(shelf.own / "models")
    assert together(REGISTER, [models, one.run], [models, other.run]) == ["1\n", "1\n"]
    assert shelf.names() == {"candidates", ".lock", "1"}


def test_an_empty_registry_knows_nothing(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    assert registry.models() == []
    assert registry.candidates("digits") == registry.versions("digits") == []
    assert registry.find("digits", run=made(1).run) is None
    assert list(tmp_path.iterdir()) == []
