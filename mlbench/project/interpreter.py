"""Which Python runs the user's code: stages, unpickling, export."""

from __future__ import annotations

import os
import sys

from mlbench.project.fields import Table
from mlbench.project.layout import Layout


def find_python(layout: Layout, configured: str | None, table: Table) -> str:
    """The project's interpreter, absolute, links kept (a venv's python is a link that matters).

    In order: what the configuration names, the active environment, the project's .venv or venv,
    uv's and conda's environment, at last the one that runs mlbench. Where a worktree has no such
    folder, that of the main one is meant. ProjectFileError where the configured one is not there.
    """
    roots = tuple(dict.fromkeys((layout.root, layout.home)))
    if configured is not None:
        # Late: few projects name their interpreter.
        import shutil

        known = [shutil.which(configured)]
        if os.sep in configured:
            known = [str(root / configured) for root in roots]
        for named in known:
            if named is not None and os.access(named, os.X_OK) and not os.path.isdir(named):
                return os.path.abspath(named)
        table.fail("python", f'"{configured}" is no Python interpreter on this machine')
    own_folders = (".venv", "venv", os.environ.get("UV_PROJECT_ENVIRONMENT"))
    folders = (
        os.environ.get("VIRTUAL_ENV"),
        *(str(root / folder) for root in roots for folder in own_folders if folder),
        os.environ.get("CONDA_PREFIX"),
    )
    for folder in folders:
        if folder:
            python = layout.root / folder / "bin" / "python"
            if os.access(python, os.X_OK):
                return os.path.abspath(python)
    own = os.path.join(sys.prefix, "bin", "python")
    return own if os.access(own, os.X_OK) else sys.executable


def identity(python: str) -> str:
    """What makes an interpreter this one: its environment's folder and the binary behind its links.

    `python` and `python3` of one environment are the same.
    """
    return f"{os.path.dirname(python)} ({os.path.realpath(python)})"
