"""The one vocabulary: outcomes, reasons, names of runs, times and nearest spellings."""

from __future__ import annotations

import re
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain import names
from mlbench.domain.clock import utc
from mlbench.domain.errors import ProjectFileError, nearest
from mlbench.domain.names import friendly_name
from mlbench.domain.outcomes import (
    ReasonKind,
    RunOutcome,
    StageOutcome,
    StageState,
    outcome_of_run,
)

VOCABULARIES: tuple[Any, ...] = (StageOutcome, RunOutcome, StageState, ReasonKind)


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_words_and_glyphs_tell_members_apart_without_colour(vocabulary: type[Enum]) -> None:
    members: list[Any] = list(vocabulary.__members__.values())
    assert len({member.word for member in members}) == len(members)
    assert len({member.glyph for member in members}) == len(members)
    assert all(len(member.glyph) == 1 and member.word == member.name.lower() for member in members)


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_a_word_leads_back_to_its_member(vocabulary: Any) -> None:
    for member in vocabulary:
        assert vocabulary.of(member.word) is member
    with pytest.raises(KeyError):
        vocabulary.of("nothing")


def test_one_glyph_means_one_thing_wherever_stages_and_runs_are_shown_together() -> None:
    by_word: dict[str, set[str]] = {}
    for member in (*StageOutcome, *RunOutcome):
        by_word.setdefault(member.word, set()).add(member.glyph)
    assert all(len(glyphs) == 1 for glyphs in by_word.values())


@given(st.dictionaries(st.text(max_size=3), st.sampled_from(StageOutcome)))
def test_the_run_is_as_good_as_its_worst_stage(stages: dict[str, StageOutcome]) -> None:
    outcome = outcome_of_run(stages)
    assert (outcome is RunOutcome.PASSED) is all(one.stands for one in stages.values())
    has_failed = bool({StageOutcome.FAILED, StageOutcome.BLOCKED} & set(stages.values()))
    assert (outcome is RunOutcome.FAILED) is has_failed


@given(st.integers(0, 2**24 - 1))
def test_a_friendly_name_is_always_the_same_for_one_id(number: int) -> None:
    run = f"20261123-091502-{number:06x}"
    assert friendly_name(run) == friendly_name(run)
    assert re.fullmatch(r"[a-z]+-[a-z]+", friendly_name(run))


def test_friendly_names_are_pinned() -> None:
    assert friendly_name("20261123-091502-4f3a1c") == friendly_name("20200101-000000-4f3a1c")
    assert friendly_name("x-000000") == "amber-badger"
    assert friendly_name("x-000001") == "brave-badger"


def test_no_word_of_a_friendly_name_stands_twice() -> None:
    words = [*names._ADJECTIVES, *names._ANIMALS]
    assert len(words) == len(set(words))


@given(st.floats(0, 4e9))
def test_times_are_iso_8601_in_utc(seconds: float) -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", utc(seconds))
    assert utc(1.5) == "1970-01-01T00:00:01.500Z"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ProjectFileError("is bad", file="f", line=3, key="a.b"), "f:3: a.b: is bad"),
        (ProjectFileError("is bad", file="f", line=3), "f:3: is bad"),
        (ProjectFileError("is bad", file="f", key="a"), "f: a: is bad"),
        (ProjectFileError("is bad", file="f"), "f: is bad"),
    ],
)
def test_a_project_files_error_begins_with_its_place(error: Exception, message: str) -> None:
    assert str(error) == message


def test_the_nearest_spelling_is_offered_only_where_one_is_near() -> None:
    assert nearest("trian", ["train", "tests"]) == ' (did you mean "train"?)'
    assert nearest("xyz", ["train", "tests"]) == ""
