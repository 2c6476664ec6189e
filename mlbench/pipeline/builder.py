"""Making one stage up to date: look, set aside, run, look again, keep or put back."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from mlbench.domain.errors import MlbenchError, ProjectFileError
from mlbench.domain.outcomes import ReasonKind, StageOutcome, StageState
from mlbench.domain.plan import Reason
from mlbench.domain.runs import TestCounts
from mlbench.domain.stages import Project, Stage
from mlbench.pipeline.advice import advice
from mlbench.pipeline.bytecode import drop_stale_bytecode
from mlbench.pipeline.environment import snapshot_environment, stage_environment
from mlbench.pipeline.fingerprint import Fingerprint, identity, moved_since
from mlbench.pipeline.found import Found
from mlbench.pipeline.job import BuildResult, Job, with_cost
from mlbench.pipeline.launch import Launch, pause_until_later
from mlbench.pipeline.results import read_metrics, read_tests
from mlbench.pipeline.running import Running, Start, hide_secrets
from mlbench.pipeline.seen import scope_of
from mlbench.pipeline.taken_in import take_in_files
from mlbench.pipeline.traces import Trace
from mlbench.pipeline.verdict import Verdict, code_of, judge_ending, moved_known, ran_old_code
from mlbench.pipeline.workspace import Workspace
from mlbench.system.processes import StageExit

_LOOKS = 5
_MOST_PAUSES = 3


class _LeftError(Exception):
    """The stage goes on, and another process will see to its end."""


class Build:
    """One stage on its way; `stop` may come from another thread at any moment."""

    def __init__(
        self,
        workspace: Workspace,
        project: Project,
        stage: Stage,
        job: Job,
        *,
        on_start: Callable[[tuple[Reason, ...]], None],
        logged: Callable[[Path], Mapping[str, float]],
        on_kept: Callable[[Trace], None] = lambda _: None,
    ) -> None:
        """`on_start` is called when a command starts; `logged` reads the last logged values.

        `on_kept` is called when the outs are in the store, before the stage is done with: after a
        crash in between another process comes to it again.
        """
        self._workspace = workspace
        self._project = project
        self._stage = stage
        self._job = job
        self._on_start = on_start
        self._logged = logged
        self._on_kept = on_kept
        self._lock = threading.Lock()
        self._stopping: StageOutcome | None = None
        self._running: Running | None = None
        self._is_left = self._is_ending = False
        self._launch: Launch | None = None
        self._secrets: tuple[str, ...] = ()
        self._began = time.monotonic()

    @classmethod
    def adopt(
        cls,
        workspace: Workspace,
        project: Project,
        launch: Launch,
        *,
        logged: Callable[[Path], Mapping[str, float]],
        on_kept: Callable[[Trace], None] = lambda _: None,
    ) -> Build:
        """A build that another process began, as it was written down; `run` goes on with it."""
        build = cls(
            workspace,
            project,
            launch.stage,
            job := Job(launch.run, Path(launch.folder), gpus=launch.gpus, in_tree=launch.in_tree),
            on_start=lambda _: None,
            logged=logged,
            on_kept=on_kept,
        )
        build._launch = launch
        build._running = workspace.runner.adopt(launch.stage.name, job.folder)
        return build

    def stop(self, outcome: StageOutcome = StageOutcome.CANCELLED) -> None:
        """Stop the stage; it then counts as cancelled, or as overtaken by an edit."""
        with self._lock:
            self._stopping = self._stopping or outcome
            if self._running is not None:
                self._running.stop()

    def leave(self) -> bool:
        """Let the command go on without this process; False where there is none to leave.

        Then it is about to be judged, or does not begin any more.
        """
        with self._lock:
            if self._running is None:
                self._stopping = self._stopping or StageOutcome.CANCELLED
            elif not self._is_ending:
                self._is_left = True
            return self._is_left

    def overtaken_by(self) -> str | None:
        """The input that was edited since the command started, if one was."""
        with self._lock:
            launch = self._launch if self._running is not None else None
        return moved_known(self._workspace, self._project, launch) if launch is not None else None

    @property
    def launch(self) -> Launch | None:
        """What was written down when the command started."""
        return self._launch

    @property
    def running_seconds(self) -> float:
        """How long the command has been running, also before this process went on with it."""
        launch = self._launch
        return time.time() - launch.started if launch is not None else 0.0

    def run(self) -> BuildResult:
        """Make the stage up to date and say what became of it; raises nothing a user can cause."""
        try:
            if self._running is not None and self._launch is not None:
                return self._finish(self._launch, self._await(self._running))
            return self._build()
        except _LeftError:
            return self._result(StageOutcome.CANCELLED, message="goes on without this process")
        except MlbenchError as error:
            return self._result(StageOutcome.FAILED, message=str(error))
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            return self._result(StageOutcome.FAILED, message=f"{where}{error.strerror or error}")

    def _build(self) -> BuildResult:
        space = self._workspace
        for _ in range(_LOOKS):
            fingerprint = space.fingerprint(self._stage, self._project)
            key = f"{self._stage.name}:{fingerprint.key}"
            with space.building.holding(key, lambda: self._stopping is not None):
                # Another worktree may have made it meanwhile.
                space.traces.catch_up()
                result = self.attempt(fingerprint)
            if result is not None:
                return result
        return self._result(
            StageOutcome.OVERTAKEN, message="its inputs change faster than they can be read"
        )

    def attempt(self, fingerprint: Fingerprint) -> BuildResult | None:
        """What comes of this fingerprint; None where it is the tree's no more."""
        space = self._workspace
        if moved_since(space.tree, space.root, fingerprint.watched) is not None:
            return None
        standing = space.look(self._stage, fingerprint)
        status, hit = standing.status, standing.hit
        reasons = status.reasons
        if self._job.force:
            reasons = (Reason(ReasonKind.FORCED, self._stage.name, "was asked for"), *reasons)
        elif status.state is StageState.FRESH:
            if hit is not None and self._job.in_tree:
                space.traces.touch(hit)
            trace = hit or space.traces.newest(self._stage.name)
            return self._result(StageOutcome.UNCHANGED, fingerprint, trace=trace)
        elif hit is not None and self._is_restorable(reasons, hit):
            space.outs.restore(self._stage, hit.outs)
            if self._job.in_tree:
                space.traces.touch(hit)
            return self._result(StageOutcome.RESTORED, fingerprint, reasons, trace=hit)
        return self._execute(fingerprint, reasons)

    def _is_restorable(self, reasons: tuple[Reason, ...], hit: Trace) -> bool:
        only_outs = all(reason.kind is ReasonKind.OUTPUT for reason in reasons)
        can = hit.restorable and self._workspace.outs.can_restore(self._stage, hit.outs)
        return only_outs and can

    def _execute(self, fingerprint: Fingerprint, reasons: tuple[Reason, ...]) -> BuildResult | None:
        launch = self._prepare(fingerprint, reasons)
        space = self._workspace
        try:
            space.outs.set_aside(launch)
            drop_stale_bytecode(space.tree, space.root, code_of(launch))
            # What changed since it was hashed: the stage would run on other inputs than its key's.
            if moved_known(space, self._project, launch) is not None:
                space.outs.put_back(launch)
                return None
            ending = self._run_commands(launch)
            if ending is None:
                space.outs.put_back(launch)
                return self._result(self._stopping or StageOutcome.CANCELLED, fingerprint)
            return self._finish(launch, ending)
        except _LeftError:
            raise
        except BaseException:
            space.outs.put_back(launch)
            raise

    def _prepare(self, fingerprint: Fingerprint, reasons: tuple[Reason, ...]) -> Launch:
        """Write down what is about to happen, durably."""
        space, stage, job = self._workspace, self._stage, self._job
        latest = space.traces.latest(stage.name)
        found = latest.found if latest is not None else {}
        leftover = space.intents.get(stage.name)
        if leftover is not None:
            space.runner.stop_leftover(Path(leftover.folder))
            space.outs.put_back(leftover)
        space.outs.clear_aside(stage)
        # Before it is written down: an earlier ending in this folder would be taken for this one's.
        space.runner.make_ready(job.folder)
        settled = {*space.found.unsettled(found), *space.found.likely(stage)}
        launch = Launch(
            stage=stage,
            run=job.run,
            folder=str(job.folder),
            key=fingerprint.key,
            parts=fingerprint.parts,
            chains=fingerprint.chains,
            watched=fingerprint.watched,
            seen_before=space.found.stats(found),
            params_files=fingerprint.params_files,
            settled=space.found.values(settled, stage),
            reasons=reasons,
            started=time.time(),
            moved=space.outs.to_move(stage),
            gpus=job.gpus,
            in_tree=job.in_tree,
        )
        mark = space.intents.write(launch)
        for _ in range(_MOST_PAUSES):
            pause = pause_until_later(launch, mark, space.tree.now())
            if not pause:
                break
            space.tree.pause(pause)
            mark = space.intents.write(launch)
        return launch

    def _run_commands(self, launch: Launch) -> StageExit | None:
        """Run the commands to their end; None where the stage was stopped before they began."""
        ending: StageExit | None = None
        for attempt in range(self._stage.retries + 1):
            with self._lock:
                if self._stopping is not None:
                    return ending
                if attempt == 0:
                    self._launch = launch
                    self._on_start(launch.reasons)
                self._running = running = self._workspace.runner.start(self._start(launch))
                self._is_ending = False
            ending = self._await(running).after(ending)
            if ending.succeeded or ending.stopped or self.overtaken_by() is not None:
                return ending
            if attempt < self._stage.retries:
                self._workspace.outs.clear(self._stage)
                self._workspace.runner.make_ready(self._job.folder)
                self._say(f"retry {attempt + 1} of {self._stage.retries}")
        return ending

    def _await(self, running: Running) -> StageExit:
        """The end of the commands; _LeftError where this process is not to see to it any more."""
        ending = running.wait()
        # What it began with and what is there now: the file may have been edited meanwhile.
        secrets = {*self._secrets, *self._workspace.secrets(self._stage)}
        hide_secrets(self._job.folder, secrets)
        with self._lock:
            if self._is_left:
                raise _LeftError
            self._is_ending = True
        return ending

    def _start(self, launch: Launch) -> Start:
        space, gpus = self._workspace, self._job.gpus
        root = space.root
        env = stage_environment(self._project, launch, root, gpus, os.environ)
        if space.origin is not None:
            env = snapshot_environment(env, space.origin, root)
        self._secrets = space.secrets(self._stage)
        return Start(self._stage, root / self._stage.wdir, env, self._job.folder)

    def _say(self, *sentences: str) -> None:
        with (self._job.folder / "log").open("ab") as log:
            log.writelines(f"mlbench: {sentence}\n".encode() for sentence in sentences)

    def _finish(self, launch: Launch, ending: StageExit) -> BuildResult:
        """Judge what the commands left, then keep it or put the old outs back."""
        space, fingerprint = self._workspace, launch.fingerprint
        # What can't be shown later is no reason to lose what the stage gave.
        with contextlib.suppress(OSError):
            self._say(*take_in_files(space.root, self._stage, self._job.folder, launch.started))
        scope = scope_of(space.root, self._project.python)
        seen = scope.of(space.runner.seen(self._job.folder))
        found = space.found.of(seen, self._stage, fingerprint)
        # Before the last look: what an edit after it brings must not pass for what was read.
        values = {**space.found.values(found.names, self._stage), **found.packages}
        space.note_try(self._stage.name, values)
        parts = {**fingerprint.parts, **values}
        verdict = judge_ending(
            space, self._project, launch, ending, found, seen.params_read, self._stopping
        )
        if verdict.outcome is StageOutcome.RAN:
            verdict = ran_old_code(space, launch, found) or verdict
        if verdict.outcome is StageOutcome.RAN:
            try:
                trace = self._keep(launch, found, values)
            except ProjectFileError as error:
                verdict = Verdict(StageOutcome.FAILED, str(error))
            else:
                result = self._result(verdict.outcome, fingerprint, launch.reasons, trace=trace)
                told = advice(space, self._project, self._stage, found)
                return replace(with_cost(result, ending), parts=parts, advice=told)
        space.outs.put_back(launch, self._job.folder / "outs")
        result = self._result(verdict.outcome, fingerprint, launch.reasons, verdict.message)
        key = identity(launch.key, values)
        return replace(
            with_cost(result, ending),
            key=key,
            parts=parts,
            moved=verdict.moved,
            moved_by_itself=verdict.moved_by_itself,
            counted=self._counted() if verdict.outcome is StageOutcome.FAILED else None,
        )

    def _counted(self) -> TestCounts | None:
        return read_tests(self._job.folder) if self._stage.is_test else None

    def _keep(self, launch: Launch, found: Found, values: Mapping[str, str]) -> Trace:
        """Put the outs into the store and the trace on record; ProjectFileError for bad metrics."""
        space, stage = self._workspace, self._stage
        written = read_metrics(space.root, stage, launch.started)
        metrics = {**self._logged(self._job.folder), **written}
        outs = {path: digest or "" for path, digest in space.outs.now(stage).items()}
        trace = Trace(
            stage=stage.name,
            key=launch.key,
            parts=launch.parts,
            outs=outs,
            run=self._job.run,
            seconds=time.time() - launch.started,
            metrics=metrics,
            tests=self._counted(),
            found=values,
            traced=found.traced,
            restorable=not found.rewritten,
            in_tree=self._job.in_tree,
        )
        if self._job.is_recorded:
            space.outs.keep(stage, outs)
            space.traces.add(trace)
        self._on_kept(trace)
        space.outs.forget(stage)
        return trace

    def _result(
        self,
        outcome: StageOutcome,
        fingerprint: Fingerprint | None = None,
        reasons: tuple[Reason, ...] = (),
        message: str = "",
        trace: Trace | None = None,
    ) -> BuildResult:
        return BuildResult(
            stage=self._stage.name,
            outcome=outcome,
            seconds=time.monotonic() - self._began,
            reasons=reasons,
            message=message,
            key=_key(fingerprint, trace),
            trace=trace,
            parts={**fingerprint.parts, **(trace.found if trace else {})} if fingerprint else {},
        )


def _key(fingerprint: Fingerprint | None, trace: Trace | None) -> str | None:
    if fingerprint is None:
        return None
    return identity(fingerprint.key, trace.found) if trace is not None else fingerprint.key
