"""What a script's run begins with, noted beside it: its code, its diff, and what it runs in.

A process of its own does it, in the script's interpreter, so that the script waits for nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

from mlbench.domain.plain import to_plain
from mlbench.inside.script import SCRIPT_NAME
from mlbench.inside.secrets import secret_values, without_secrets
from mlbench.project.git import code_and_diff
from mlbench.project.layout import Layout
from mlbench.system.files import read_json, write_json
from mlbench.tracking.environment import Surroundings, keep_environment
from mlbench.tracking.folder import DIFF_NAME
from mlbench.tracking.scripts import OPENING_NAME

_NICENESS = 10


def main(folder: str) -> None:
    """Describe the run of this folder; it began just now, and its script goes on meanwhile."""
    # A hang-up or Ctrl-C of the script's terminal is none of this process's business.
    os.setsid()
    os.nice(_NICENESS)
    describe(Path(folder))


def describe(folder: Path) -> None:
    """Write the opening, the diff and the environment of a script's run into its folder."""
    script = read_json(folder / SCRIPT_NAME)
    layout = Layout(Path(script["root"]))
    code, diff = code_and_diff(layout.root)
    if diff:
        patch = without_secrets(diff, secret_values(os.environ))
        (folder / DIFF_NAME).write_text(patch, encoding="utf-8", errors="surrogateescape")
    write_json(folder / OPENING_NAME, {"code": to_plain(code)})
    surroundings = Surroundings(layout.environments / "interpreter.json")
    keep_environment(layout.environments, folder, surroundings.describe(script["python"]))
