"""Beginning a study or going on with one: what it is written down as, and its coordinator."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mlbench.domain.clock import utc
from mlbench.domain.errors import SweepError, UsageError, nearest
from mlbench.domain.outcomes import TrialState
from mlbench.domain.phrases import plural
from mlbench.domain.records import dataclass
from mlbench.domain.spaces import doubts
from mlbench.domain.stages import Project, Stage
from mlbench.domain.sweeps import Progress, Study, Sweep
from mlbench.engine.machine import this_machine
from mlbench.engine.scheduling import refusal
from mlbench.engine.session import prepare_folder
from mlbench.engine.study_files import StudyFiles, all_studies
from mlbench.engine.sweeping.inputs import SweepInputs, inputs_of
from mlbench.engine.sweeping.spaces import comparable, moved_inputs, what_changed, why_none
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
    with locked(layout.studies.with_suffix(".lock")):
        return _gone_on_with(layout, project, sweep, restart=restart)


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
    if not files.trials():
        # It came to nothing, perhaps for what has been mended since.
        shutil.rmtree(files.folder)
        return _new(layout, project, sweep)
    changed = what_changed(study.sweep, replace(sweep, seeds=sweep.seeds or study.sweep.seeds))
    if changed:
        return _changed(layout, project, sweep, files, study, changed)
    study = replace(study, sweep=_with_limits(study.sweep, sweep))
    ended = sum(trial.state.has_ended for trial in files.trials().values())
    if files.progress().is_done and ended >= sweep.trials:
        raise SweepError(
            f"study {sweep.name} is done: all {plural(sweep.trials, 'trial')} have ended; "
            f"`--trials {2 * sweep.trials}` adds as many, --restart begins anew"
        )
    files.write_study(study)
    told = (f"{sweep.name} goes on behind {plural(ended, 'trial')}",) if ended else ()
    return _coordinated(layout, files, told)


def _new(layout: Layout, project: Project, sweep: Sweep, **more: Any) -> Begun:
    # Before anything is written: what no stage reads can't be swept.
    known = inputs_of(Workspace.open(layout), project, sweep)
    _refuse_what_finds_no_seat(sweep, known.stages)
    told = (*more.pop("told", ()), *doubts(sweep.space, known.params))
    study = Study(new_run_id(), sweep, utc(), **more)
    files = StudyFiles(layout, study.id)
    files.write_study(study)
    files.write_progress(Progress("preparing"))
    return _coordinated(layout, files, told)


def _refuse_what_finds_no_seat(sweep: Sweep, stages: Sequence[Stage]) -> None:
    """SweepError for a stage that would wait for ever for what this machine does not have."""
    machine = this_machine(with_gpus=any(stage.resources.gpu for stage in stages))
    for stage in stages:
        told = refusal(stage, machine)
        if told:
            raise SweepError(f"sweep {sweep.name}: stage {stage.name} {told}")


def _changed(
    layout: Layout,
    project: Project,
    sweep: Sweep,
    files: StudyFiles,
    study: Study,
    changed: tuple[str, ...],
) -> Begun:
    """Begin anew for a sweep that changed, with what of the study before is comparable."""
    now = inputs_of(Workspace.open(layout), project, sweep)
    taken: list[int] = []
    why_not: dict[str, int] = {}
    for trial in files.trials().values():
        if not trial.state.has_ended or not trial.values:
            continue
        if trial.state is TrialState.PRUNED and study.sweep.watched != sweep.watched:
            continue
        fits, reason = _fits(trial.params, study, sweep, now)
        if fits:
            taken.append(trial.number)
        else:
            why_not[reason] = why_not.get(reason, 0) + 1
    told = (
        f"{sweep.name} changed: {'; '.join(changed)}",
        f"a new study begins, in which {plural(len(taken), 'trial')} of the one before count",
        *(f"{plural(count, 'trial')} not: {reason}" for reason, count in why_not.items()),
    )
    return _new(layout, project, sweep, before=files.id, taken=tuple(taken), told=told)


def _fits(
    params: Mapping[str, Any], study: Study, sweep: Sweep, now: SweepInputs
) -> tuple[bool, str]:
    none = why_none(study.sweep, sweep)
    moved = moved_inputs(study, sweep, now.others)
    if none or moved:
        return False, none or f"{moved[0]} changed since"
    return comparable({**study.base, **params}, study.sweep, sweep, now.params)


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
