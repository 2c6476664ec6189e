"""A run as a line of the index, and single values read out of it without decoding."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mlbench.domain.outcomes import RunOutcome, StageOutcome
from mlbench.domain.runs import CodeState, Extremes, Marks, Run, StageRecord
from mlbench.domain.runs import TestCounts as Counts
from mlbench.tracking.history import History
from mlbench.tracking.index import document_of, line_of, run_of, state_hash
from mlbench.tracking.lines import id_of, is_shown, is_trial
from mlbench.tracking.peek import RUN_FIELDS, AmbiguousNameError, peek, peek_first
from mlbench.tracking.query import facts_of
from tests.tracking.conftest import made

# Whatever could be taken for the frame of a line.
TRICKS = [
    '"',
    "\\",
    '\\"',
    '"metrics":{',
    '},"metrics":{',
    ',"params":{',
    '},"stages":{"train":{',
    'a":1,"b',
    "metrics",
    "number",
    "loss",
    "loss.min",
    "outcome",
    "extremes",
    "params",
    "branch",
    "star",
    "cpu_seconds",
    "seconds",
    '"outcome":"passed"',
    "x,\\",
    "größe µ 漢",
    "]",
    "}",
    "",
]
texts = st.sampled_from(TRICKS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
floats = st.floats() | st.sampled_from([0.1, 1e-300, 1e300, math.nan, math.inf])
scalars = texts | st.integers() | floats | st.booleans() | st.none()
extremes = st.builds(Extremes, floats, st.integers(0, 99), floats, st.integers(0, 99))
stages = st.builds(
    StageRecord,
    outcome=st.none() | st.sampled_from(StageOutcome),
    seconds=st.floats(0, 1e6),
    key=st.none() | texts,
    ran_in=st.none() | texts,
    tests=st.none() | st.builds(Counts, *[st.integers(0, 9)] * 3),
    message=st.text("ab c", max_size=4),
    cpu_seconds=st.none() | st.floats(0, 1e6),
    peak_memory=st.none() | st.integers(0, 2**40),
)
marks = st.builds(
    Marks,
    tags=st.lists(texts.filter(bool), max_size=3).map(tuple),
    note=texts,
    star=st.booleans(),
    baseline_since=st.sampled_from(["", "2026-11-23T09:15:02.120Z"]),
    archived=st.booleans(),
)
runs = st.builds(
    Run,
    id=st.from_regex(r"2026112[0-9]-0915[0-5][0-9]-[0-9a-f]{8}", fullmatch=True),
    name=texts,
    outcome=st.none() | st.sampled_from(RunOutcome),
    origin=st.sampled_from(["manual", "watch", "script", "sweep"]),
    by=texts,
    started=st.just("2026-11-23T09:15:02.120Z"),
    seconds=st.floats(0, 1e6),
    code=st.builds(
        CodeState, st.none() | texts, st.none() | texts, st.booleans(), st.integers(0, 99)
    ),
    params=st.dictionaries(texts, scalars, max_size=4),
    metrics=st.dictionaries(texts, floats, max_size=4),
    stages=st.dictionaries(texts.filter(bool), stages, max_size=3),
    extremes=st.dictionaries(texts.filter(bool), extremes, max_size=3),
    marks=marks,
    source=texts,
    parent=texts,
    study=texts,
    trial=st.none() | st.integers(0, 9999),
)


def same(one: object, other: object) -> bool:
    """Equal, NaN to NaN and 1 not to true."""
    return repr(one) == repr(other)


@given(runs)
def test_a_run_comes_back_from_its_line(run: Run) -> None:
    assert same(run_of(line_of(run)), run)


@given(runs)
def test_what_the_index_leaves_out_is_nothing_else(run: Run) -> None:
    whole = {
        name: replace(stage, outs={"a": "b"}, inputs={"c": "d"}, metrics={"loss": 1.0})
        for name, stage in run.stages.items()
    }
    assert line_of(replace(run, stages=whole)) == line_of(run)


@given(runs, texts)
def test_every_value_is_read_as_a_gate_sees_it(run: Run, other: str) -> None:
    line, facts = line_of(run), facts_of(run)
    for root in ("metrics", "params", "stages"):
        for name in (*facts[root], other):
            if not name or (root == "metrics" and name not in facts[root] and ".m" in name):
                continue
            assert same(peek(f"{root}.{name}")(line), facts[root].get(name)), (root, name)


@given(runs)
def test_every_extreme_and_tag_is_read(run: Run) -> None:
    line = line_of(run)
    for name, those in run.extremes.items():
        for kind in ("min", "min_step", "max", "max_step"):
            if f"{name}.{kind}" not in run.metrics:
                assert same(peek(f"metrics.{name}.{kind}")(line), getattr(those, kind))
    for tag in run.marks.tags:
        assert peek(f"tags.{tag}")(line) is True
    assert peek("tags.no such tag")(line) is False
    assert peek_first("tags")(line) == list(run.marks.tags)


@given(runs)
def test_every_field_is_read(run: Run) -> None:
    line = line_of(run)
    expected: Mapping[str, Any] = {
        "id": run.id,
        "name": run.name,
        "outcome": run.outcome.word if run.outcome else "running",
        "origin": run.origin,
        "by": run.by,
        "started": run.started,
        "seconds": run.seconds,
        "commit": run.code.commit or "",
        "branch": run.code.branch or "",
        "dirty": run.code.dirty,
        "changed_files": run.code.changed_files,
        "note": run.marks.note,
        "star": run.marks.star,
        "archived": run.marks.archived,
        "baseline": bool(run.marks.baseline_since),
        "marked": run.marks.keeps,
        "source": run.source,
        "parent": run.parent,
        "study": run.study,
        "trial": run.trial,
    }
    for name, value in expected.items():
        assert same(peek(f"run.{name}")(line), value), name
        assert same(peek_first(name)(line), value), name
    assert id_of(line) == run.id
    shown = run.outcome is RunOutcome.PASSED or run.origin != "watch"
    kept, seen = run.marks.keeps, not run.marks.archived
    assert is_trial(line) is (run.origin == "sweep")
    assert is_shown(line) is (seen and (kept or (shown and run.origin != "sweep")))
    assert is_shown(line, trials_too=True) is ((kept or shown) and seen)


@given(runs, texts)
def test_a_bare_name_is_a_metric_a_parameter_or_a_stage_and_never_two(run: Run, other: str) -> None:
    line, facts = line_of(run), facts_of(run)
    for name in (*run.metrics, *run.params, other):
        assume(name.partition(".")[0] not in ("metrics", "params", "stages", "tags", "run"))
        holders = [
            root for root in ("params", "metrics", "stages") if facts[root].get(name) is not None
        ]
        if name in {*RUN_FIELDS, "age", "baseline", "marked", "tags"}:
            holders.append("run")
        if len(holders) > 1:
            with pytest.raises(AmbiguousNameError, match="is ambiguous: write"):
                peek(name)(line)
        elif holders and holders != ["run"]:
            assert same(peek(name)(line), facts[holders[0]][name])


@given(runs)
def test_a_bare_name_of_a_field_is_that_unless_something_else_is_called_so(run: Run) -> None:
    line = line_of(run)
    for name in RUN_FIELDS:
        if run.params.get(name) is None and name not in run.metrics:
            assert same(peek(name)(line), peek(f"run.{name}")(line))


def test_a_name_that_is_not_there_has_no_value() -> None:
    line = line_of(made(1, metrics={"loss": 1.0}))
    for name in ("nothing", "metrics.nothing", "loss.min", "stages.train.nothing", "x.seconds"):
        assert peek(name)(line) is None
        assert peek_first(name)(line) is None


def test_a_stages_values_are_read() -> None:
    line = line_of(made(1))
    assert peek("train.seconds")(line) == 1.5
    assert peek("train.passed")(line) is True
    assert peek("stages.train.total")(line) == 4
    assert peek("stages.train.failed")(line) == 1


def test_a_tag_with_a_value_gives_it() -> None:
    line = line_of(made(1, marks=Marks(tags=("good", "team=vision and more"))))
    assert peek("tags.team")(line) == "vision and more"
    assert peek("tags.good")(line) is True


def test_age_counts_from_the_start() -> None:
    line = line_of(made(1))
    # 2026-11-23T09:15:01Z, and an hour.
    assert peek("age", 1795425301.0 + 3600)(line) == 3600.0


def test_one_line_is_about_a_kilobyte_and_a_stock_reader_understands_it() -> None:
    run = made(
        1,
        metrics={f"metric_{number}": number / 7 for number in range(10)},
        params={f"train.param_{number}": number / 7 for number in range(10)},
    )
    assert len(line_of(run)) < 1100
    assert orjson.loads(line_of(run)) == document_of(run)


def test_a_name_that_is_no_text_is_kept_readable() -> None:
    run = replace(made(1), name="caf\udce9", params={"\udce9": "\udce9"})
    back = run_of(line_of(run))
    assert back.name == "caf\\udce9"
    assert peek("params.\udce9")(line_of(run)) == "\\udce9"


def test_equal_states_have_one_hash_whatever_their_order() -> None:
    assert state_hash({"a": "1", "b": None}) == state_hash({"b": None, "a": "1"})
    assert state_hash({"a": "1"}) != state_hash({"a": None})
    assert state_hash({"a": "1", "b": "2"}) != state_hash({"a": "2", "b": "1"})


def test_a_history_decodes_what_is_touched_alone() -> None:
    broken = line_of(made(1)).replace(b'"outcome":"passed"', b'"outcome":"polished"')
    history = History([broken, line_of(made(2)), line_of(made(3))])
    assert len(history) == 3
    assert history[-1].name == "brave-3"
    assert [run.name for run in history[1:]] == ["brave-2", "brave-3"]
    assert next(iter(history.values("name", "outcome"))) == ("brave-1", "polished")
    assert history.ids() == [made(number).id for number in (1, 2, 3)]
    with pytest.raises(KeyError):
        history[0]
