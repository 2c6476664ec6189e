"""Runs side by side, as text: the verdict, the values, curves, parallel coordinates, code."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.comparison import (
    CODE,
    DATA,
    ENVIRONMENT,
    METRICS,
    PACKAGES,
    PARAMS,
    ComparedRow,
    Comparison,
    Noise,
)
from mlbench.domain.curves import Column, Curve
from mlbench.tui.draw.code import code_lines, counted, files_of
from mlbench.tui.draw.comparison import machine_lines, values_lines, verdict_lines
from mlbench.tui.draw.overlay import SMOOTHINGS, Overlay, Trace, figures, overlay_lines, smoothed
from mlbench.tui.draw.parallel import axes_of, axis, parallel_lines
from tests.tui.test_columns import FOX, OTTER

DIFF = """\
diff --git a/train.py b/train.py
index 1..2 100644
--- a/train.py
+++ b/train.py
@@ -10,3 +10,4 @@ def main():
     x = 1
-    y = 2
+    y = 3
+
     return "[b]x"
diff --git a/gone.txt b/gone.txt
deleted file mode 100644
--- a/gone.txt
+++ /dev/null
@@ -1 +0,0 @@
-\x1b[2Jold
diff --git a/data.bin b/data.bin
index 1..2 100644
Binary files a/data.bin and b/data.bin differ
"""
ROWS = (
    ComparedRow(PARAMS, "train.alpha", (0.1, 0.2)),
    ComparedRow(PARAMS, "seed", (7, 7)),
    ComparedRow(METRICS, "accuracy", (0.964, 0.968), 0.004, Noise(0.0001, 4)),
    ComparedRow(METRICS, "loss", (0.25, 0.25), 0.0),
    ComparedRow(CODE, "commit", ("1ae7", "1ae7")),
    ComparedRow(DATA, "train.py", ("aa", "bb")),
    ComparedRow(PACKAGES, "numpy", ("2.3", "2.4")),
    ComparedRow(ENVIRONMENT, "host", ("a", "a")),
)
COMPARED = Comparison((FOX, OTTER), ROWS, {OTTER.id: DIFF})


def verdict(compared: Comparison, width: int = 120) -> str:
    return "\n".join(row.plain.rstrip() for row in verdict_lines(compared, "accuracy", 1, width))


def test_the_verdict_says_what_became_of_the_metric_and_what_may_be_why() -> None:
    told = verdict(COMPARED)
    assert "A quick-fox → B brave-otter  accuracy 0.964 → 0.968 ▲ 0.004  more than chance" in told
    assert "because  params   train.alpha 0.1 → 0.2\n" in told
    assert "code     3 files +2 −2  train.py, gone.txt, data.bin" in told
    assert "packages numpy 2.3 → 2.4" in told
    assert "data " not in told, "a script is told of as code"


def test_a_change_that_chance_makes_too_is_called_that() -> None:
    noisy = replace(ROWS[2], noise=Noise(0.01, 4))
    assert "not more than chance" in verdict(Comparison((FOX, OTTER), (noisy,)))
    unknown = replace(ROWS[2], noise=None)
    told = verdict(Comparison((FOX, OTTER), (unknown,), remarks=("no commit",)))
    assert "no equal runs show how much is chance" in told
    assert "nothing that is on record differs" in told
    assert "!  no commit" in told


def test_values_stand_side_by_side_differences_first() -> None:
    rows = [row.plain.rstrip() for row in values_lines(COMPARED, 100, only_differences=False)]
    params = rows.index("Parameters  1 of 2 differ")
    assert rows[params + 1].split() == ["≠", "train.alpha", "0.1", "0.2"]
    assert rows[params + 2].split() == ["seed", "7", "7"]
    assert any(row.startswith("≠ accuracy") and "▲ 0.004" in row for row in rows)
    assert any("> noise" in row for row in rows)
    few = [row.plain for row in values_lines(COMPARED, 100, only_differences=True)]
    assert not any("seed" in row for row in few)
    machines = [row.plain for row in machine_lines(COMPARED, 100, only_differences=False)]
    assert any("≠ numpy" in row for row in machines)


@given(st.integers(20, 200), st.integers(2, 12), st.integers(0, 12), st.booleans())
def test_no_line_of_a_comparison_is_too_wide(
    width: int, count: int, shifted: int, few: bool
) -> None:
    runs = tuple(replace(OTTER, id=f"id-{n}", name=f"some-name-{n}") for n in range(count))
    rows = tuple(replace(row, values=(row.values[0],) * count) for row in ROWS)
    compared = Comparison(runs, rows)
    lines = values_lines(compared, width, only_differences=few, shifted=shifted)
    assert max(row.cell_length for row in lines) <= width
    assert all(row.cell_length <= width for row in verdict_lines(compared, None, 1, width))


def test_code_keeps_signs_and_numbers_whatever_its_colours() -> None:
    assert [(file.path, file.added, file.removed) for file in files_of(DIFF)] == [
        ("train.py", 2, 1), ("gone.txt", 0, 1), ("data.bin", 0, 0),
    ]  # fmt: skip
    assert counted(files_of(DIFF)) == "3 files +2 −2"
    shown = [row.plain.rstrip() for row in code_lines(DIFF)]
    assert shown[:7] == [
        "train.py  +2 −1", "⋯ def main():", "10       x = 1", "11 −     y = 2", "11 +     y = 3",
        "12 +", '13       return "[b]x"',
    ]  # fmt: skip
    assert "1 − old" in [text.strip() for text in shown], "what steers a terminal is gone"
    assert any("Binary files" in text for text in shown)
    assert code_lines("") == []


Columns = st.lists(
    st.one_of(
        st.none(),
        st.tuples(*[st.floats(allow_nan=True, allow_infinity=True, width=32)] * 2).map(
            lambda pair: (min(pair), max(pair), pair[0])
        ),
    ),
    min_size=1,
    max_size=80,
)


def trace(place: int, columns: list[Column | None]) -> Trace:
    curve = Curve("loss", 0, 9, 0.1, 0.1, 9, 2.0, 0, tuple(columns))
    return Trace(place, curve, 0, 9)


@given(
    st.lists(Columns, min_size=1, max_size=3),
    st.integers(24, 120),
    st.integers(4, 30),
    st.booleans(),
    st.sampled_from(SMOOTHINGS),
)
def test_curves_over_each_other_fill_their_place_and_no_more(
    every: list[list[Column | None]], width: int, height: int, is_log: bool, smoothing: float
) -> None:
    overlay = Overlay("loss", 0, 9, tuple(trace(n, columns) for n, columns in enumerate(every)))
    lines = overlay_lines(overlay, width, height, logarithmic=is_log, smoothing=smoothing)
    assert len(lines) <= height
    assert all(row.cell_length <= width for row in lines)


def test_each_curve_ends_in_the_letter_of_its_run() -> None:
    rising: list[Column | None] = [(float(n), float(n), float(n)) for n in range(10)]
    falling = list(reversed(rising))
    overlay = Overlay("loss", 0, 9, (trace(0, rising), trace(1, falling)))
    lines = [row.plain for row in overlay_lines(overlay, 60, 9, logarithmic=False, smoothing=0)]
    assert lines[0].endswith("A")
    assert lines[7].endswith("B")
    assert lines[8].split() == ["step", "0", "9"]
    logarithmic = overlay_lines(overlay, 60, 9, logarithmic=True, smoothing=0)
    assert logarithmic[7].plain.split()[0] == "1", "0 has no place on a logarithmic scale"
    told = [row.plain for row in figures(overlay, ["one", "two"], 80)]
    assert told[0].split() == "A one 0.1 min 0.1 at 9 max 2 at 0".split()


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.sampled_from(SMOOTHINGS[1:]))
def test_smoothing_stays_within_what_was_logged_and_begins_there(
    values: list[float], weight: float
) -> None:
    columns: list[Column | None] = [(value, value, value) for value in values]
    smooth = [column[2] for column in smoothed([*columns, None], weight) if column is not None]
    assert len(smooth) == len(values)
    assert math.isclose(smooth[0], values[0], rel_tol=1e-9, abs_tol=1e-9)
    slack = 1e-9 * max(1.0, *map(abs, values))
    assert min(values) - slack <= min(smooth) <= max(smooth) <= max(values) + slack


def test_axes_are_for_what_differs_the_objective_last() -> None:
    axes = axes_of((FOX, OTTER), "accuracy", 6)
    assert [item.name for item in axes] == ["train.alpha", "accuracy"]
    assert axes[1].places == {FOX.id: 0.0, OTTER.id: 1.0}
    worded = replace(OTTER, params={"solver": "sgd"}), replace(FOX, params={"solver": "adam"})
    found = axis(worded, "params.solver")
    assert found is not None
    assert (found.low, found.high, found.places[FOX.id]) == ("adam", "sgd", 0.0)
    assert axis((FOX, OTTER), "params.seed") is None


@given(st.integers(20, 160), st.integers(4, 40), st.booleans())
def test_parallel_coordinates_fill_their_place_and_no_more(
    width: int, height: int, is_log: bool
) -> None:
    runs = [
        replace(OTTER, id=f"r{n}", params={"a": 10.0**n, "b": n % 3}, metrics={"accuracy": n / 9})
        for n in range(9)
    ]
    axes = axes_of(runs, "accuracy", 5, logarithmic=is_log)
    ids = [run.id for run in runs]
    lines = parallel_lines(axes, ids[:2], ids, width, height)
    assert len(lines) <= height
    assert all(row.cell_length <= width for row in lines)
