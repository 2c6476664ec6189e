"""Candidates and versions in a real folder: numbers, pruning, crashes, two processes."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbench.domain.errors import DamagedModelError, ExportError, UsageError
from mlbench.domain.release import Candidate
from mlbench.domain.stages import ModelSpec
from mlbench.release.as_is import keep_as_is
from mlbench.release.folders import (
    ANSWERS_NAME,
    CARD_NAME,
    DIGESTS_NAME,
    FACTS_NAME,
    GATES_NAME,
    MODEL_NAME,
    REQUEST_NAME,
)
from mlbench.release.metadata import Provenance
from mlbench.release.registry import KEPT_CANDIDATES, Registry
from mlbench.system.content import (
    FOLDER_MARK,
    ContentStore,
    folder_listing,
    hash_bytes,
    hash_file,
    listing_bytes,
)
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


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 4), max_size=6))
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


def test_what_never_changes_cannot_be_written_by_accident(shelf: Shelf) -> None:
    folder = shelf.registry.folder_of(shelf.registry.register(shelf.keep(1)))
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert modes == {
        MODEL_NAME: 0o444,
        FACTS_NAME: 0o444,
        GATES_NAME: 0o644,
        CARD_NAME: 0o644,
        DIGESTS_NAME: 0o644,
    }


def test_a_later_judgement_leaves_the_facts_alone(shelf: Shelf) -> None:
    kept = shelf.keep(1)
    shelf.registry.judged(replace(kept, gates=(PASSED,)))
    assert shelf.registry.candidates("digits")[0].gates == (PASSED,)
    version = shelf.registry.register(shelf.registry.candidates("digits")[0])
    facts = shelf.registry.folder_of(version) / FACTS_NAME
    before = facts.read_bytes()
    failed = replace(PASSED, passed=False)
    shelf.registry.judged(replace(version, gates=(failed,)))
    assert shelf.registry.version("digits", 1).gates == (failed,)
    assert facts.read_bytes() == before
    (facts.parent / GATES_NAME).write_bytes(b"torn")
    assert shelf.registry.versions("digits")[0].gates == (PASSED,)


def flip(path: Path) -> None:
    """Change one bit of a file and nothing that a look at the file system would show."""
    found = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def remove(path: Path) -> None:
    path.unlink()


def add(path: Path) -> None:
    path.with_name("more.bin").write_bytes(b"more")


@pytest.mark.parametrize(
    ("damage", "name", "said"),
    [
        (flip, MODEL_NAME, f"{MODEL_NAME} was altered"),
        (flip, FACTS_NAME, f"{FACTS_NAME} was altered"),
        (flip, "predictions.csv", "predictions.csv was altered"),
        (remove, MODEL_NAME, f"{MODEL_NAME} is missing"),
        (remove, DIGESTS_NAME, f"{DIGESTS_NAME} is missing or damaged"),
        (add, MODEL_NAME, "more.bin was added"),
    ],
)
def test_damage_is_found_and_named(
    shelf: Shelf, damage: Callable[[Path], None], name: str, said: str
) -> None:
    table = shelf.own / "table.csv"
    table.parent.mkdir()
    table.write_text("truth,prediction\n1,1\n")
    candidate, scratch = shelf.exported(1, b"model 1")
    kept = shelf.registry.keep(candidate, scratch, {"predictions.csv": table})
    version = shelf.registry.register(kept)
    shelf.registry.register(shelf.keep(2))
    assert shelf.registry.damaged("digits") == {}
    predictions = shelf.registry.predictions_of(version)
    assert predictions == shelf.registry.folder_of(version) / "predictions.csv"

    damage(shelf.registry.folder_of(version) / name)
    found = shelf.registry.damaged("digits")
    assert set(found) == {1}
    assert said in found[1]
    for refused in (lambda: shelf.registry.version("digits", 1), lambda: _again(shelf, version)):
        with pytest.raises(DamagedModelError, match=f"digits v1: .*{re.escape(said)}"):
            refused()
    # The candidate is whole, so that it gets a version after all.
    assert shelf.registry.register(kept).version == 3


def _again(shelf: Shelf, version: Candidate) -> None:
    shelf.registry.register(version)


def test_a_candidate_that_was_altered_gets_no_version(shelf: Shelf) -> None:
    kept = shelf.keep(1)
    flip(shelf.registry.file_of(kept))
    with pytest.raises(DamagedModelError, match=r"model.onnx was altered .* export the run again"):
        shelf.registry.register(kept)
    assert shelf.names() == {"candidates", ".lock"}
    assert shelf.registry.register(shelf.keep(1)).version == 1


def test_a_number_never_comes_back(shelf: Shelf) -> None:
    for number in (1, 2):
        shelf.registry.register(shelf.keep(number))
    shutil.rmtree(shelf.own / "models" / "digits" / "2")
    assert shelf.registry.register(shelf.keep(3)).version == 3
    (shelf.own / "models" / "digits" / ".last-version").write_bytes(b"torn")
    assert shelf.registry.register(shelf.keep(4)).version == 4


def test_a_copied_folder_is_no_version(shelf: Shelf) -> None:
    version = shelf.registry.register(shelf.keep(1))
    shutil.copytree(shelf.registry.folder_of(version), shelf.own / "models" / "digits" / "7")
    assert [item.version for item in shelf.registry.versions("digits")] == [1]
    assert set(shelf.registry.damaged("digits")) == {7}


def test_words_are_in_the_card_and_come_with_the_version(shelf: Shelf) -> None:
    kept = shelf.keep(1)
    assert shelf.registry.words(kept) == ""
    shelf.registry.write_words(kept, "Daylight only.\n")
    assert "Daylight only." in shelf.registry.card(kept)
    version = shelf.registry.register(kept)
    assert shelf.registry.words(version) == "Daylight only.\n"
    card = shelf.registry.folder_of(version) / CARD_NAME
    assert card.read_text().startswith("# digits v1\n")
    assert "Daylight only." in card.read_text()
    shelf.registry.judged(replace(version, gates=(PASSED,)))
    shelf.registry.write_words(shelf.registry.version("digits", 1), "By night, too.")
    assert "By night, too." in card.read_text()
    assert "accuracy >= 0.95" in card.read_text()
    assert shelf.registry.damaged("digits") == {}


def test_a_sample_request_lies_beside_the_answers(shelf: Shelf) -> None:
    candidate, scratch = shelf.exported(1, b"model 1")
    X = np.array([[1, 2, 3, np.nan], [5, 6, 7, 8]], dtype=np.float32)
    fed: dict[str, Any] = {"in:input": X}
    np.savez(scratch / ANSWERS_NAME, **fed)
    version = shelf.registry.register(shelf.registry.keep(candidate, scratch))
    assert shelf.registry.request(version) == {
        "inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 4], "data": [5, 6, 7, 8]}]
    }
    assert "/v2/models/digits/versions/1/infer" in shelf.registry.card(version)
    assert set(shelf.registry.files(version)) == {
        ANSWERS_NAME,
        CARD_NAME,
        DIGESTS_NAME,
        FACTS_NAME,
        GATES_NAME,
        MODEL_NAME,
        REQUEST_NAME,
    }
    assert shelf.registry.request(shelf.keep(2)) is None


PROVENANCE = Provenance("digits", "run-1", "2026-11-23T09:15:02.120Z", "ada", commit="abc")


@pytest.mark.parametrize("is_folder", [False, True])
def test_a_file_or_folder_is_kept_as_it_is(shelf: Shelf, is_folder: bool) -> None:
    store = ContentStore(shelf.own / "cache")
    source = shelf.own / "build" / "model.bin"
    source.parent.mkdir(parents=True)
    source.write_bytes(b"weights")
    given = source.parent if is_folder else source
    digest = hash_file(source)
    if is_folder:
        listing = folder_listing(given, hash_file)
        digest = FOLDER_MARK + hash_bytes(listing_bytes(listing))
    store.put(given, digest)
    name = given.name
    spec = ModelSpec("digits", "train", f"out/{name}", format="file")
    kept = keep_as_is(spec, PROVENANCE, store, digest, shelf.registry, {})
    assert (kept.file, kept.format, kept.size, kept.digest) == (name, "file", 7, digest)
    assert (kept.parity, kept.signature, kept.latency) == (None, None, {})
    assert kept.facts["commit"] == "abc"
    version = shelf.registry.register(kept)
    place = shelf.registry.file_of(version)
    assert (place / "model.bin" if is_folder else place).read_bytes() == b"weights"
    assert shelf.registry.register(kept) == version
    assert "kept as it is" in shelf.registry.card(version)
    flip(place / "model.bin" if is_folder else place)
    assert set(shelf.registry.damaged("digits")) == {1}


@pytest.mark.parametrize("name", [FACTS_NAME, CARD_NAME, "predictions.csv"])
def test_a_file_under_a_name_of_ours_is_refused(shelf: Shelf, name: str) -> None:
    store, source = ContentStore(shelf.own / "cache"), shelf.own / "source"
    source.parent.mkdir()
    source.write_bytes(b"weights")
    store.put(source, hash_file(source))
    spec = ModelSpec("digits", "train", f"out/{name}", format="file")
    beside, digest = {"predictions.csv": source}, hash_file(source)
    with pytest.raises(ExportError, match=f"models.digits.path: {name} is a name that mlbench"):
        keep_as_is(spec, PROVENANCE, store, digest, shelf.registry, beside)
    assert shelf.registry.models() == []


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
    assert shelf.names() == {"candidates", ".lock", ".last-version", "1"}


def test_an_empty_registry_knows_nothing(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    assert registry.models() == []
    assert registry.candidates("digits") == registry.versions("digits") == []
    assert registry.find("digits", run=made(1).run) is None
    assert list(tmp_path.iterdir()) == []
