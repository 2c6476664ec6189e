"""Processes of mlbench's own interpreter that run mlbench's own code."""

from __future__ import annotations

import os
from pathlib import Path


def own_variables() -> dict[str, str]:
    """The user's environment without PYTHONPATH, whose modules may be named like ours.

    Run from a source tree, mlbench is not on the path otherwise.
    """
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    home = Path(__file__).resolve().parents[2]
    if home.name in ("site-packages", "dist-packages"):
        return variables
    return {**variables, "PYTHONPATH": str(home)}
