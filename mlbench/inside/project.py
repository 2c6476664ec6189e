"""Which project a script that runs on its own belongs to, and where its runs are kept."""

from __future__ import annotations

import os

from mlbench.inside.worktree import PROJECT_MARKS, home_of

OWN_NAME = ".mlbench"
GITIGNORE = "# everything here is mlbench's own, made anew or kept for this machine\n*\n"


def find_root(folder: str) -> str:
    """The project's folder: the nearest mlbench.toml at or above, else dvc.yaml, else .mlbench.

    The folder itself where there is none of these.
    """
    folder = os.path.realpath(folder)
    for mark in PROJECT_MARKS:
        above = folder
        while not os.path.exists(os.path.join(above, mark)):
            if above == os.path.dirname(above):
                break
            above = os.path.dirname(above)
        else:
            return above
    return folder


def prepare(root: str) -> str:
    """The folder that keeps the record of a project, made with its .gitignore; OSError."""
    own = os.path.join(home_of(root), OWN_NAME)
    os.makedirs(own, exist_ok=True)
    ignore = os.path.join(own, ".gitignore")
    if not os.path.exists(ignore):
        with open(ignore, "w", encoding="utf-8") as file:
            file.write(GITIGNORE)
    return own
