"""Which folder's `.mlbench` keeps the record of a project: worktrees of one repository share one.

Git's own files tell, as gitrepository-layout(5) has them; git itself is never started.
"""

from __future__ import annotations

import os

PROJECT_MARKS = ("mlbench.toml", "dvc.yaml", ".mlbench")
"""What a project's folder has at least one of, in the order in which a command looks for it."""


def home_of(project: str) -> str:
    """The folder that keeps the record for a project's folder, both absolute and without links.

    For a worktree that is the same folder of the main one. Its own it keeps where the main one is
    bare or has no project there, and where it has a record already. Costs a few microseconds.
    """
    top = top_of(project)
    if top is None or os.path.isdir(f"{top}/.git"):
        return project
    common = common_folder(top)
    main, name = os.path.split(common)
    # A submodule's repository has no folder of its own beside it, nor has a bare one's.
    if name != ".git" or common == git_folder(top) or os.path.isdir(f"{project}/.mlbench/runs"):
        return project
    home = os.path.normpath(os.path.join(main, os.path.relpath(project, top)))
    has_project = any(os.path.exists(f"{home}/{mark}") for mark in PROJECT_MARKS)
    return home if has_project else project


def worktree_name(project: str) -> str:
    """Git's name of the worktree that a folder lies in; empty where it is no added worktree."""
    top = top_of(project)
    if top is None or os.path.isdir(f"{top}/.git"):
        return ""
    folder = git_folder(top)
    return "" if folder == common_folder(top) else os.path.basename(folder)


def worktree_names(project: str) -> list[str]:
    """Git's names of all added worktrees of the repository around a folder, there or not."""
    top = top_of(project)
    return [] if top is None else _names_in(f"{common_folder(top)}/worktrees")


def sharing_with(project: str) -> list[str]:
    """The other folders, in worktrees that are there, whose record is that of a project's."""
    top, home = top_of(project), home_of(project)
    if top is None:
        return []
    inside = os.path.relpath(project, top)
    folders = [home]
    lists = f"{common_folder(top)}/worktrees"
    for name in _names_in(lists):
        said = _line_in(f"{lists}/{name}/gitdir")
        if said is not None:
            tree = os.path.dirname(os.path.join(lists, name, said))
            folders.append(os.path.realpath(os.path.join(tree, inside)))
    there = (one for one in folders if one != project and os.path.isdir(one))
    return [one for one in there if home_of(one) == home]


def top_of(folder: str) -> str | None:
    """The nearest folder at or above this one that holds a `.git`, None outside of a repository."""
    while not os.path.exists(f"{folder}/.git"):
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above
    return folder


def git_folder(top: str) -> str:
    """Where a work tree's index lies; `.git` is a file that says so in worktrees and submodules."""
    said = _line_in(f"{top}/.git")
    if said is None:
        return f"{top}/.git"
    return os.path.normpath(os.path.join(top, said.removeprefix("gitdir:").strip()))


def common_folder(top: str) -> str:
    """What all worktrees of a repository share, `info/exclude` among it."""
    own = git_folder(top)
    said = _line_in(f"{own}/commondir")
    return own if said is None else os.path.normpath(os.path.join(own, said))


def _names_in(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _line_in(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read().strip()
    except OSError:
        return None
