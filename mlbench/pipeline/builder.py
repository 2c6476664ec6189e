"""Making one stage up to date: look, set aside, run, look again, keep or put back."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlbench.domain.errors import MlbenchError, ProjectFileError
from mlbench.domain.outcomes import ReasonKind, StageOutcome, StageState
from mlbench.domain.plan import Reason, StageStatus
from mlbench.domain.runs import TestCounts
from mlbench.domain.stages import Project, Stage
from mlbench.pipeline.bytecode import drop_stale_bytecode
from mlbench.pipeline.environment import stage_environment
from mlbench.pipeline.fingerprint import Fingerprint, moved_since, params_in
from mlbench.pipeline.results import failed_tests, read_metrics, read_tests
from mlbench.pipeline.traces import Trace
from mlbench.pipeline.workspace import Workspace
from mlbench.system.processes import StageExit, SupervisedStage

_LOOKS = 5
_ERROR_LINE = re.compile(rb"^(?:\w+\.)*\w*(?:Error|Exception|Interrupt|Exit)\b.*", re.MULTILINE)
_TAIL_BYTES = 8192


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What became of one stage; `trace` is what its outs now stand for, where they stand.

    `params` are the parameters of its fingerprint, with the values that it ran with.
    """

    stage: str
    outcome: StageOutcome
    seconds: float
    reasons: tuple[Reason, ...] = ()
    message: str = ""
    key: str | None = None
    trace: Trace | None = None
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def metrics(self) -> Mapping[str, float]:
        """The stage's metrics, its own or those that stand."""
        return self.trace.metrics if self.trace else {}

    @property
    def tests(self) -> TestCounts | None:
        """The stage's test results, its own or those that stand."""
        return self.trace.tests if self.trace else None


class Build:
    """One stage on its way; `stop` may come from another thread at any moment."""

    def __init__(
        self,
        workspace: Workspace,
        project: Project,
        stage: Stage,
        *,
        run: str,
        folder: Path,
        force: bool,
        on_start: Callable[[tuple[Reason, ...]], None],
        logged: Callable[[Path], Mapping[str, float]],
    ) -> None:
        """`on_start` is called when a command starts; `logged` reads the last logged values."""
        self._workspace = workspace
        self._project = project
        self._stage = stage
        self._run = run
        self._folder = folder
        self._force = force
        self._on_start = on_start
        self._logged = logged
        self._lock = threading.Lock()
        self._stopping: StageOutcome | None = None
        self._running: SupervisedStage | None = None
        self._fingerprint: Fingerprint | None = None
        self._started_at = 0.0

    def stop(self, outcome: StageOutcome = StageOutcome.CANCELLED) -> None:
        """Stop the stage; it then counts as cancelled, or as overtaken by an edit."""
        with self._lock:
            self._stopping = self._stopping or outcome
            if self._running is not None:
                self._running.stop()

    def overtaken_by(self) -> str | None:
        """The input that was edited since the command started, if one was."""
        with self._lock:
            if self._running is None or self._fingerprint is None:
                return None
            fingerprint = self._fingerprint
        return self._moved(fingerprint)

    @property
    def running_seconds(self) -> float:
        """How long the command has been running."""
        return time.monotonic() - self._started_at if self._started_at else 0.0

    def run(self) -> BuildResult:
        """Make the stage up to date and say what became of it; raises nothing a user can cause."""
        started = time.monotonic()
        try:
            return self._build()
        except MlbenchError as error:
            return self._result(StageOutcome.FAILED, started, message=str(error))
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            return self._result(
                StageOutcome.FAILED, started, message=f"{where}{error.strerror or error}"
            )

    def _build(self) -> BuildResult:
        started = time.monotonic()
        space = self._workspace
        fingerprint = space.fingerprint(self._stage, self._project)
        status = space.status(self._stage, fingerprint)
        hit = space.traces.under(self._stage.name, fingerprint.key)
        reasons = status.reasons
        if self._force:
            reasons = (Reason(ReasonKind.FORCED, self._stage.name, "was asked for"), *reasons)
        elif status.state is StageState.FRESH:
            standing = hit or space.traces.newest(self._stage.name)
            if hit is not None:
                space.traces.touch(hit)
            return self._result(StageOutcome.UNCHANGED, started, fingerprint, trace=standing)
        elif hit is not None and self._restorable(status, hit):
            space.outs.restore(self._stage, hit.outs)
            space.traces.touch(hit)
            return self._result(StageOutcome.RESTORED, started, fingerprint, reasons, trace=hit)
        return self._execute(started, fingerprint, reasons)

    def _restorable(self, status: StageStatus, hit: Trace) -> bool:
        only_outs = all(reason.kind is ReasonKind.OUTPUT for reason in status.reasons)
        return only_outs and self._workspace.outs.can_restore(self._stage, hit.outs)

    def _settled_fingerprint(self, fingerprint: Fingerprint) -> Fingerprint:
        """Look at every input once more: what changed since it was hashed is hashed again."""
        for _ in range(_LOOKS):
            if self._moved(fingerprint) is None:
                break
            fingerprint = self._workspace.fingerprint(self._stage, self._project)
        return fingerprint

    def _execute(
        self, started: float, fingerprint: Fingerprint, reasons: tuple[Reason, ...]
    ) -> BuildResult:
        space = self._workspace
        self._folder.mkdir(parents=True, exist_ok=True)
        space.outs.set_aside(self._stage, self._run)
        try:
            return self._execute_over_empty_outs(started, fingerprint, reasons)
        except BaseException:
            space.outs.put_back(self._stage)
            raise

    def _execute_over_empty_outs(
        self, started: float, fingerprint: Fingerprint, reasons: tuple[Reason, ...]
    ) -> BuildResult:
        space = self._workspace
        fingerprint = self._settled_fingerprint(fingerprint)
        drop_stale_bytecode(space.root, fingerprint.chains)
        ending = self._supervise(fingerprint, reasons)
        if ending is None:
            space.outs.put_back(self._stage)
            return self._result(self._stopping or StageOutcome.CANCELLED, started, fingerprint)
        outcome, message = self._judge_ending(ending, fingerprint)
        if outcome is not StageOutcome.RAN:
            space.outs.put_back(self._stage, self._folder / "outs")
            return self._result(outcome, started, fingerprint, reasons, message)
        return self._keep(started, fingerprint, reasons)

    def _supervise(self, fingerprint: Fingerprint, reasons: tuple[Reason, ...]) -> StageExit | None:
        """Run the commands to their end; None where the stage was stopped before they began."""
        with self._lock:
            if self._stopping is not None:
                return None
            self._fingerprint = fingerprint
            self._on_start(reasons)
            self._started_at = time.monotonic()
            self._running = running = SupervisedStage(
                self._stage.commands,
                cwd=self._workspace.root / self._stage.wdir,
                env=stage_environment(
                    self._project, self._stage, self._folder, self._run, os.environ
                ),
                folder=self._folder,
                lock=self._workspace.outs.lock(self._stage),
                timeout=self._stage.timeout,
            )
        return running.wait()

    def _judge_ending(
        self, ending: StageExit, fingerprint: Fingerprint
    ) -> tuple[StageOutcome, str]:
        moved = self._moved(fingerprint)
        if moved is not None:
            return StageOutcome.OVERTAKEN, f"{moved} changed while it ran"
        if self._stopping is not None:
            return self._stopping, "was stopped"
        if ending.timed_out:
            return StageOutcome.FAILED, f"took longer than its timeout of {self._stage.timeout:g} s"
        if not ending.succeeded:
            return StageOutcome.FAILED, self._why_failed(ending)
        missing = [
            out for out in self._stage.out_paths if not (self._workspace.root / out).exists()
        ]
        if missing:
            return StageOutcome.FAILED, f'ended well but did not write its out "{missing[0]}"'
        return StageOutcome.RAN, ""

    def _why_failed(self, ending: StageExit) -> str:
        tests = failed_tests(self._folder)
        if tests:
            more = f" and {len(tests) - 1} more" if len(tests) > 1 else ""
            return f"{tests[0]} failed{more}"
        wdir = self._workspace.root / self._stage.wdir
        if not wdir.is_dir():
            return f"{self._stage.wdir}: there is no such folder; it is the stage's wdir"
        if ending.code == 127:
            return f"command not found: {ending.command}; is it installed, and on the PATH?"
        how = f"signal {-ending.code}" if ending.code < 0 else f"exit status {ending.code}"
        last = _last_error(self._folder / "log")
        return f"{ending.command}: {how}{f': {last}' if last else ''}"

    def _keep(
        self, started: float, fingerprint: Fingerprint, reasons: tuple[Reason, ...]
    ) -> BuildResult:
        space = self._workspace
        try:
            metrics = {**self._logged(self._folder), **read_metrics(space.root, self._stage)}
        except ProjectFileError as error:
            space.outs.put_back(self._stage, self._folder / "outs")
            return self._result(StageOutcome.FAILED, started, fingerprint, reasons, str(error))
        outs = {path: digest or "" for path, digest in space.outs.now(self._stage).items()}
        space.outs.keep(self._stage, outs)
        seconds = time.monotonic() - started
        trace = Trace(
            stage=self._stage.name,
            key=fingerprint.key,
            parts=fingerprint.parts,
            outs=outs,
            run=self._run,
            seconds=seconds,
            metrics=metrics,
            tests=read_tests(self._folder) if self._stage.is_test else None,
        )
        space.traces.add(trace)
        space.outs.forget_aside(self._stage)
        return self._result(StageOutcome.RAN, started, fingerprint, reasons, trace=trace)

    def _moved(self, fingerprint: Fingerprint) -> str | None:
        """The input that moved under the stage: a file by its stat, a parameter by its value."""
        moved = moved_since(self._workspace.root, fingerprint)
        if moved is not None:
            return moved
        try:
            now = self._workspace.fingerprint(self._stage, self._project)
        except ProjectFileError as error:
            return error.file
        changed = [
            name for name, value in fingerprint.parts.items() if now.parts.get(name) != value
        ]
        return changed[0].partition(":")[2] if changed else None

    def _result(
        self,
        outcome: StageOutcome,
        started: float,
        fingerprint: Fingerprint | None = None,
        reasons: tuple[Reason, ...] = (),
        message: str = "",
        trace: Trace | None = None,
    ) -> BuildResult:
        key = fingerprint.key if fingerprint else None
        seconds = time.monotonic() - started
        params = params_in(fingerprint.parts) if fingerprint else {}
        return BuildResult(self._stage.name, outcome, seconds, reasons, message, key, trace, params)


def _last_error(log: Path) -> str:
    """The last line of a log's end that looks like an exception, else its last line at all."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            tail = file.read()
    except OSError:
        return ""
    errors = _ERROR_LINE.findall(tail)
    lines = [line for line in tail.splitlines() if line.strip()]
    found = errors[-1] if errors else lines[-1] if lines else b""
    return str(found.decode(errors="replace").strip())
