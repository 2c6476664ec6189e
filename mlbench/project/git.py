"""Where the code stands, by the project's git repository; GitPython's only user."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mlbench.domain.runs import CodeState

if TYPE_CHECKING:
    import git

_LARGEST_UNTRACKED = 1_000_000
_SOURCE_SUFFIXES = frozenset(
    ".py .toml .yaml .yml .json .cfg .ini .sh .sql .md .txt .ipynb".split()
)


def code_state(root: Path) -> CodeState:
    """Commit, branch and how many of the project's files differ; empty where git is not used."""
    repository = _repository(root)
    if repository is None:
        return CodeState()
    with repository:
        changed = list(_changed(repository, root))
        try:
            commit: str | None = repository.head.commit.hexsha
        except ValueError:
            commit = None
        branch = None if repository.head.is_detached else repository.active_branch.name
        return CodeState(commit, branch, bool(changed) or commit is None, len(changed))


def dirty_diff(root: Path) -> str:
    """What differs from the commit as one patch, small untracked source files included."""
    repository = _repository(root)
    if repository is None:
        return ""
    with repository:
        if not repository.head.is_valid():
            return ""
        parts = [str(repository.git.diff("HEAD", "--", str(root)))]
        parts += [_as_addition(root, name) for name in _untracked_sources(repository, root)]
    return "\n".join(part for part in parts if part) + "\n"


def missing_because(root: Path) -> str | None:
    """Why no commit can be recorded here, or None where one can."""
    repository = _repository(root)
    if repository is None:
        return (
            "this folder is no git repository, so runs are recorded without commit and diff; "
            "`git init` and a first commit change that"
        )
    with repository:
        if not repository.head.is_valid():
            return "this repository has no commit yet, so runs are recorded without one"
    return None


def initialise(root: Path, message: str) -> None:
    """Make a repository with everything in it committed, also where git knows no user."""
    _quiet()
    import git

    with git.Repo.init(root, initial_branch="main") as repository:
        repository.git.add("--all")
        # Where git knows nobody it refuses to commit; the repository's own name is then used.
        with repository.config_reader() as known:
            is_known = known.has_option("user", "name") and known.has_option("user", "email")
        if not is_known:
            with repository.config_writer() as own:
                own.set_value("user", "name", "mlbench demo")
                own.set_value("user", "email", "demo@localhost")
        repository.git.commit("--quiet", "--no-verify", "--no-gpg-sign", "--message", message)


def _quiet() -> None:
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")


def _repository(root: Path) -> git.Repo | None:
    _quiet()
    import git

    try:
        return git.Repo(root, search_parent_directories=True)
    except (git.InvalidGitRepositoryError, git.NoSuchPathError, git.GitCommandNotFound):
        return None


def _changed(repository: git.Repo, root: Path) -> Iterator[str]:
    status = str(
        repository.git.status("--porcelain", "-z", "--untracked-files=all", "--", str(root))
    )
    yield from (entry for entry in status.split("\0") if entry)


def _untracked_sources(repository: git.Repo, root: Path) -> Iterator[str]:
    listed = str(
        repository.git(c="core.quotepath=off").execute(
            ["git", "-C", str(root), "ls-files", "-z", "--others", "--exclude-standard"]
        )
    )
    for name in sorted(listed.split("\0")):
        path = root / name
        is_secret = path.name == ".env" or path.name.startswith(".env.")
        is_source = path.suffix in _SOURCE_SUFFIXES and path.is_file() and not is_secret
        if name and is_source and path.stat().st_size <= _LARGEST_UNTRACKED:
            yield name


def _as_addition(root: Path, name: str) -> str:
    """An untracked file as the patch that adds it."""
    lines = (root / name).read_text(encoding="utf-8", errors="replace").splitlines()
    head = f"--- /dev/null\n+++ b/{name}\n@@ -0,0 +1,{len(lines)} @@"
    return "\n".join((head, *(f"+{line}" for line in lines)))
