"""Worktrees of the project's repository: made, filled with a patch, and taken away again.

What is done here never touches the tree, the index or the branches that the user works with.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from mlbench.domain.errors import UsageError
from mlbench.inside.worktree import top_of

# A hook that mlbench is started from has these set, for another tree than the one that is meant.
_OF_A_HOOK = frozenset(
    "GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_COMMON_DIR GIT_PREFIX GIT_OBJECT_DIRECTORY".split()
)


def has_commit(root: Path, commit: str) -> bool:
    """Whether the repository around a folder has this commit."""
    return _git(root, "cat-file", "-e", f"{commit}^{{commit}}").returncode == 0


def is_ignored(root: Path, path: Path) -> bool:
    """Whether the repository around a folder ignores a path in it."""
    return _git(root, "check-ignore", "--quiet", str(path)).returncode == 0


def add_worktree(root: Path, folder: Path, commit: str) -> Path:
    """Make a worktree of a commit at `folder`, on no branch; gives the project's folder in it.

    UsageError with git's own words where it refuses.
    """
    top = _top(root)
    done = _git(root, "worktree", "add", "--quiet", "--detach", str(folder), commit)
    if done.returncode:
        raise UsageError(f"{folder}: git made no worktree: {_said(done)}")
    return Path(os.path.realpath(folder)) / os.path.relpath(root, top)


def remove_worktree(root: Path, folder: Path) -> None:
    """Take a worktree away with all that lies in it; UsageError where git can't."""
    done = _git(root, "worktree", "remove", "--force", "--force", str(folder))
    if done.returncode:
        raise UsageError(f"{folder}: the worktree could not be removed: {_said(done)}")


def apply_patch(worktree: Path, patch: Path) -> None:
    """Apply a dirty diff to the files of a worktree; UsageError where it does not fit."""
    top = _top(worktree)
    done = _git(top, "apply", "--whitespace=nowarn", str(patch))
    if done.returncode:
        raise UsageError(f"{patch}: does not apply: {_said(done)}")


def _top(root: Path) -> Path:
    top = top_of(str(root))
    if top is None:
        raise UsageError(f"{root}: is in no git repository")
    return Path(top)


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    env = {name: value for name, value in os.environ.items() if name not in _OF_A_HOOK}
    try:
        return subprocess.run(
            ["git", *arguments], cwd=root, env=env, capture_output=True, check=False
        )
    except FileNotFoundError:
        raise UsageError("git is not on the PATH; install it") from None


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    """What git complained of, in one line."""
    lines = done.stderr.decode(errors="replace").splitlines()
    said = [line.removeprefix("fatal: ").removeprefix("error: ") for line in lines if line.strip()]
    return "; ".join(said) or f"exit status {done.returncode}"
