"""The actions of screen 2: on the table of runs, on one run, and on runs side by side."""

from __future__ import annotations

from mlbench.tui.action import Action
from mlbench.tui.situation import (
    COMPARISON,
    CURVES,
    PARALLEL,
    RUN,
    RUNS,
    VERSIONS,
    Situation,
    no_artifacts,
    no_change_to_undo,
    no_ended_run,
    no_run,
    nothing_to_compare,
    nothing_to_export,
)

_ONE = (RUNS, RUN)


def _no_curves(situation: Situation) -> str:
    return "" if situation.view == CURVES else "it is for the curves: press v until they are shown"


def _no_drawing(situation: Situation) -> str:
    if situation.view in (CURVES, PARALLEL):
        return ""
    return "it is for curves and parallel coordinates: press v until they are shown"


ON_RUNS: tuple[Action, ...] = (
    Action(
        "mark", "space", "space", "mark", "mark the run under the cursor, to compare it or to do "
        "something to several at once", "", (RUNS,), no_run, rank=4,
    ),
    Action(
        "compare", "d", "d", "compare",
        "show the marked runs side by side; with fewer than two, this one against the baseline "
        "or the run before", "mlbench diff RUN RUN", _ONE, nothing_to_compare, rank=3,
    ),
    Action(
        "baseline", "b", "b", "baseline", "make it what others are compared with, or no longer",
        "mlbench baseline RUN", _ONE, no_ended_run, rank=5,
    ),
    Action(
        "star", "asterisk", "*", "star", "star it, or take the star away",
        "mlbench star RUN", _ONE, no_ended_run, rank=6,
    ),
    Action(
        "tags", "number_sign", "#", "tags", "write its tags: words, or key=value",
        "mlbench tag RUN TAG", _ONE, no_ended_run, rank=6,
    ),
    Action(
        "note", "n", "n", "note", "write a note on it",
        "mlbench note RUN TEXT", _ONE, no_ended_run, rank=5,
    ),
    Action(
        "archive", "A", "A", "archive", "hide it from the history, or show it again",
        "mlbench archive RUN", _ONE, no_ended_run, rank=7,
    ),
    Action(
        "delete", "X,delete", "X", "delete", "delete it with all that it gave, after asking",
        "mlbench delete RUN", _ONE, no_ended_run, rank=7,
    ),
    Action(
        "restore", "R", "R", "restore", "bring its outputs and parameters back, after asking",
        "mlbench restore RUN", _ONE, no_ended_run, rank=6,
    ),
    Action(
        "copy", "y", "y", "copy id", "copy its id to the clipboard", "", _ONE, no_run, rank=7,
    ),
    Action(
        "pictures", "i", "i", "artifacts", "look at the figures, tables and files that it saved",
        "mlbench show RUN", (RUN,), no_artifacts, rank=4,
    ),
    Action(
        "columns", "c", "c", "columns", "choose the columns and their order",
        "mlbench runs --columns KEYS", (RUNS,), rank=5,
    ),
    Action(
        "differences", "equals_sign", "=", "differences", "show only what differs",
        "mlbench runs --only-differences", (RUNS, COMPARISON, VERSIONS), rank=5,
    ),
    Action(
        "sort", "o", "o", "sort", "sort by the next column; click a title for any",
        "mlbench runs --sort KEY", (RUNS,), rank=5,
    ),
    Action(
        "reverse", "O", "O", "reverse", "turn the order round",
        "mlbench runs --sort -KEY", (RUNS,), rank=8,
    ),
    Action(
        "everything", "a", "a", "all", "show the archived, trials and the watch's failures",
        "mlbench runs --all", (RUNS,), rank=5,
    ),
    Action(
        "export", "E", "E", "export", "write the listed or marked runs to a CSV, JSON or Parquet "
        "file", "mlbench runs --csv FILE", (RUNS,), nothing_to_export, rank=7,
    ),
    Action(
        "undo", "z", "z", "undo", "take the last note, tag, star, baseline, archiving or deletion "
        "back", "mlbench undo", (RUNS, RUN, COMPARISON), no_change_to_undo, rank=5,
    ),
)  # fmt: skip

ON_COMPARISON: tuple[Action, ...] = (
    Action(
        "view", "v", "v", "view", "the next view: values, curves, parallel, code, environment",
        "mlbench diff RUN RUN", (COMPARISON,), rank=2,
    ),
    Action(
        "metric", "m", "m", "metric", "the next metric of the curves", "", (COMPARISON,),
        _no_curves, rank=3,
    ),
    Action(
        "log-scale", "L", "L", "log scale", "a logarithmic scale, or a linear one", "",
        (COMPARISON,), _no_drawing, rank=4,
    ),
    Action(
        "smooth", "S", "S", "smooth", "smooth the curves, more with every press, at last not "
        "at all", "", (COMPARISON,), _no_curves, rank=4,
    ),
    Action(
        "zoom-in", "plus", "+", "closer", "show half of the steps", "", (COMPARISON,),
        _no_curves, rank=4,
    ),
    Action(
        "zoom-out", "minus", "-", "wider", "show twice as many steps", "", (COMPARISON,),
        _no_curves, rank=4,
    ),
    Action(
        "earlier", "left", "←", "earlier", "go to earlier steps", "", (COMPARISON,), _no_curves,
        rank=6,
    ),
    Action(
        "later", "right", "→", "later", "go to later steps", "", (COMPARISON,), _no_curves, rank=6,
    ),
)  # fmt: skip
