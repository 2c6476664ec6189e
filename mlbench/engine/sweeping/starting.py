"""Beginning a study or going on with one: what it is written down as, and its coordinator."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from mlbench.domain.clock import utc
from mlbench.domain.errors import SweepError, UsageError, nearest
from mlbench.domain.outcomes import TrialState
from mlbench.domain.phrases import plural
from mlbench.domain.records import dataclass
from mlbench.domain.spaces import doubts
from mlbench.domain.stages import Project, Stage
from mlbench.domain.sweeps import EnqueueTrial, KnownTrial, Progress, Study, Sweep, Trial
from mlbench.engine.machine import this_machine
from mlbench.engine.scheduling import refusal
from mlbench.engine.session import prepare_folder
from mlbench.engine.study_files import StudyFiles, all_studies
from mlbench.engine.sweeping.carried_over import (
    asked_for,
    has_own,
    known_trials,
    that_count,
    that_still_fit,
)
from mlbench.engine.sweeping.inputs import SweepInputs, inputs_of
from mlbench.engine.sweeping.spaces import what_changed
from mlbench.inside.identity import new_run_id
from mlbench.pipeline.workspace import Workspace
from mlbench.project.layout import Layout
from mlbench.serving.python_path import variables
from mlbench.system.files import writable
from mlbench.system.locks import locked

_START_SECONDS = 20.0
_LOOK_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Begun:
    """A study with its coordinator at work, and what to say of it, one sentence each."""

    files: StudyFiles
    told: tuple[str, ...] = ()


def configured_sweep(project: Project, name: str) -> Sweep:
    """The sweep of this name; UsageError where mlbench.toml has none."""
    for sweep in project.sweeps:
        if sweep.name == name:
            return sweep
    known = [sweep.name for sweep in project.sweeps]
    there = f"; there is {', '.join(known)}" if known else "; mlbench.toml has no [sweeps.NAME]"
    raise UsageError(f'there is no sweep "{name}"{nearest(name, known) or there}')


def begin(
    layout: Layout,
    project: Project,
    sweep: Sweep,
    *,
    restart: bool = False,
    trials: int | None = None,
    jobs: int | None = None,
) -> Begun:
    """Go on with the newest study of a sweep, or begin one, and have its coordinator at work.

    A study goes on with the code that it began with; where the sweep's space changed, a new one
    begins and takes over what is comparable. `trials` and `jobs` stand in for the sweep's own.
    SweepError where it can't be, or where the last one is done; ProjectFileError for the files.
    """
    sweep = replace(sweep, trials=trials or sweep.trials, jobs=jobs or sweep.jobs)
    with writable(layout.root):
        prepare_folder(layout)
        # Whoever begins the same at the same moment then finds it begun.
        with _beginning(layout):
            return _gone_on_with(layout, project, sweep, restart=restart)


def enqueue(layout: Layout, study_id: str, params: Mapping[str, Any]) -> None:
    """Have values tried next in a study, now or when it is gone on with.

    UsageError for one that is gone on with no more, as a newer one of its sweep is there.
    """
    with writable(layout.root), _beginning(layout):
        files = StudyFiles(layout, study_id)
        study = files.study()
        last = _newest(layout, study.name) if study is not None else None
        if last is None or last[0].id != study_id:
            raise UsageError(f"study {study_id} has made way for a newer one: ask that for it")
        files.send(EnqueueTrial(params))


def _beginning(layout: Layout) -> AbstractContextManager[object]:
    return locked(layout.studies.with_suffix(".lock"))


def _gone_on_with(layout: Layout, project: Project, sweep: Sweep, *, restart: bool) -> Begun:
    last = _newest(layout, sweep.name)
    if last is None or restart:
        if last is not None and last[0].is_running:
            raise SweepError(
                f"study {sweep.name} is running; stop it first: `mlbench sweep {sweep.name} --stop`"
            )
        return _new(layout, project, sweep)
    files, study = last
    if files.is_running:
        return Begun(files, (f"{sweep.name} is running already; following it",))
    changed = what_changed(study.sweep, replace(sweep, seeds=sweep.seeds or study.sweep.seeds))
    board = files.trials().values()
    ended = sum(trial.state.has_ended for trial in board)
    if changed or not any(map(_is_own, board)):
        known = known_trials(files, study)
        if changed or (not has_own(known) and _came_to_nothing(files)):
            return _anew(layout, project, sweep, files, study, known, changed)
        goes_on_behind = sum(trial.state.has_ended for trial in known)
    else:
        goes_on_behind = ended
    study = replace(study, sweep=_with_limits(study.sweep, sweep))
    # By the board: where that has lost trials, a coordinator makes it anew.
    if files.progress().is_done and ended >= sweep.trials:
        raise SweepError(
            f"study {sweep.name} is done: all {plural(sweep.trials, 'trial')} have ended; "
            f"`--trials {2 * sweep.trials}` adds as many, --restart begins anew"
        )
    files.write_study(study)
    behind = f"{sweep.name} goes on behind {plural(goes_on_behind, 'trial')}"
    return _coordinated(layout, files, (behind,) if goes_on_behind else ())


def _anew(
    layout: Layout,
    project: Project,
    sweep: Sweep,
    files: StudyFiles,
    study: Study,
    known: tuple[KnownTrial, ...],
    changed: tuple[str, ...],
) -> Begun:
    """Begin anew behind a study, with what of it counts and what was asked for in it.

    One in which no trial ran makes way: it came to nothing, perhaps for what has been mended since.
    """
    before, of_before, trials = files, study, known
    if not has_own(known) and study.before:
        # What it took is judged again by what it was taken from.
        taken_from = StudyFiles(layout, study.before)
        of_taken_from = taken_from.study()
        if of_taken_from is not None:
            before, of_before = taken_from, of_taken_from
            trials = known_trials(before, of_before)
    ended = [trial for trial in trials if trial.state.has_ended]
    now = inputs_of(Workspace.open(layout), project, sweep)
    taken, of_taken = that_count(ended, of_before, sweep, now) if ended else ((), ())
    asked, of_asked = that_still_fit(asked_for(files, known), sweep)
    of_change = (f"{sweep.name} changed: {'; '.join(changed)}",) if changed else ()
    begun = Study(new_run_id(), sweep, utc(), before=before.id if ended else "", taken=taken)
    makes_way = files if not has_own(known) and begun.before != files.id else None
    told = (*of_change, *of_taken, *of_asked)
    return _begun(layout, begun, now, told, asked=asked, instead_of=makes_way)


def _new(layout: Layout, project: Project, sweep: Sweep) -> Begun:
    now = inputs_of(Workspace.open(layout), project, sweep)
    return _begun(layout, Study(new_run_id(), sweep, utc()), now, ())


def _begun(
    layout: Layout,
    study: Study,
    now: SweepInputs,
    told: tuple[str, ...],
    *,
    asked: Sequence[Mapping[str, Any]] = (),
    instead_of: StudyFiles | None = None,
) -> Begun:
    """Have a new study on disk, and its coordinator at work; nothing where it can't be tried."""
    # Late: most who go on with a study never ask Optuna.
    from mlbench.sweeps.checking import check

    _refuse_what_finds_no_seat(study.sweep, now.stages)
    check(study.sweep)
    files = StudyFiles(layout, study.id)
    for params in asked:
        files.send(EnqueueTrial(params))
    # From here on it is there, with all that it has from the one before.
    files.write_study(study)
    if instead_of is not None:
        shutil.rmtree(instead_of.folder)
    return _coordinated(layout, files, (*told, *doubts(study.sweep.space, now.params)))


def _is_own(trial: Trial) -> bool:
    """Whether a trial of the board has begun in its study, rather than in the one before."""
    return not trial.from_study and trial.state is not TrialState.WAITING


def _came_to_nothing(files: StudyFiles) -> bool:
    """Whether its coordinator ended for another reason than that there is no more to do."""
    progress = files.progress()
    return progress.phase == "ended" and not progress.is_done


def _refuse_what_finds_no_seat(sweep: Sweep, stages: Sequence[Stage]) -> None:
    """SweepError for a stage that would wait for ever for what this machine does not have."""
    machine = this_machine(with_gpus=any(stage.resources.gpu for stage in stages))
    for stage in stages:
        told = refusal(stage, machine)
        if told:
            raise SweepError(f"sweep {sweep.name}: stage {stage.name} {told}")


def _with_limits(study: Sweep, sweep: Sweep) -> Sweep:
    """The sweep that a study began with, and the limits of today."""
    return replace(
        study,
        trials=sweep.trials,
        jobs=sweep.jobs,
        timeout=sweep.timeout,
        patience=sweep.patience,
    )


def _newest(layout: Layout, name: str) -> tuple[StudyFiles, Study] | None:
    for files in all_studies(layout):
        study = files.study()
        if study is not None and study.name == name:
            return files, study
    return None


def _coordinated(layout: Layout, files: StudyFiles, told: tuple[str, ...]) -> Begun:
    """Start the coordinator and wait until it has the study; SweepError where it does not."""
    files.write_progress(Progress("preparing"))
    files.forget_stops()
    command = (sys.executable, "-P", "-m", "mlbench.engine.sweeping", str(layout.root), files.id)
    with files.log.open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=layout.root,
            env=variables(),
            start_new_session=True,
        )
    deadline = time.monotonic() + _START_SECONDS
    try:
        while time.monotonic() < deadline:
            if files.is_running or files.progress().phase != "preparing":
                return Begun(files, told)
            if process.poll() is not None:
                break
            time.sleep(_LOOK_SECONDS)
    except KeyboardInterrupt:
        # Nobody would follow it, or know that it runs.
        process.terminate()
        raise
    raise SweepError(f"{sweep_name(files)}: its coordinator did not start; {files.log} says why")


def sweep_name(files: StudyFiles) -> str:
    """What people call a study."""
    study = files.study()
    return study.name if study is not None else files.id
