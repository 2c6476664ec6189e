"""Which Python runs the user's code: stages, unpickling, export."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mlbench.project.fields import Table


def find_python(root: Path, configured: str | None, table: Table) -> str:
    """The project's interpreter, absolute, links kept (a venv's python is a link that matters).

    In order: what the configuration names, the active environment, the project's .venv or venv,
    uv's and conda's environment, at last the one that runs mlbench. ProjectFileError where the
    configured one is not there.
    """
    if configured is not None:
        # Late: few projects name their interpreter.
        import shutil

        named = shutil.which(configured) if os.sep not in configured else str(root / configured)
        if named is None or not os.access(named, os.X_OK) or Path(named).is_dir():
            table.fail("python", f'"{configured}" is no Python interpreter on this machine')
        return os.path.abspath(named or configured)
    folders = (
        os.environ.get("VIRTUAL_ENV"),
        str(root / ".venv"),
        str(root / "venv"),
        os.environ.get("UV_PROJECT_ENVIRONMENT"),
        os.environ.get("CONDA_PREFIX"),
    )
    for folder in folders:
        if folder:
            python = root / folder / "bin" / "python"
            if os.access(python, os.X_OK):
                return os.path.abspath(python)
    own = os.path.join(sys.prefix, "bin", "python")
    return own if os.access(own, os.X_OK) else sys.executable


def identity(python: str) -> str:
    """What makes an interpreter this one: its environment's folder and the binary behind its links.

    `python` and `python3` of one environment are the same.
    """
    return f"{os.path.dirname(python)} ({os.path.realpath(python)})"
