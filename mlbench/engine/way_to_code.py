"""How a run's code comes back: by git commands that are printed, and never given."""

from __future__ import annotations

from pathlib import Path

from mlbench.domain.runs import Run
from mlbench.project.git import code_and_diff
from mlbench.project.layout import Layout
from mlbench.project.worktrees import has_commit
from mlbench.tracking.folder import DIFF_NAME


def way_to_code(layout: Layout, run: Run) -> tuple[str, ...]:
    """The git commands that bring a run's code back, or a sentence on why there are none.

    Nothing where the code is what it was. They are for the user to give: what lies in the tree
    and the index is nobody else's to change.
    """
    commit = run.code.commit
    if commit is None:
        return ("# was recorded without a commit: its code is not kept",)
    now, diff = code_and_diff(layout.root)
    patch = layout.run_folder(run.id) / DIFF_NAME
    recorded = patch.read_bytes() if patch.exists() else b""
    if now.commit == commit and diff.encode("utf-8", "surrogateescape") == recorded:
        return ()
    if now.commit is None:
        return (f"# its code is commit {commit[:12]} of a repository that is not here",)
    commands = []
    if not has_commit(layout.root, commit):
        commands.append(f"# commit {commit[:12]} is not in this repository: fetch it first")
    if now.dirty:
        commands.append("# files here differ from the commit: commit or stash them first")
    if now.dirty or now.commit != commit:
        commands.append(f"git checkout {commit[:12]}")
    if recorded:
        commands.append(f"git apply {_shell_word(patch)}")
    return tuple(commands)


def _shell_word(path: Path) -> str:
    # Late: few commands print any for a shell.
    import shlex

    return shlex.quote(str(path))
