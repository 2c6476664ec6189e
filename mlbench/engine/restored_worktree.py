"""A run in a worktree of its own: code, dirty diff, params, outs and inputs as it had them."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from mlbench.domain.errors import MlbenchError, UsageError
from mlbench.domain.outcomes import ReasonKind
from mlbench.domain.plan import StageStatus
from mlbench.domain.records import dataclass
from mlbench.domain.runs import Run, StageRecord
from mlbench.engine.restoring import OutChange, Restoration, carry_out, restoration, trace_of
from mlbench.engine.session import prepare_folder
from mlbench.pipeline.fingerprint import part_name
from mlbench.pipeline.linking import Linking
from mlbench.pipeline.workspace import Workspace
from mlbench.project.config import load_project
from mlbench.project.layout import Layout
from mlbench.project.worktrees import (
    add_worktree,
    apply_patch,
    has_commit,
    is_ignored,
    remove_worktree,
)
from mlbench.system.locks import FileLock
from mlbench.tracking.folder import DIFF_NAME


@dataclass(frozen=True, slots=True)
class RestoredTree:
    """What a worktree was given.

    `folder` is the project's in it, `linked` are the inputs that came from the cache or another
    tree, `missing` those that nothing has any more, `stale` the stages that don't stand.
    """

    folder: Path
    done: Restoration
    linked: tuple[str, ...]
    missing: tuple[str, ...]
    stale: tuple[StageStatus, ...]


def restore_in_worktree(layout: Layout, run: Run, folder: Path) -> RestoredTree:
    """Make a worktree of a run's commit and bring everything there as the run had it.

    UsageError where the run has no commit that this repository knows, or where git refuses; no
    worktree is left where anything fails.
    """
    commit = run.code.commit
    if commit is None:
        raise UsageError(f"{run.name} was recorded without a commit, so there is none to check out")
    if not has_commit(layout.root, commit):
        raise UsageError(
            f"commit {commit[:12]} of {run.name} is not in this repository; fetch it first"
        )
    folder = Path(os.path.abspath(folder))
    if folder.is_relative_to(layout.root) and not is_ignored(layout.root, folder):
        raise UsageError(
            f"{folder}: lies inside the project, where it would count as a part of it; "
            "choose a place beside it, or one that .gitignore names"
        )
    was_there = folder.exists()
    root = add_worktree(layout.root, folder, commit)
    try:
        patch = layout.run_folder(run.id) / DIFF_NAME
        if patch.exists():
            apply_patch(root, patch)
        return _fill(layout, Layout(root), run)
    except BaseException:
        _take_away(layout, folder, was_there=was_there)
        raise


def _fill(source: Layout, target: Layout, run: Run) -> RestoredTree:
    if not target.root.is_dir():
        raise UsageError(f"commit {run.code.commit} of {run.name} has no folder {target.root.name}")
    if source.local_config.exists() and not target.local_config.exists():
        shutil.copy2(source.local_config, target.local_config)
    project = load_project(target, may_lack_deps=True)
    prepare_folder(target)
    lock = FileLock(target.loop_lock)
    lock.acquire()
    try:
        # The tree where it is asked for comes first, then the home and the other worktrees.
        trees = dict.fromkeys((source.root, *(other.root for other in source.others)))
        origins = [Workspace.open(Layout(root)) for root in trees if root != target.root]
        origin = origins[0]
        is_shared = source.shared == target.shared
        space = Workspace.open(target, None if is_shared else origin.store)
        if not is_shared:
            _bring_traces(origin, space, run)
        done = restoration(target, run, space, project)
        done = replace(done, gone=_bring_uncached(origins, space, done.gone))
        carry_out(target, space, project, run, done)
        linking = Linking(origins, space, project)
        for stage in project.stages:
            record = run.stages.get(stage.name)
            if record is not None:
                linking.bring(stage, *_inputs_of(space, stage.name, record))
        stale = space.plan(project).stale
        return RestoredTree(
            target.root, done, tuple(linking.brought), tuple(linking.missing), stale
        )
    finally:
        lock.release()


def _bring_uncached(
    origins: Iterable[Workspace], space: Workspace, gone: Iterable[OutChange]
) -> tuple[OutChange, ...]:
    """Copy outs that no cache has from where they still lie; gives those that lie nowhere."""
    left = []
    for out in gone:
        places = (one.root / out.path for one in origins if _has(one, out))
        place = next(places, None)
        if place is not None:
            space.tree.remove(space.root / out.path)
            space.tree.copy(place, space.root / out.path)
        else:
            left.append(out)
    return tuple(left)


def _has(space: Workspace, out: OutChange) -> bool:
    return space.digests.content(space.root / out.path) == out.digest


def _inputs_of(
    space: Workspace, name: str, record: StageRecord
) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """What a stage read, known before and found: by its trace, else as far as it is on record."""
    trace = trace_of(space, name, record)
    if trace is not None:
        return trace.parts, trace.found
    return {part_name(ReasonKind.FILE, path): value for path, value in record.inputs.items()}, {}


def _bring_traces(origin: Workspace, space: Workspace, run: Run) -> None:
    """Have what a run's stages gave known in a worktree that keeps a record of its own."""
    for name, record in run.stages.items():
        trace = trace_of(origin, name, record)
        if trace is not None:
            space.traces.add(trace)


def _take_away(layout: Layout, folder: Path, *, was_there: bool) -> None:
    """Leave nothing half made; the folder that was there before stays, empty as it was."""
    with contextlib.suppress(MlbenchError, OSError):
        remove_worktree(layout.root, folder)
    if was_there:
        folder.mkdir(exist_ok=True)
