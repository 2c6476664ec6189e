"""What it costs to import mlbench: in a training script, and in a command."""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median

from benchmarks.common import ENVIRONMENT, Command, Figure, in_turn, milliseconds, run

ROUNDS = 25
_COUNT = "import sys; bare = set(sys.modules); {}; print(len(set(sys.modules) - bare))"


def measure() -> Figure:
    """Fresh interpreters in turn: bare, the library's import, and the read-only queries'."""
    here = Path(__file__).parents[1]
    statements = {
        "nothing": "pass",
        "`import mlbench` (a training script)": "import mlbench",
        "`import mlbench.engine.queries` (a command)": "import mlbench.engine.queries",
    }
    commands = {
        name: Command([sys.executable, "-c", statement], here, ENVIRONMENT)
        for name, statement in statements.items()
    }
    times = in_turn(commands, ROUNDS)
    bare = median(times["nothing"])
    rows = [
        [
            name,
            milliseconds(times[name]),
            f"{(median(times[name]) - bare) * 1000:.1f} ms",
            run([sys.executable, "-c", _COUNT.format(statement)], here).strip(),
        ]
        for name, statement in statements.items()
    ]
    return Figure(
        ["a fresh interpreter that imports", "whole process, median (range)", "more", "modules"],
        rows,
        f"{ROUNDS} rounds in turn.",
    )
