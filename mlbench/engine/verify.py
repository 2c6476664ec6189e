"""Building stages again, apart from the project, and comparing with what is on record."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mlbench.domain.errors import InterruptedRunError, MlbenchError, UsageError, nearest
from mlbench.domain.outcomes import ReasonKind, StageOutcome, StageState
from mlbench.domain.plan import Plan, StageStatus
from mlbench.domain.stages import Project, Stage
from mlbench.engine.verdicts import Limits, MetricPair, StageCheck, Verdict
from mlbench.pipeline.builder import Build
from mlbench.pipeline.comparing.compare import Difference, differences, same_bytes
from mlbench.pipeline.comparing.places import close
from mlbench.pipeline.job import BuildResult, Job
from mlbench.pipeline.launch import file_name
from mlbench.pipeline.snapshots.isolated import inside
from mlbench.pipeline.snapshots.snapshot import Snapshot
from mlbench.pipeline.snapshots.wanted import inputs_among
from mlbench.pipeline.traces import Trace
from mlbench.pipeline.workspace import Workspace
from mlbench.project.config import load_project
from mlbench.project.layout import Layout
from mlbench.system.files import FULL, move, remove, writable
from mlbench.tracking.pyramid import last_values

_PURPOSE = "verify"


def verify(layout: Layout, names: tuple[str, ...], limits: Limits) -> Iterator[StageCheck]:
    """Check the named stages, or all, one by one as the caller asks for the next.

    Each is built in a snapshot from the inputs that stand in the project; neither the record nor
    the project's outs are touched, and the loop may run beside it. UsageError for an unknown stage
    or one that is not fresh; InterruptedRunError after Ctrl-C, once what was started has ended.
    """
    project = load_project(layout)
    workspace = Workspace.open(layout)
    plan = workspace.plan(project)
    wanted = _wanted(plan, names)
    with writable(layout.root):
        snapshot = Snapshot.take_free(layout, _PURPOSE, with_leftover=True)
        try:
            checker = _Checker(workspace, project, snapshot, limits)
            checker.clear()
            for name in wanted:
                yield checker.check(name)
            checker.close()
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise MlbenchError(
                f"{error.filename or snapshot.folder}: {error.strerror}; "
                "a snapshot needs room for the project's files and the deps of a stage"
            ) from None
        finally:
            snapshot.release()


def _wanted(plan: Plan, names: tuple[str, ...]) -> list[str]:
    """The stages to check, in the plan's order; those that are not fresh are refused."""
    for name in names:
        if name not in plan.needs:
            raise UsageError(f'there is no stage "{name}"{nearest(name, plan.needs)}')
    by_name = {status.name: status for status in plan.stages}
    wanted = [status.name for status in plan.stages if not names or status.name in names]
    standing = _standing(plan.stages)
    moving = [name for name in wanted if name not in standing]
    if moving:
        states = ", ".join(f"{name} is {by_name[name].state.word}" for name in moving)
        raise UsageError(
            f"{states}, so nothing stands there to compare with; "
            f"`mlbench run {' '.join(moving)}` first"
        )
    return wanted


def _standing(stages: tuple[StageStatus, ...]) -> set[str]:
    """The stages whose outs are those of their inputs, also where they run every time."""
    standing: set[str] = set()
    for status in stages:
        if status.state is StageState.FRESH or all(
            reason.kind is ReasonKind.ALWAYS
            or (reason.kind is ReasonKind.UPSTREAM and reason.what in standing)
            for reason in status.reasons
        ):
            standing.add(status.name)
    return standing


class _Checker:
    """Builds stages in one snapshot, one after the other."""

    def __init__(
        self, workspace: Workspace, project: Project, snapshot: Snapshot, limits: Limits
    ) -> None:
        self._workspace = workspace
        self._project = project
        self._snapshot = snapshot
        self._limits = limits
        self._space = inside(workspace, snapshot)
        self._folders = snapshot.folder / "stages"

    def clear(self) -> None:
        """Stop and take back what a killed user of the snapshot left, and drop what it kept."""
        self._space.stop_all()
        remove(self._folders)

    def close(self) -> None:
        """Remember the hashes of the copies for the next user."""
        self._space.digests.save()

    def check(self, name: str) -> StageCheck:
        """Build one stage again and compare."""
        stage = self._project.stage(name)
        trace = self._workspace.standing(name)
        if trace is None:
            return StageCheck(name, Verdict.SKIPPED, message="is frozen, and its inputs are others")
        inputs = inputs_among((*trace.parts, *trace.found))
        self._snapshot.bring_up_to_date((stage,), self._project, inputs)
        moved = self._input_that_differs(stage, trace)
        if moved is not None:
            return moved
        result = self._build(stage)
        if result.trace is None:
            return self._failed(stage, result)
        check = self._compare(stage, trace, result.trace)
        for out in stage.out_paths:
            built = self._snapshot.tree / out
            if built.exists() and check.verdict is Verdict.DIFFERS:
                move(built, self._folder(stage) / "outs" / out)
            remove(built)
        return check

    def _folder(self, stage: Stage) -> Path:
        return self._folders / file_name(stage.name)

    def _input_that_differs(self, stage: Stage, trace: Trace) -> StageCheck | None:
        copied = self._space.fingerprint(stage, self._project)
        if copied.key == trace.key:
            return None
        now = self._workspace.fingerprint(stage, self._project)
        other = copied.parts if now.key == trace.key else now.parts
        parts = (
            name for name in (*trace.parts, *other) if other.get(name) != trace.parts.get(name)
        )
        what = next(parts, "").partition(":")[2]
        if now.key == trace.key:
            message = f"{what} can't be had in a snapshot as it is in the project"
            return StageCheck(stage.name, Verdict.FAILED, message=message)
        return StageCheck(stage.name, Verdict.OVERTAKEN, message=f"{what} changed meanwhile")

    def _build(self, stage: Stage) -> BuildResult:
        """Run the stage in a thread, so that Ctrl-C reaches this one and stops it."""
        build = Build(
            self._space,
            self._project,
            stage,
            Job(_PURPOSE, self._folder(stage), force=True, is_recorded=False, in_tree=False),
            on_start=lambda _: None,
            logged=last_values,
        )
        try:
            with ThreadPoolExecutor(1) as pool:
                try:
                    return pool.submit(build.run).result()
                except BaseException:
                    build.stop()
                    raise
        except KeyboardInterrupt:
            raise InterruptedRunError("interrupted; what was started has been stopped") from None

    def _failed(self, stage: Stage, result: BuildResult) -> StageCheck:
        is_overtaken = result.outcome is StageOutcome.OVERTAKEN
        verdict = Verdict.OVERTAKEN if is_overtaken else Verdict.FAILED
        return StageCheck(
            stage.name, verdict, result.seconds, result.message, kept=self._folder(stage)
        )

    def _compare(self, stage: Stage, recorded: Trace, rebuilt: Trace) -> StageCheck:
        if not stage.deterministic:
            return self._compare_metrics(stage, recorded, rebuilt)
        outs = [out.path for out in stage.outs if not out.persist]
        others = [path for path in outs if recorded.outs.get(path) != rebuilt.outs.get(path)]
        root, tree = self._workspace.root, self._snapshot.tree
        found = tuple(
            difference
            for path in others
            for difference in differences(root / path, tree / path, path, self._limits.values)
        )
        # The loop may have built it again under our eyes: then it was no fair comparison.
        now = self._workspace.outs.now(stage)
        if any(now[path] != recorded.outs.get(path) for path in others):
            message = "its outs changed meanwhile"
            return StageCheck(stage.name, Verdict.OVERTAKEN, rebuilt.seconds, message)
        found += _tests_that_differ(recorded, rebuilt)
        verdict = Verdict.SAME_BYTES
        if found:
            verdict = Verdict.DIFFERS
        elif not all(same_bytes(root / path, tree / path) for path in others):
            verdict = Verdict.SAME_VALUES
        kept = self._folder(stage) if found else None
        return StageCheck(stage.name, verdict, rebuilt.seconds, differences=found, kept=kept)

    def _compare_metrics(self, stage: Stage, recorded: Trace, rebuilt: Trace) -> StageCheck:
        pairs = tuple(
            MetricPair(name, value, rebuilt.metrics[name])
            for name, value in recorded.metrics.items()
            if name in rebuilt.metrics
        )
        found = tuple(
            Difference("metrics", pair.name, repr(pair.recorded), repr(pair.rebuilt))
            for pair in pairs
            if not close(pair.recorded, pair.rebuilt, self._limits.metrics)
        )
        found += tuple(
            Difference("metrics", name, *("there" if name in m else "missing" for m in both))
            for both in [(recorded.metrics, rebuilt.metrics)]
            for name in sorted(recorded.metrics.keys() ^ rebuilt.metrics.keys())
        )
        verdict = Verdict.DIFFERS if found else Verdict.SAME_METRICS
        kept = self._folder(stage) if found else None
        return StageCheck(stage.name, verdict, rebuilt.seconds, "", found, pairs, kept)


def _tests_that_differ(recorded: Trace, rebuilt: Trace) -> tuple[Difference, ...]:
    if recorded.tests is None or rebuilt.tests is None or recorded.tests == rebuilt.tests:
        return ()
    shown = (
        f"{tests.passed} passed, {tests.failed} failed, {tests.skipped} skipped"
        for tests in (recorded.tests, rebuilt.tests)
    )
    return (Difference("tests", "", *shown),)
