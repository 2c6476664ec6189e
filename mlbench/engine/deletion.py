"""Deleting runs: what goes with them, what forbids it, and what other runs still stand on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mlbench.domain.errors import UsageError
from mlbench.domain.runs import Run
from mlbench.engine.queries import Queries
from mlbench.pipeline.workspace import Workspace
from mlbench.project.layout import Layout
from mlbench.release.registry import Registry
from mlbench.tracking.trash import Trash


def with_nested(chosen: Sequence[Run], known: Iterable[Run]) -> list[Run]:
    """The chosen runs and all that are nested in them, each once."""
    children: dict[str, list[Run]] = {}
    for run in known:
        if run.parent:
            children.setdefault(run.parent, []).append(run)
    found: dict[str, Run] = {}
    waiting = list(chosen)
    while waiting:
        run = waiting.pop(0)
        if run.id not in found:
            found[run.id] = run
            waiting += children.get(run.id, [])
    return list(found.values())


def refuse_to_delete(runs: Iterable[Run], registry: Registry) -> None:
    """UsageError where a run is still going, or a version of a model came from it."""
    versions = {item.run: item for model in registry.models() for item in registry.versions(model)}
    for run in runs:
        if run.outcome is None:
            raise UsageError(f"{run.name} is still going; stop it first")
        if run.id in versions:
            version = versions[run.id]
            raise UsageError(
                f"{version.model} v{version.version} came from {run.name}, so it is kept; "
                "`mlbench archive` hides it"
            )


def delete_files(layout: Layout, runs: Sequence[Run], queries: Queries) -> None:
    """Take runs out of the index, and set aside their folders and candidates."""
    trash, registry, store = Trash(layout), Registry(layout.models), queries.store()
    going = {run.id for run in runs}
    needed = _stood_on(layout, going, store.runs().mentioning(going))
    for run in runs:
        for model in registry.models():
            registry.take_out(model, run.id, trash.beside(run.id))
        trash.put(run.id, needed.get(run.id, frozenset()))
        store.remove(run.id)


def _stood_on(layout: Layout, going: set[str], known: Iterable[Run]) -> dict[str, set[str]]:
    """The stages of runs that go whose log and curves other runs, or the project now, refer to."""
    needed: dict[str, set[str]] = {}
    for run in known:
        if run.id not in going:
            for name, stage in run.stages.items():
                if stage.ran_in in going:
                    needed.setdefault(stage.ran_in, set()).add(name)
    for trace in Workspace.open(layout).traces.all_newest():
        if trace.run in going:
            needed.setdefault(trace.run, set()).add(trace.stage)
    return needed
