"""Where the code stands, by the project's git repository; GitPython's only user."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlbench.domain.runs import CodeState

if TYPE_CHECKING:
    import git

_LARGEST_IN_DIFF = 1_000_000
_MOST_NAMED = 50
_UNREADABLE = "all that differs, for git can't read its objects"
_SOURCE_SUFFIXES = frozenset(
    ".py .toml .yaml .yml .json .cfg .ini .sh .sql .md .txt .ipynb".split()
)
# Looking must neither take the lock of the user's index nor write it anew.
_ONLY_LOOK = {"GIT_OPTIONAL_LOCKS": "0"}
# The user's taste in diffs would make patches that `git apply` does not take.
_PLAIN_PATCH = (
    "--binary --no-color --no-ext-diff --no-textconv --no-renames --no-relative "
    "--submodule=short --ignore-submodules=dirty --src-prefix=a/ --dst-prefix=b/"
).split()


class _NoRepositoryError(Exception):
    """There is no repository that git would read; says why and what to do."""


def code_state(root: Path) -> CodeState:
    """Commit, branch and how many of the project's files differ; empty where git is not used."""
    repository = open_repository(root)
    if repository is None:
        return CodeState()
    with repository:
        return _state(repository, root)


def code_and_diff(root: Path) -> tuple[CodeState, str]:
    """As `code_state`, with what differs as one patch for `git apply` at the repository's top.

    Small untracked source files are in it; `.env` files and binary ones over 1 MB are not, and
    those that differ are named in `left_out`, as are submodules with edits of their own. Bytes that
    are no UTF-8 are lone surrogates. The patch is empty where nothing differs, where there is no
    commit, where git is not used, and where the repository is damaged: then `left_out` says so.
    """
    repository = open_repository(root)
    if repository is None:
        return CodeState(), ""
    import git

    with repository:
        code = _state(repository, root)
        if code.commit is None or not code.dirty:
            return code, ""
        try:
            left_out, patch = _left_out_and_patch(repository, root)
        except git.GitCommandError:
            left_out, patch = [_UNREADABLE], ""
        return replace(code, left_out=_first(left_out)), patch


def _state(repository: git.Repo, root: Path) -> CodeState:
    import git

    try:
        changed = len(list(_changed(repository, root)))
        is_clean = not changed
    except git.GitCommandError:
        # Damaged: what can't be told apart from the commit is not taken for it.
        changed, is_clean = 0, False
    commit = repository.head.commit.hexsha if repository.head.is_valid() else None
    branch = None if repository.head.is_detached else repository.active_branch.name
    return CodeState(commit, branch, not is_clean or commit is None, changed)


def _left_out_and_patch(repository: git.Repo, root: Path) -> tuple[list[str], str]:
    untracked = list(_untracked(repository, root))
    sources = [name for name in untracked if _is_small_source(repository, name)]
    differing = list(_differing(repository, root))
    left_out = [name for name, binary in differing if _is_left_out(repository, name, binary)]
    submodules = [name for name, _ in differing if _is_dirty_submodule(repository, name)]
    patch = _patch(repository, root, sources, left_out)
    others = [name for name in untracked if name not in frozenset(sources)]
    return [*left_out, *submodules, *others], patch


def _patch(repository: git.Repo, root: Path, added: list[str], left_out: list[str]) -> str:
    # Late, as shutil and GitPython are: to ask whether there is a repository needs none of them.
    import tempfile

    with (
        tempfile.TemporaryDirectory() as scratch,
        repository.git.custom_environment(GIT_INDEX_FILE=_own_index(repository, scratch)),
    ):
        if added:
            names = Path(scratch, "untracked")
            names.write_text("\0".join(added), "utf-8", "surrogateescape")
            repository.git.add(
                "--intent-to-add", f"--pathspec-from-file={names}", "--pathspec-file-nul"
            )
        patch = repository.git.diff(
            "HEAD",
            *_PLAIN_PATCH,
            "--",
            pathspec_of(repository, root),
            *(f":(top,literal,exclude){name}" for name in left_out),
            strip_newline_in_stdout=False,
        )
        return str(patch)


def has_repository(root: Path) -> bool:
    """Whether a folder seems to lie in a repository; quick, for git itself is not asked."""
    return any((folder / ".git").exists() for folder in (root, *root.parents))


def missing_because(root: Path) -> str | None:
    """Why no commit can be recorded here, or None where one can."""
    try:
        repository = _repository(root)
    except _NoRepositoryError as error:
        return str(error)
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


