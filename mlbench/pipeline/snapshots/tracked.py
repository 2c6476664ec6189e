"""Which files make up a project: what git tracks or would track, or what no ignore rule names."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from mlbench.pipeline.left_behind import is_left_behind
from mlbench.pipeline.watching.ignored import Ignored

# Looking must not take the lock of the user's index.
_ONLY_LOOK = {"GIT_OPTIONAL_LOCKS": "0"}
_LIST = "git ls-files -z -t --cached --others --exclude-standard".split()
_UNTRACKED = "?"
_BYTECODE = "__pycache__/"


def project_files(root: Path) -> Iterator[str]:
    """The names of a project's files and links, relative to its folder, each once, in no order.

    Tracked ones whether they are there or not, and untracked ones that git does not ignore. Where
    git is not used, or tracks nothing here: what no `.gitignore`, `.dvcignore` or `.mlbenchignore`
    names. A name that is a folder is a repository of its own: ask again for what lies there.
    """
    listed = _by_git(root)
    return iter(listed) if listed is not None else _by_rules(root)


def _by_git(root: Path) -> list[str] | None:
    """What git tracks or would; None where it tracks nothing in this folder."""
    try:
        done = subprocess.run(
            _LIST, cwd=root, env=os.environ | _ONLY_LOOK, capture_output=True, check=False
        )
    except OSError:
        return None
    tracked: dict[str, None] = {}
    others: list[str] = []
    for entry in filter(None, os.fsdecode(done.stdout).split("\0")):
        tag, _, name = entry.partition(" ")
        if _BYTECODE in name:
            continue
        if tag != _UNTRACKED:
            # In the midst of a merge a file is listed once for each side.
            tracked[name] = None
        # What tools leave is no part of a project, unless somebody put it under git.
        elif not any(is_left_behind(part) for part in name.split("/")):
            others.append(name.rstrip("/"))
    return [*tracked, *others] if tracked and not done.returncode else None


def _by_rules(root: Path) -> Iterator[str]:
    pending = [("", Ignored(root, ()).top)]
    while pending:
        below, rules = pending.pop()
        for entry in entries_of(f"{root}/{below}"):
            is_folder = entry.is_dir(follow_symlinks=False)
            if rules.ignores(entry.name, is_folder):
                continue
            if is_folder:
                pending.append((f"{below}{entry.name}/", rules.inside(entry.name)))
            else:
                yield f"{below}{entry.name}"


def entries_of(folder: str) -> list[os.DirEntry[str]]:
    """What lies directly in a folder; nothing where it can't be listed."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []
