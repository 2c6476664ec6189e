"""Questions about gates: as they are judged today, and over the promotions of the past."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

from mlbench.domain.errors import UsageError
from mlbench.domain.records import dataclass
from mlbench.domain.release import Candidate, GateResult
from mlbench.domain.runs import Run
from mlbench.domain.stages import ModelSpec
from mlbench.engine.gate_evidence import BASELINE, Live, evidence_of
from mlbench.engine.gate_replay import (
    Archive,
    Known,
    Replayed,
    gates_to_replay,
    promotions,
    replay,
)
from mlbench.engine.gating import Gating
from mlbench.engine.queries import Queries
from mlbench.engine.releases import Releases, find_model
from mlbench.engine.rescoring import Tell
from mlbench.pipeline.workspace import Workspace
from mlbench.release.gates import Evidence, needs_export
from mlbench.release.leeway import METRICS, Scatter
from mlbench.release.registry import Registry
from mlbench.system.content import ContentStore
from mlbench.tracking.noise import newest_equal_runs, noise_of, repeats_of
from mlbench.tracking.store import ExperimentStore


@dataclass(frozen=True, slots=True)
class JudgedModel:
    """A model's gates over one run; `version` is None where it has none, or is not exported."""

    model: str
    run: Run
    version: int | None
    gates: tuple[GateResult, ...]


def gates_today(
    queries: Queries, model: str | None, run: str | None, tell: Tell
) -> tuple[JudgedModel, ...]:
    """The gates of one model, or all, over a run against what is live now; the newest that passed.

    What is live is scored again where a promotion would do so, which `tell` hears of. UsageError
    where there is no such model or run, or the run did not give the model.
    """
    project, store = queries.project(), queries.store()
    models = project.models if model is None else (find_model(project, model),)
    if not models:
        raise UsageError("there is no model to judge; add [models.NAME] to mlbench.toml")
    found = queries.run(run or "@last")
    standing = [one for one in models if found.has(one.stage)]
    if not standing:
        names = ", ".join(dict.fromkeys(one.stage for one in models))
        raise UsageError(f"run {found.name} has nothing to judge: its stage {names} gave nothing")
    releases, workspace = Releases(queries.layout), Workspace.open(queries.layout)
    gating = Gating(queries.layout, releases, workspace, store)
    judged = []
    for one in standing:
        kept = releases.registry.find(one.name, run=found.id)
        results = gating.judge(project, one, found, kept, tell)
        version = _version(releases.registry, kept)
        judged.append(JudgedModel(one.name, found, version, _in_order(one, results)))
    return tuple(judged)


def gates_replayed(queries: Queries, model: str | None, written: str) -> tuple[Replayed, ...]:
    """A model's gates, or the one that is written, over all its promotions, oldest first.

    UsageError where there is no such model, or what is written is no gate.
    """
    project = queries.project()
    spec = find_model(project, model)
    gates = gates_to_replay(spec, written)
    past = promotions(queries.ledger(), spec.name)
    return replay(project, spec, gates, past, _archive(queries, spec))


def _version(registry: Registry, kept: Candidate | None) -> int | None:
    """The version that has what a run was exported to."""
    if kept is None or kept.version is not None:
        return None if kept is None else kept.version
    same = (item for item in registry.versions(kept.model) if item.digest == kept.digest)
    return next((item.version for item in same), None)


def _in_order(model: ModelSpec, results: Sequence[GateResult]) -> tuple[GateResult, ...]:
    """The results in the order of the file, with those that wait for the export."""
    coming = iter(results)
    if len(results) == len(model.gates):
        return tuple(coming)
    why = "is judged once the model is exported"
    return tuple(
        GateResult(gate.check, model.name, gate.level, None, why=why)
        if needs_export(gate)
        else next(coming)
        for gate in model.gates
    )


def _archive(queries: Queries, model: ModelSpec) -> Archive:
    store, registry = queries.store(), Registry(queries.layout.models)
    versions = {item.version: item for item in registry.versions(model.name)}
    cache = ContentStore(queries.layout.cache)

    @functools.cache
    def find(run: str, version: int) -> Known | None:
        recorded, kept = store.get(run), versions.get(version)
        return None if recorded is None else Known(recorded, kept)

    @functools.cache
    def groups() -> list[list[Run]]:
        return newest_equal_runs(store.newest())

    def evidence(at: str, known: Known, live: Live, baseline: Run | None) -> Evidence:
        tables = evidence_of(
            model,
            known.run,
            known.candidate,
            live,
            baseline=baseline,
            store=store,
            cache=cache,
            registry=registry,
        ).predictions
        runs = {METRICS: known.run, **{root: of for root, (of, _) in live.items()}}
        if baseline is not None:
            runs[BASELINE] = baseline
        return Evidence(tables, functools.partial(_scatter, groups, at, runs))

    return Archive(
        lambda entry: find(entry.run, entry.version),
        functools.partial(_baseline, store, _baselines(store)),
        evidence,
    )


def _scatter(groups: Callable[[], list[list[Run]]], at: str, runs: Mapping[str, Run]) -> Scatter:
    """What the repeats that there were at a time tell."""
    before = [[run for run in group if run.started <= at] for group in groups()]
    several = [group for group in before if len(group) > 1]
    repeats = {root: repeats_of(run.id, several) for root, run in runs.items()}
    return Scatter(noise_of(several), repeats)


def _baselines(store: ExperimentStore) -> list[tuple[str, str]]:
    """When each run that is marked so was made the baseline, and its id, the earliest first."""
    known = store.runs().values("baseline_since", "id")
    return sorted((since, run) for since, run in known if since)


def _baseline(store: ExperimentStore, marked: Sequence[tuple[str, str]], at: str) -> Run | None:
    before = [run for since, run in marked if since <= at]
    return store.get(before[-1]) if before else None
