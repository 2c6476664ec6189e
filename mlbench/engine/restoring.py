"""Bringing a run back: its outs from the cache, and its parameters.

Whoever holds the loop does it, for outs and what is written down of their stages are the loop's;
a face looks first what it would mean (`restoration`), asks, and sends a `RestoreRun`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mlbench.domain.commands import RestoreRun
from mlbench.domain.errors import UsageError
from mlbench.domain.records import dataclass
from mlbench.domain.runs import Run, StageRecord
from mlbench.domain.stages import Project, Stage
from mlbench.engine.restored_params import ParamChange, changes_in, set_back
from mlbench.pipeline.fingerprint import identity
from mlbench.pipeline.traces import Trace
from mlbench.pipeline.workspace import Workspace
from mlbench.project.config import load_project
from mlbench.project.layout import Layout
from mlbench.system.content import ContentStore, hash_file
from mlbench.tracking.store import ExperimentStore

_SHOWN = 12


@dataclass(frozen=True, slots=True)
class OutChange:
    """One out that the run gave otherwise than it lies on disk; `before` is the hash there.

    `is_changed`: what lies there is nothing that a run has given, and no cache has it.
    """

    stage: str
    path: str
    digest: str
    before: str | None
    is_changed: bool = False


@dataclass(frozen=True, slots=True)
class Restoration:
    """What bringing a run back means, as the project stands now.

    `outs` are those to bring, `standing` those that are there already, `gone` those that the cache
    does not have. `notes` are sentences on what is left as it is.
    """

    outs: tuple[OutChange, ...] = ()
    standing: tuple[str, ...] = ()
    gone: tuple[OutChange, ...] = ()
    params: tuple[ParamChange, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages whose outs it changes."""
        return tuple(dict.fromkeys(out.stage for out in self.outs))

    @property
    def changed(self) -> tuple[str, ...]:
        """The files and folders on disk that somebody changed and that it would replace."""
        return tuple(out.path for out in self.outs if out.is_changed)


def find_run(store: ExperimentStore, run_id: str) -> Run:
    """The whole run of an id; UsageError where the record has none."""
    run = store.get(run_id)
    if run is None:
        raise UsageError(f'there is no run "{run_id}" in the record any more')
    return run


def restoration(
    layout: Layout, run: Run, workspace: Workspace | None = None, project: Project | None = None
) -> Restoration:
    """What bringing a run back would mean now.

    UsageError for a run that is still going, ProjectFileError where the project can't be read.
    """
    if run.outcome is None:
        raise UsageError(f"{run.name} is still going; wait for its end")
    space = workspace or Workspace.open(layout)
    project = project or load_project(layout)
    space.traces.catch_up()
    outs: list[OutChange] = []
    gone: list[OutChange] = []
    standing: list[str] = []
    notes: list[str] = []
    for name, record in run.stages.items():
        if not (record.stands and record.outs):
            continue
        stage = next((one for one in project.stages if one.name == name), None)
        if stage is None:
            notes.append(f"there is no stage {name} any more: its outs are left as they are")
            continue
        for change in _changes(space, stage, record, notes):
            if change.before == change.digest:
                standing.append(change.path)
            elif space.store.has(change.digest):
                outs.append(change)
            else:
                gone.append(change)
    traces = (trace_of(space, name, record) for name, record in run.stages.items())
    parts = [trace.parts for trace in traces if trace is not None]
    params = changes_in(layout.root, project, parts, run.params)
    return Restoration(
        tuple(outs), tuple(standing), tuple(gone), params.changes, (*notes, *params.notes)
    )


def bring_back(layout: Layout, workspace: Workspace, run: Run, command: RestoreRun) -> str:
    """Carry it out, for whoever holds the loop; gives the sentence that says so.

    What lay there goes to the cache first. UsageError where it would replace what somebody
    changed and was not told to, or where it means something else by now.
    """
    project = load_project(layout)
    wanted = restoration(layout, run, workspace, project)
    if wanted.changed and not command.overwrite:
        raise UsageError(refusal(run, wanted))
    if not set(wanted.stages) <= set(command.stages):
        raise UsageError("the project changed meanwhile; ask once more")
    carry_out(layout, workspace, project, run, wanted)
    return said(run, wanted)


