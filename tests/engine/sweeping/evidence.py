"""What a study has left on disk, by everyone's own account; and where the accounts disagree."""

from __future__ import annotations

import contextlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from mlbench.domain.outcomes import RunOutcome, TrialState
from mlbench.domain.runs import Run
from mlbench.domain.sweeps import Progress, Study, Trial
from mlbench.engine.study_files import StudyFiles
from mlbench.project.layout import Layout
from mlbench.tracking.store import ExperimentStore
from tests.support import run_cli

Worth = Callable[[Mapping[str, Any]], tuple[float, ...]]
_IN_OPTUNA = {
    TrialState.WAITING: OptunaState.WAITING,
    TrialState.RUNNING: OptunaState.RUNNING,
    TrialState.COMPLETE: OptunaState.COMPLETE,
    TrialState.PRUNED: OptunaState.PRUNED,
    TrialState.FAILED: OptunaState.FAIL,
    TrialState.LOST: OptunaState.FAIL,
}


@dataclass(frozen=True)
class Evidence:
    """The board, Optuna's own journal as Optuna reads it, the store, the command line, and the
    processes that live; `prepared` says how often the stage ran that all trials share."""

    study: Study
    progress: Progress
    board: Mapping[int, Trial]
    optuna: Mapping[int, FrozenTrial]
    runs: tuple[Run, ...]
    listed: tuple[str, ...]
    prepared: int
    left: tuple[str, ...] = ()


def gather(files: StudyFiles, root: Path, count: Path) -> Evidence:
    """Everything there is of one study."""
    study = files.study()
    assert study is not None
    store = ExperimentStore(Layout(root))
    done = run_cli(root, "runs", "--study", study.id, "--all", "--json")
    assert done.returncode == 0, done.stderr
    return Evidence(
        study,
        files.progress(),
        files.trials(),
        optuna_trials(files),
        tuple(run for run in store.runs() if run.study == study.id),
        tuple(run["id"] for run in json.loads(done.stdout)),
        len(count.read_text().splitlines()),
        tuple(stages_of(root)),
    )


def optuna_trials(files: StudyFiles) -> dict[int, FrozenTrial]:
    """The trials as Optuna itself reads them, without anything of mlbench."""
    logging.getLogger("optuna").setLevel(logging.ERROR)
    storage = JournalStorage(JournalFileBackend(str(files.journal)))
    study = optuna.load_study(study_name=None, storage=storage)
    return {trial.number: trial for trial in study.get_trials()}


def stages_of(root: Path) -> list[str]:
    """The command lines of what lives of a project's stages."""
    mark = f"MLBENCH_STAGE_DIR={root}/".encode()
    return [" ".join(words) for folder, words in _commands() if mark in _read(folder / "environ")]


def coordinators_of(root: Path) -> list[str]:
    """The command lines of a project's coordinators that live."""
    return [
        " ".join(words)
        for _, words in _commands()
        if "mlbench.engine.sweeping" in words and str(root) in words
    ]


def _commands() -> Iterator[tuple[Path, list[str]]]:
    for folder in Path("/proc").glob("[0-9]*"):
        yield folder, _read(folder / "cmdline").decode(errors="replace").split("\0")


def _read(path: Path) -> bytes:
    with contextlib.suppress(OSError):
        return path.read_bytes()
    return b""


def faults(found: Evidence, wanted: int, worth: Worth) -> list[str]:
    """Everything that is wrong with a study that is to have ended with so many trials; pure."""
    return [
        *_of_the_end(found, wanted),
        *_of_values(found, worth),
        *_of_lost_ones(found),
        *_of_runs(found),
        *_of_optuna(found),
    ]


def _of_the_end(found: Evidence, wanted: int) -> Iterator[str]:
    ended = sum(trial.state.has_ended for trial in found.board.values())
    if ended != wanted:
        yield f"{ended} trials have ended, not {wanted}"
    if found.progress.phase != "ended" or not found.progress.is_done:
        yield f"its coordinator says: {found.progress}"
    if found.prepared != 1:
        yield f"what no trial touches ran {found.prepared} times"
    yield from (f"still there: {words}" for words in found.left)
    for trial in found.board.values():
        if trial.state in (TrialState.RUNNING, TrialState.WAITING):
            yield f"trial {trial.number} is {trial.state.word}"
        if trial.state in (TrialState.FAILED, TrialState.LOST) and not trial.reason:
            yield f"trial {trial.number} does not say why it is {trial.state.word}"


