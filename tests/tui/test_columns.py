"""The columns of the table of runs: which fit, what they say, what they sort by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.outcomes import RunOutcome
from mlbench.domain.runs import CodeState, Extremes, Marks, Run
from mlbench.tui.draw.bars import Piece, in_lines
from mlbench.tui.draw.columns import (
    FIELDS,
    Row,
    automatic,
    catalogue,
    cell_text,
    columns_for,
    differing,
    sort_key,
)
from mlbench.tui.draw.history import header_cells, run_line
from mlbench.tui.draw.lines import cell, fitted, length, line
from mlbench.tui.memory import Memory, load_memory, save_memory

AT = "2026-11-23T09:15:02.120Z"


def run(name: str, accuracy: float, alpha: float, **fields: object) -> Run:
    whole = Run(
        id=f"id-{name}",
        name=name,
        outcome=RunOutcome.PASSED,
        origin="watch",
        by="me",
        started=AT,
        seconds=6.1,
        code=CodeState("1ae7cf91eaa4", "main", True, 2),
        params={"train.alpha": alpha, "seed": 7},
        metrics={"accuracy": accuracy, "recall.0": 1.0, "loss": 0.25},
        stages={},
        extremes={"loss": Extremes(0.2, 12, 2.3, 1)},
    )
    return replace(whole, **fields)  # type: ignore[arg-type]


OTTER, FOX = run("brave-otter", 0.968, 0.2), run("quick-fox", 0.964, 0.1)
RUNS = (OTTER, FOX)
AUTOMATIC = automatic(catalogue(RUNS), "accuracy")


def text_of(key: str, row: Row) -> str:
    return line(cell_text(key, row)).plain.strip()


def test_wide_tables_show_more_columns_and_narrow_ones_the_name_and_the_metric() -> None:
    narrow = [column.key for column in columns_for(RUNS, AUTOMATIC, 30)]
    wide = [column.key for column in columns_for(RUNS, AUTOMATIC, 160)]
    assert narrow == ["name", "metrics.accuracy"]
    assert wide == [
        "name", "started", "seconds", "metrics.accuracy", "metrics.loss", "metrics.recall.0",
        "changed", "tags", "origin", "commit",
    ]  # fmt: skip


def test_chosen_columns_keep_their_order_and_give_way_from_the_right() -> None:
    chosen = ("name", "params.train.alpha", "note", "metrics.loss.min", "by")
    every = [column.key for column in columns_for(RUNS, chosen, 120, chosen=True)]
    assert every == list(chosen)
    some = [column.key for column in columns_for(RUNS, chosen, 40, chosen=True)]
    assert some == list(chosen[: len(some)])
    assert len(some) < len(chosen)


@given(st.integers(8, 200), st.sets(st.sampled_from(catalogue(RUNS)), min_size=1), st.booleans())
def test_a_row_is_never_wider_than_the_table(width: int, keys: set[str], chosen: bool) -> None:
    columns = columns_for(RUNS, sorted(keys), width, chosen=chosen)
    rows = [run_line(Row(each, 0.0, FOX, FOX, "accuracy"), columns) for each in RUNS]
    titles = line(*(content for _, content in header_cells(columns, "", descending=True)))
    lengths = {titles.cell_length, *(row.cell_length - 3 for row in rows)}
    assert len(lengths) == 1, "titles stand above their columns"
    assert lengths.pop() <= width


@given(st.text(max_size=20), st.integers(0, 20), st.booleans(), st.sampled_from(["", "$quiet"]))
def test_a_quick_cell_is_as_the_slow_one(text: str, width: int, right: bool, style: str) -> None:
    text = text.replace("\n", " ").replace("\t", " ")
    part = (text, style) if style else text
    quick, slow = fitted(part, width, right=right), cell(part, width, right=right)
    assert line(quick).plain == slow.plain
    assert length(part) == line(part).cell_length


def test_every_value_of_a_metric_can_be_a_column_for_the_last_is_not_the_best() -> None:
    row = Row(OTTER, 0.0)
    assert text_of("metrics.loss", row) == "0.2500"
    assert text_of("metrics.loss.min", row) == "0.2000"
    assert text_of("metrics.loss.max", row) == "2.300"
    assert {"metrics.loss.min", "metrics.loss.max"} <= set(catalogue(RUNS))
    assert text_of("metrics.unknown", row) == text_of("params.unknown", row) == "–"


def test_the_change_against_the_baseline_stands_beside_the_objective() -> None:
    assert text_of("metrics.accuracy", Row(OTTER, 0.0, None, FOX, "accuracy")) == "0.9680 ▲ 0.004"
    assert text_of("metrics.accuracy", Row(OTTER, 0.0, None, None, "accuracy")) == "0.9680"
    assert text_of("metrics.loss", Row(OTTER, 0.0, None, FOX, "accuracy")) == "0.2500"


def test_marks_stand_beside_the_name_as_signs() -> None:
    marked = replace(OTTER, marks=Marks(("good", "team=x"), "a\nnote", True, AT))
    assert text_of("name", Row(marked, 0.0)) == "brave-otter ★⚑"
    assert text_of("tags", Row(marked, 0.0)) == "good team=x"
    assert text_of("note", Row(marked, 0.0)) == "a note"


def test_the_study_of_a_trial_and_its_number_can_be_columns() -> None:
    trial = Row(run("a", 0.9, 0.1, study="20261123-091500-000000aa", trial=0), 0.0)
    other = Row(OTTER, 0.0)
    assert {"study", "trial"} <= set(catalogue(RUNS))
    assert text_of("study", trial) == "20261123-091500-000000aa"
    assert (text_of("trial", trial), text_of("trial", other)) == ("0", "")
    assert sort_key("trial") == "trial"


def test_only_what_differs_is_shown_parameters_first() -> None:
    third = replace(FOX, params={**FOX.params, "extra": 1}, metrics={**FOX.metrics, "loss": 0.3})
    assert differing(RUNS) == ("name", "started", "params.train.alpha", "metrics.accuracy")
    assert differing((FOX, third)) == ("name", "started", "params.extra", "metrics.loss")


def test_a_column_sorts_by_what_the_command_sorts_by() -> None:
    assert sort_key("started") == "started"
    assert sort_key("params.seed") == "params.seed"
    assert sort_key("metrics.loss") == "metrics.loss"
    assert sort_key("metrics.loss.min") == "loss.min"
    assert [key for key in FIELDS if not sort_key(key)] == ["changed", "tags"]


def test_chosen_columns_are_there_again_the_next_day(tmp_path: Path) -> None:
    path = tmp_path / "workbench.json"
    memory = Memory(runs_columns=("name", "params.x"), runs_only_differences=True)
    save_memory(path, memory)
    assert load_memory(path) == memory
    path.write_text('{"runs_columns": ["name", 3], "theme": "x", "runs_sort": 3}')
    assert load_memory(path) == Memory(theme="x"), "what can't have been saved here is left out"


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), max_size=30), st.integers(9, 40))
def test_keys_in_lines_keep_their_order_and_the_important_ones_stay(
    sizes: list[tuple[int, int]], width: int
) -> None:
    pieces = [Piece(line("x" * size), str(place), rank) for place, (size, rank) in enumerate(sizes)]
    lines = in_lines(pieces, width, 2)
    assert len(lines) <= 2
    shown = [piece for each in lines for piece in each]
    assert [int(piece.action) for piece in shown] == sorted(int(p.action) for p in shown)
    assert all(sum(p.content.cell_length for p in each) <= width for each in lines)
    gone = [piece.rank for piece in pieces if piece not in shown]
    if gone and shown:
        assert min(gone) >= max(piece.rank for piece in shown)