def carry_out(
    layout: Layout, workspace: Workspace, project: Project, run: Run, wanted: Restoration
) -> None:
    """Put the outs in their places, each stage's whole, set the params, and note what stands.

    Only for whoever holds the loop of this folder, or has it locked.
    """
    by_stage: dict[str, dict[str, str]] = {}
    for out in wanted.outs:
        by_stage.setdefault(out.stage, {})[out.path] = out.digest
    for name, digests in by_stage.items():
        stage = project.stage(name)
        # What persists is brought back too: here it is asked for, and a build only goes on from it.
        outs = tuple(replace(out, persist=False) for out in stage.outs if out.path in digests)
        workspace.outs.restore(replace(stage, outs=outs), digests)
    for file in {change.file for change in wanted.params}:
        workspace.store.put(layout.root / file, hash_file(layout.root / file))
    set_back(layout.root, wanted.params)
    for name, record in run.stages.items():
        trace = trace_of(workspace, name, record)
        is_there = name in {stage.name for stage in project.stages}
        if trace is not None and is_there and _stands(workspace, project.stage(name), trace):
            workspace.traces.touch(trace)
    workspace.digests.save()


def trace_of(workspace: Workspace, name: str, record: StageRecord) -> Trace | None:
    """The trace that a stage's record in a run is of; None where it is not kept any more."""
    fitting = (
        trace
        for trace in workspace.traces.of(name)
        if trace.outs == record.outs and identity(trace.key, trace.found) == record.key
    )
    return max(fitting, key=lambda trace: trace.run == record.ran_in, default=None)


def refusal(run: Run, wanted: Restoration) -> str:
    """Why a run is not brought back unasked: what it would replace."""
    listed = _listed(wanted.changed)
    verb = "was" if len(wanted.changed) == 1 else "were"
    return (
        f"{listed} {verb} changed since a run gave {'it' if verb == 'was' else 'them'}, and "
        f"{run.name} would take the place; --force does it, and keeps in the cache what is there"
    )


def said(run: Run, wanted: Restoration) -> str:
    """What was done, in one sentence."""
    if not (wanted.outs or wanted.params):
        return f"everything of {run.name} that can be brought back is there already"
    done = []
    if wanted.outs:
        done.append(f"brought back {_listed([out.path for out in wanted.outs])}")
    if wanted.params:
        done.append(f"set {_listed([change.key for change in wanted.params])}")
    return f"{' and '.join(done)} of {run.name}"


def kept_at(layout: Layout, wanted: Restoration) -> dict[str, Path]:
    """Where in the cache that will lie which is known to no run, by its path.

    Those are outs that were changed, and the params files in which something is set.
    """
    store = ContentStore(layout.cache)
    replaced = {out.path: out.before for out in wanted.outs if out.is_changed and out.before}
    edited = {one.file: hash_file(layout.root / one.file) for one in wanted.params}
    return {path: store.path_of(digest) for path, digest in {**replaced, **edited}.items()}


def _changes(
    space: Workspace, stage: Stage, record: StageRecord, notes: list[str]
) -> list[OutChange]:
    """Each out of a record that its stage still has, with what lies on disk."""
    now = space.outs.now(stage)
    given = {
        (path, digest) for one in space.traces.of(stage.name) for path, digest in one.outs.items()
    }
    found = []
    for path, digest in record.outs.items():
        if path not in now:
            notes.append(f"{path} is no out of {stage.name} any more: it is left as it is")
        elif digest:
            before = now[path]
            is_known = before is None or (path, before) in given or space.store.has(before)
            found.append(OutChange(stage.name, path, digest, before, not is_known))
    return found


def _stands(space: Workspace, stage: Stage, trace: Trace) -> bool:
    return space.outs.now(stage) == dict(trace.outs)


def _listed(names: tuple[str, ...] | list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"
