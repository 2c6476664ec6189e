"""How a process that mlbench starts finds the very mlbench that started it."""

from __future__ import annotations

import os
from pathlib import Path


def variables() -> dict[str, str]:
    """The environment variables for a process that must import this mlbench.

    Run from a source tree it is not on the path, and -P keeps the user's folder off it. Where it
    is installed nothing is added, lest site-packages come before the standard library.
    """
    home = str(Path(__file__).resolve().parents[2])
    if home.endswith(("site-packages", "dist-packages")):
        return dict(os.environ)
    before = os.environ.get("PYTHONPATH", "")
    if home in before.split(os.pathsep):
        return dict(os.environ)
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (before, home)))}