def open_repository(root: Path) -> git.Repo | None:
    """The repository around a folder, for whoever closes it; None where none can be read."""
    try:
        return _repository(root)
    except _NoRepositoryError:
        return None


def _quiet() -> None:
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")


def _repository(root: Path) -> git.Repo:
    """The repository around a folder, known to be readable; _NoRepositoryError otherwise."""
    _quiet()
    import git

    without = "so runs are recorded without commit and diff"
    try:
        repository = git.Repo(root, search_parent_directories=True)
    except (git.InvalidGitRepositoryError, git.NoSuchPathError):
        raise _NoRepositoryError(
            f"this folder is no git repository, {without}; "
            "`git init` and a first commit change that"
        ) from None
    repository.git.update_environment(**_ONLY_LOOK)
    try:
        repository.git.rev_parse("--git-dir")
    except git.GitCommandNotFound:
        repository.close()
        raise _NoRepositoryError(f"git is not on the PATH, {without}; install it") from None
    except git.GitCommandError:
        repository.close()
        raise _NoRepositoryError(
            f"git refuses to read this repository, which belongs to another user, {without}; "
            f"`git config --global --add safe.directory {repository.working_dir}` allows it"
        ) from None
    return repository


def pathspec_of(repository: git.Repo, root: Path) -> str:
    """The pathspec of the project inside its repository."""
    relative = os.path.relpath(root.resolve(), Path(repository.working_dir).resolve())
    return ":(top)" if relative == "." else f":(top,literal){relative}"


def _changed(repository: git.Repo, root: Path) -> Iterator[str]:
    status = str(
        repository.git.status(
            "--porcelain",
            "-z",
            "--no-renames",
            "--untracked-files=all",
            "--",
            pathspec_of(repository, root),
        )
    )
    yield from (entry for entry in status.split("\0") if entry)


def _own_index(repository: git.Repo, scratch: str) -> str:
    """A copy of the index, so that noting untracked files in it leaves the user's alone.

    Its own time is copied too: git tells by it which files may have changed unseen.
    """
    index = Path(scratch, "index")
    if Path(repository.index.path).exists():
        import shutil

        shutil.copy2(repository.index.path, index)
    return str(index)


def _untracked(repository: git.Repo, root: Path) -> Iterator[str]:
    below = pathspec_of(repository, root)
    listed = str(
        repository.git.ls_files("-z", "--others", "--exclude-standard", "--full-name", "--", below)
    )
    yield from filter(None, listed.split("\0"))


def _is_small_source(repository: git.Repo, name: str) -> bool:
    path = Path(repository.working_dir, name)
    is_source = path.suffix in _SOURCE_SUFFIXES and path.is_file() and not _is_secret(path)
    return is_source and path.stat().st_size <= _LARGEST_IN_DIFF


def _differing(repository: git.Repo, root: Path) -> Iterator[tuple[str, bool]]:
    """The tracked files and submodules that differ from the commit, and whether each is binary."""
    counted = str(
        repository.git.diff(
            "HEAD", "--numstat", "-z", "--no-renames", "--", pathspec_of(repository, root)
        )
    )
    for entry in filter(None, counted.split("\0")):
        added, _, name = entry.split("\t", 2)
        yield name, added == "-"


def _is_left_out(repository: git.Repo, name: str, is_binary: bool) -> bool:
    """Whether a tracked file must not, or had better not, be in the record."""
    path = Path(repository.working_dir, name)
    # A binary's patch holds what was there before as well as what is there now.
    return _is_secret(path) or (
        is_binary and _larger_size(repository, path, name) > _LARGEST_IN_DIFF
    )


def _is_dirty_submodule(repository: git.Repo, name: str) -> bool:
    """Whether a name is that of a submodule with edits of its own, which no patch here can hold."""
    path = Path(repository.working_dir, name)
    inner = open_repository(path) if (path / ".git").exists() else None
    if inner is None:
        return False
    with inner:
        return inner.is_dirty(untracked_files=True)


def _larger_size(repository: git.Repo, path: Path, name: str) -> int:
    try:
        before = int(repository.head.commit.tree.join(name).size)
    except KeyError:
        before = 0
    return max(before, path.stat().st_size if path.is_file() else 0)


def _is_secret(path: Path) -> bool:
    return path.name == ".env" or path.name.startswith(".env.")


def _first(names: list[str]) -> tuple[str, ...]:
    """The names, of many the first ones and how many more."""
    more = len(names) - _MOST_NAMED
    return (*names[:_MOST_NAMED], f"and {more} more") if more > 0 else tuple(names)
