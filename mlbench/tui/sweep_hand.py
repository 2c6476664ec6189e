"""What is done about sweeps, one after the other in a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mlbench.domain.errors import MlbenchError, UsageError
from mlbench.domain.records import dataclass
from mlbench.domain.runs import Run
from mlbench.domain.sweeps import EnqueueTrial, StopSweep, Study, Sweep, SweepCommand, Trial
from mlbench.tui.reading import queries_of

if TYPE_CHECKING:
    from mlbench.engine.queries import Queries
    from mlbench.engine.study_files import StudyFiles

_STOP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Begin:
    """A sweep to start, to go on with, or to start anew."""

    sweep: Sweep
    restart: bool = False


@dataclass(frozen=True, slots=True)
class BeginOnTheSpot:
    """A sweep that stands in no file: its stage, what to try, which way is better, how often."""

    stage: str
    over: tuple[str, ...]
    objectives: tuple[str, ...]
    trials: int
    jobs: int | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """A command for a study's coordinator, and what to say once it was handed over."""

    study: str
    command: SweepCommand
    said: str


@dataclass(frozen=True, slots=True)
class Preview:
    """Which trial's parameters might go into the params file."""

    study: str
    number: int


@dataclass(frozen=True, slots=True)
class Previewed:
    """The difference that it would make, as a unified diff; empty where there is none."""

    question: Preview
    diff: str = ""


@dataclass(frozen=True, slots=True)
class Apply:
    """The trial whose parameters go into the params file."""

    study: str
    number: int


@dataclass(frozen=True, slots=True)
class WriteHtml:
    """The study whose figures are to be written as HTML, and the folder for them."""

    study: str
    folder: Path


@dataclass(frozen=True, slots=True)
class ShowRun:
    """The run that somebody wants to see in full."""

    run: str


@dataclass(frozen=True, slots=True)
class FoundRun:
    """That run."""

    run: Run


@dataclass(frozen=True, slots=True)
class SweepDone:
    """What came of it in one sentence; `sweep` is the one that was to begin."""

    message: str
    sweep: str = ""
    is_refused: bool = False


SweepDeed = Begin | BeginOnTheSpot | Order | Preview | Apply | WriteHtml | ShowRun
_SLOW = (Begin, BeginOnTheSpot, WriteHtml)
SweepAnswer = SweepDone | Previewed | FoundRun


class SweepHand:
    """Carries out what was asked for in its order; none is dropped, for each is somebody's word."""

    def __init__(self, folder: Path, deliver: Callable[[SweepAnswer], object]) -> None:
        """Name the project; the thread starts with the first deed."""
        self._folder, self._deliver = folder, deliver
        self._deeds: queue.SimpleQueue[SweepDeed | None] = queue.SimpleQueue()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def do(self, deed: SweepDeed) -> None:
        """Carry this out after what waits already; what takes long keeps nothing waiting."""
        if isinstance(deed, _SLOW):
            threading.Thread(target=self._carry_out, args=(deed,), daemon=True).start()
            return
        self._deeds.put(deed)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="sweeps", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Let the thread end; what waits for a sweep to stop waits no more."""
        self._ending.set()
        self._deeds.put(None)

    def _work(self) -> None:
        while (deed := self._deeds.get()) is not None:
            self._carry_out(deed)

    def _carry_out(self, deed: SweepDeed) -> None:
        name = deed.sweep.name if isinstance(deed, Begin) else ""
        try:
            answer = self._done(queries_of(self._folder), deed)
        except (MlbenchError, OSError) as error:
            answer = SweepDone(str(error), name, is_refused=True)
        except Exception as error:
            answer = SweepDone(f"it could not be done: {error!r}", name, is_refused=True)
        if not self._ending.is_set():
            self._deliver(answer)

    def _done(self, queries: Queries, deed: SweepDeed) -> SweepAnswer:
        match deed:
            case Begin(sweep, restart):
                return self._begin(queries, sweep, restart=restart)
            case BeginOnTheSpot():
                return self._begin(queries, _made(queries, deed), restart=False)
            case Order(study, EnqueueTrial(params), said):
                from mlbench.engine.sweeping.starting import enqueue

                enqueue(queries.layout, study, params)
                return SweepDone(said)
            case Order(study, command, said):
                _files(queries, study).send(command)
                return SweepDone(said)
            case Preview(study, number):
                from mlbench.engine.sweeping.applying import preview

                return Previewed(deed, preview(queries.layout, *_trial(queries, study, number)))
            case Apply(study, number):
                from mlbench.engine.sweeping.applying import apply

                told = apply(queries.layout, *_trial(queries, study, number))
                where = " and ".join(told)
                said = f"the parameters of trial {number} are in {where}"
                return SweepDone(said if told else f"nothing to write: trial {number} stands there")
            case WriteHtml(study, folder):
                return SweepDone(_write_html(queries, study, folder))
            case ShowRun(run):
                return FoundRun(queries.run(run))

    def _begin(self, queries: Queries, sweep: Sweep, *, restart: bool) -> SweepDone:
        from mlbench.engine.sweeping.starting import begin

        if restart:
            self._stop(queries, sweep.name)
        begun = begin(queries.layout, queries.project(), sweep, restart=restart)
        said = "; ".join(begun.told) or f"{sweep.name} is under way"
        return SweepDone(said, sweep.name)

    def _stop(self, queries: Queries, name: str) -> None:
        """Stop what runs of this sweep, and wait until its coordinator is gone."""
        from mlbench.engine.study_files import all_studies

        for files in all_studies(queries.layout):
            study = files.study()
            if study is None or study.name != name or not files.is_running:
                continue
            files.send(StopSweep(at_once=True))
            waited = 0.0
            while files.is_running and waited < _STOP_SECONDS and not self._ending.wait(0.1):
                waited += 0.1
            if files.is_running:
                raise UsageError(f"{name} does not stop: wait until its trials have ended")


def _made(queries: Queries, deed: BeginOnTheSpot) -> Sweep:
    from mlbench.engine.sweeping.on_the_spot import sweep_on_the_spot

    return sweep_on_the_spot(
        queries.project(),
        stage=deed.stage,
        over=deed.over,
        objectives=deed.objectives,
        trials=deed.trials,
        jobs=deed.jobs,
    )


def _write_html(queries: Queries, study_id: str, folder: Path) -> str:
    from mlbench.engine.sweeping.analysis import write_html

    files = _files(queries, study_id)
    study = files.study()
    if study is None:
        raise UsageError(f"study {study_id} is gone")
    written = write_html(files, study, folder)
    return f"{len(written)} figures are in {folder}"


def _files(queries: Queries, study: str) -> StudyFiles:
    from mlbench.engine.study_files import StudyFiles

    return StudyFiles(queries.layout, study)


def _trial(queries: Queries, study_id: str, number: int) -> tuple[Study, Trial]:
    files = _files(queries, study_id)
    study, trial = files.study(), files.trials().get(number)
    if study is None or trial is None:
        raise UsageError(f"trial {number} of study {study_id} is gone")
    return study, trial
