"""The tables of sweeps and studies in a terminal of any width."""

from __future__ import annotations

import pytest

from mlbench.cli.runs_table import Column, table_lines
from mlbench.cli.sweep_list import columns_within

_COLUMNS = [
    Column("study", ("20261124-044846-0e86d7f8", "20261124-041818-4aee70f5"), 3, widest=200),
    Column("sweep", ("alpha-epochs", "small"), 0, widest=200),
    Column("state", ("done", "stopped"), 1, widest=200),
    Column("over", ("train.alpha, train.hidden, train.epochs", "train.alpha"), 2, widest=200),
]


@pytest.mark.parametrize("width", range(12, 120))
def test_what_matters_most_stays_and_no_line_is_too_long(width: int) -> None:
    columns = columns_within(_COLUMNS, width)
    assert "sweep" in {column.title for column in columns}
    assert [column.title for column in columns] == [
        column.title for column in _COLUMNS if column.title in {one.title for one in columns}
    ]
    lines = table_lines(columns)
    assert max(map(len, lines)) <= width
    assert "…" not in lines[0]


def test_without_a_terminal_nothing_is_left_out() -> None:
    assert columns_within(_COLUMNS, None) == _COLUMNS


def test_of_the_first_that_does_not_fit_the_beginning_is_shown() -> None:
    lines = table_lines(columns_within(_COLUMNS, 40))
    assert lines == [
        "sweep         state    over",
        "alpha-epochs  done     train.alpha, tra…",
        "small         stopped  train.alpha",
    ]