def _of_values(found: Evidence, worth: Worth) -> Iterator[str]:
    for trial in found.board.values():
        if trial.state is TrialState.COMPLETE and trial.values != worth(trial.params):
            yield f"trial {trial.number} is worth {worth(trial.params)}, not {trial.values}"


def _of_lost_ones(found: Evidence) -> Iterator[str]:
    """Each is tried again, and never by two that count."""
    for lost in found.board.values():
        if lost.state is TrialState.LOST and not any(
            trial.params == lost.params and trial.number > lost.number
            for trial in found.board.values()
        ):
            yield f"trial {lost.number} was lost and never tried again"
    tried = Counter(
        json.dumps(dict(trial.params), sort_keys=True)
        for trial in found.board.values()
        if trial.state.has_ended
    )
    yield from (f"{count} trials count with {key}" for key, count in tried.items() if count > 1)


def _of_runs(found: Evidence) -> Iterator[str]:
    """Each finished trial has its runs on record, once; of no other trial all runs passed."""
    on_record = Counter(run.id for run in found.runs)
    yield from (f"run {run} is on record {n} times" for run, n in on_record.items() if n > 1)
    of_trials = {run.id for run in found.runs if run.trial is not None}
    if strange := {*found.listed} - {*on_record}:
        yield f"`mlbench runs --study` lists what is not on record: {strange}"
    if missing := of_trials - {*found.listed}:
        yield f"`mlbench runs --study` does not list {missing}"
    claimed = Counter(run for trial in found.board.values() for run in trial.runs)
    yield from (f"run {run} is of {n} trials" for run, n in claimed.items() if n > 1)
    for run in found.runs:
        trial = None if run.trial is None else found.board.get(run.trial)
        if run.trial is None:
            continue
        if trial is None:
            yield f"run {run.id} is of trial {run.trial}, which is not there"
    passed = Counter(run.trial for run in found.runs if run.outcome is RunOutcome.PASSED)
    for number, trial in found.board.items():
        if passed[number] >= found.study.sweep.repeats and trial.state is not TrialState.COMPLETE:
            yield f"{passed[number]} runs of trial {number} passed, and it is {trial.state.word}"
    known = {run.id: run for run in found.runs}
    for trial in found.board.values():
        if trial.state is TrialState.COMPLETE:
            yield from _of_runs_of(trial, known, found.study.sweep.repeats)


def _of_runs_of(trial: Trial, known: Mapping[str, Run], repeats: int) -> Iterator[str]:
    if len(trial.runs) != repeats:
        yield f"trial {trial.number} has {len(trial.runs)} runs"
    for name in trial.runs:
        run = known.get(name)
        if run is None or (run.trial, run.outcome) != (trial.number, RunOutcome.PASSED):
            yield f"trial {trial.number} has run {name}, which is on record as {run}"
        elif {key: run.params.get(key) for key in trial.params} != dict(trial.params):
            yield f"trial {trial.number} has run {name}, which had other parameters"


def _of_optuna(found: Evidence) -> Iterator[str]:
    """Optuna's own journal says the same as the board."""
    if set(found.optuna) != set(found.board):
        yield f"only Optuna or only the board has {sorted(set(found.optuna) ^ set(found.board))}"
        return
    for number, frozen in found.optuna.items():
        trial = found.board[number]
        if frozen.state is not _IN_OPTUNA[trial.state]:
            yield f"trial {number} is {trial.state.word}, for Optuna {frozen.state.name}"
        if frozen.params and frozen.params != dict(trial.params):
            yield f"trial {number} has {trial.params}, for Optuna {frozen.params}"
        if trial.state is TrialState.COMPLETE and tuple(frozen.values or ()) != trial.values:
            yield f"trial {number} is worth {trial.values}, for Optuna {frozen.values}"
