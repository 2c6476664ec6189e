"""What gates rest on beside the facts: tables of predictions, repeats of runs, the baseline."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from mlbench.domain.errors import UsageError
from mlbench.domain.expression import names_in
from mlbench.domain.release import Candidate
from mlbench.domain.runs import Run
from mlbench.domain.slices import parse_gate
from mlbench.domain.stages import ModelSpec
from mlbench.release.gates import OWN, Evidence
from mlbench.release.leeway import METRICS, Scatter
from mlbench.release.registry import Registry
from mlbench.system.content import FOLDER_MARK, ContentStore
from mlbench.tracking.noise import newest_equal_runs, noise_of, repeats_of
from mlbench.tracking.query import resolve
from mlbench.tracking.store import ExperimentStore

if TYPE_CHECKING:
    from mlbench.release.slices import Predictions

Live = Mapping[str, tuple[Run, Candidate]]
BASELINE = "baseline"


def baseline_of(model: ModelSpec, store: ExperimentStore) -> Run | None:
    """The run that is the baseline, where a gate names it and there is one."""
    names = (name for gate in model.gates for name in names_in(parse_gate(gate.check)))
    if not any(name.startswith(f"{BASELINE}.") for name in names):
        return None
    try:
        return store.get(resolve(f"@{BASELINE}", store.newest()).id)
    except UsageError:
        return None


def evidence_of(
    model: ModelSpec,
    run: Run,
    candidate: Candidate | None,
    live: Live,
    *,
    baseline: Run | None,
    store: ExperimentStore,
    cache: ContentStore,
    registry: Registry,
    lost: Mapping[str, str] = MappingProxyType({}),
) -> Evidence:
    """What a model's gates may ask for beside the facts; nothing is read before one does."""
    runs = {METRICS: run.id, **{root: of.id for root, (of, _) in live.items()}}
    if baseline is not None:
        runs[BASELINE] = baseline.id

    @functools.cache
    def scatter() -> Scatter:
        groups = newest_equal_runs(store.newest())
        repeats = {root: repeats_of(run_id, groups) for root, run_id in runs.items()}
        return Scatter(noise_of(groups), repeats)

    tables: dict[str, Callable[[], Predictions]] = {}
    subjects = {OWN: (run, candidate), **live}
    for root, (of, item) in subjects.items():
        path = _predictions_path(model, of, item, cache, registry)
        if path is not None:
            tables[root] = functools.partial(_read, path, model, of)
    return Evidence({root: functools.cache(read) for root, read in tables.items()}, scatter, lost)


def _predictions_path(
    model: ModelSpec, run: Run, candidate: Candidate | None, cache: ContentStore, registry: Registry
) -> Path | None:
    """The table that a run gave, in the cache or with its model; None where there is none."""
    if model.predictions is None:
        return None
    for record in run.stages.values():
        digest = record.outs.get(model.predictions, FOLDER_MARK)
        if not digest.startswith(FOLDER_MARK) and cache.has(digest):
            return cache.path_of(digest)
    return None if candidate is None else registry.predictions_of(candidate)


def _read(path: Path, model: ModelSpec, run: Run) -> Predictions:
    # Late: numpy takes long to import, and few gates compare slices.
    from mlbench.release.predictions import read_predictions

    shown = model.predictions or path.name
    form = path.suffix.lower() or Path(shown).suffix.lower()
    try:
        return read_predictions(path, shown, form)
    except UsageError as error:
        raise UsageError(f"run {run.name}: {error}") from None
