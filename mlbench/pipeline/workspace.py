"""One project's pipeline as it stands on disk: fingerprints, traces and outs together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlbench.domain.graph import PathIndex, StageCycleError, in_order, needs_of
from mlbench.domain.outcomes import StageState
from mlbench.domain.plan import Plan, StageStatus
from mlbench.domain.stages import Project, Stage
from mlbench.pipeline.digests import Digests
from mlbench.pipeline.fingerprint import Fingerprint, Fingerprinter, Watched, identity, moved_since
from mlbench.pipeline.found import FoundInputs, Versions, read_outs
from mlbench.pipeline.judge import Evidence, choose, judge, valid
from mlbench.pipeline.launch import Intents, Launch
from mlbench.pipeline.outs import Outs, Store
from mlbench.pipeline.packages import Packages
from mlbench.pipeline.running import Runner, SupervisedRunner
from mlbench.pipeline.traces import Trace, Traces
from mlbench.pipeline.tree import DiskTree, Tree
from mlbench.project.layout import Layout
from mlbench.system.content import ContentStore
from mlbench.system.journal import Journal


@dataclass(frozen=True, slots=True)
class Standing:
    """How a stage stands, and the trace that says so where there is one."""

    status: StageStatus
    hit: Trace | None


class Workspace:
    """What the planner and the builds of one tree share; safe to use from several threads."""

    def __init__(
        self,
        root: Path,
        state: Path,
        *,
        tree: Tree,
        store: Store,
        traces: Traces,
        versions: Versions,
        runner: Runner,
        building: KeyLocks,
        origin: Path | None = None,
    ) -> None:
        """Over the tree at `root`; `state` holds what is written down about it.

        `origin` is the project of which a snapshot is the copy, or a worktree another one.
        """
        self.root = root
        self.origin = origin
        self.tree = tree
        self.digests = Digests(tree, state / "stat.json")
        self.intents = Intents(tree, state / "intents")
        self.outs = Outs(tree, root, state / "aside", self.intents, store, self.digests)
        self.found = FoundInputs(tree, root, self.digests, versions)
        self.store = store
        self.traces = traces
        self.versions = versions
        self.runner = runner
        self.building = building
        self._fingerprinter = Fingerprinter(tree, root, self.digests)
        self._standing: dict[str, Trace] = {}
        self._watched: dict[str, Watched] = {}
        self._tried: dict[str, frozenset[str]] = {}
        self._makers: tuple[Project, PathIndex] | None = None
        self._lock = threading.RLock()

    @classmethod
    def open(cls, layout: Layout, store: Store | None = None) -> Workspace:
        """The workspace of a project folder, with its own store or another; nothing is written."""
        return cls(
            layout.root,
            layout.state,
            tree=DiskTree(),
            store=store or ContentStore(layout.cache),
            traces=Traces(Journal(layout.traces), layout.tree_name),
            versions=Packages(),
            runner=SupervisedRunner(layout.state / "locks"),
            building=KeyLocks(),
            # What is installed editable is the home's code: here the worktree's own comes first.
            origin=layout.home if layout.home != layout.root else None,
        )

    def at(self, root: Path, state: Path) -> Workspace:
        """A workspace over a snapshot of this one's tree: the store and the traces are shared."""
        return Workspace(
            root,
            state,
            tree=self.tree,
            store=self.store,
            traces=self.traces,
            versions=self.versions,
            runner=SupervisedRunner(state / "locks"),
            building=self.building,
            origin=self.root,
        )

    def fingerprint(self, stage: Stage, project: Project) -> Fingerprint:
        """The fingerprint of a stage as the tree stands now."""
        with self._lock:
            return self._fingerprinter.take(stage, project)

    def secrets(self, stage: Stage) -> tuple[str, ...]:
        """The secret values in the params files of a stage as they are now."""
        with self._lock:
            return self._fingerprinter.secrets(stage)

    def look(
        self, stage: Stage, fingerprint: Fingerprint, moving_upstream: tuple[str, ...] = ()
    ) -> Standing:
        """How a stage with this fingerprint stands."""
        newest = self.traces.newest(stage.name)
        under = self.traces.under(stage.name, fingerprint.key)
        traces = (*under, newest) if newest is not None else under
        tried = self._tried.get(stage.name, frozenset())
        with self._lock:
            names = tried.union(*(trace.found for trace in traces))
            found_now = self.found.values(names, stage)
            outs_now = self.outs.now(stage)
        hit = choose(valid(under, found_now), outs_now)
        found = hit.found if hit is not None else {name: found_now[name] for name in tried}
        evidence = Evidence(identity(fingerprint.key, found), newest, hit, outs_now, found_now)
        status = judge(stage, fingerprint, evidence, moving_upstream)
        return Standing(status, hit)

    def note_try(self, stage: str, found: Iterable[str]) -> None:
        """What a stage was found to read when it was started last, whatever came of it."""
        self._tried[stage] = frozenset(found)

    def plan(self, project: Project) -> Plan:
        """How every stage stands, in topological order; ProjectFileError for a broken file."""
        self.traces.catch_up()
        needs = self.needs(project)
        statuses: dict[str, StageStatus] = {}
        for name in in_order(needs):
            stage = project.stage(name)
            moving = tuple(
                sorted(up for up in needs[name] if statuses[up].state is not StageState.FRESH)
            )
            fingerprint = self.fingerprint(stage, project)
            standing = self.look(stage, fingerprint, moving)
            statuses[name] = standing.status
            self._note(stage, fingerprint, standing)
        self.digests.save()
        return Plan(
            stages=tuple(statuses.values()),
            needs={name: tuple(sorted(wanted)) for name, wanted in needs.items()},
        )

    def needs(self, project: Project) -> dict[str, frozenset[str]]:
        """Which stages each stage needs: as declared, and as it was seen to read their outs."""
        declared = needs_of(project.stages)
        makers = self.makers(project)
        needs = dict(declared)
        for stage in project.stages:
            seen = self._read_outs(stage, project, makers)
            if seen <= needs[stage.name] | {stage.name}:
                continue
            wider = {**needs, stage.name: needs[stage.name] | (seen - {stage.name})}
            try:
                in_order(wider)
            except StageCycleError:
                # Two stages that read each other's outs undeclared: what they declare decides.
                continue
            needs = wider
        return needs

    def _read_outs(self, stage: Stage, project: Project, makers: PathIndex) -> frozenset[str]:
        """The stages whose outs this one was seen to read, last or with the inputs it has now."""
        latest = self.traces.latest(stage.name)
        if latest is None:
            return frozenset()
        traces = [latest]
        # What it reads may come and go with its code: a state that comes again reads what it did.
        if self.traces.is_various(stage.name):
            traces += self.traces.under(stage.name, self.fingerprint(stage, project).key)
        return frozenset(maker for trace in traces for maker in read_outs(trace.found, makers))

    def makers(self, project: Project) -> PathIndex:
        """Which stage writes what; worked out once for each reading of the project's files."""
        known = self._makers
        if known is None or known[0] is not project:
            known = self._makers = (project, PathIndex.of_outs(project.stages))
        return known[1]

    def standing(self, stage: str) -> Trace | None:
        """What a fresh stage's outs stand for, as of the last plan."""
        return self._standing.get(stage)

    def glance(self) -> bool:
        """Whether an input of the last plan moved since, by the files' stats alone."""
        with self._lock:
            watched = list(self._watched.values())
        return any(moved_since(self.tree, self.root, each) is not None for each in watched)

    def unfinished(self) -> tuple[Launch, ...]:
        """The launches of another process that can be gone on with."""
        return tuple(launch for launch in self.intents.all() if self._can_adopt(launch))

    def recover(self) -> list[str]:
        """After a crash: stop and take back what can't be gone on with; names the stages."""
        recovered = []
        for launch in self.intents.all():
            if not self._can_adopt(launch):
                self.runner.stop_leftover(Path(launch.folder))
                self.outs.put_back(launch)
                recovered.append(launch.stage.name)
        self.intents.sweep()
        self.outs.sweep([launch.stage.name for launch in self.intents.all()])
        return recovered

    def stop(self, launch: Launch) -> None:
        """End what another process has started, and take back what it left."""
        name, folder = launch.stage.name, Path(launch.folder)
        if self.runner.can_adopt(name, folder):
            running = self.runner.adopt(name, folder)
            running.stop()
            running.wait()
        self.runner.stop_leftover(folder)
        self.outs.put_back(launch)

    def stop_all(self) -> None:
        """End whatever another process has left running or half done here."""
        for launch in self.intents.all():
            self.stop(launch)

    def _can_adopt(self, launch: Launch) -> bool:
        if launch.is_lost:
            return False
        return self.runner.can_adopt(launch.stage.name, Path(launch.folder))

    def _note(self, stage: Stage, fingerprint: Fingerprint, standing: Standing) -> None:
        with self._lock:
            if standing.hit is not None:
                self._standing[stage.name] = standing.hit
            else:
                self._standing.pop(stage.name, None)
            self._watched[stage.name] = {**fingerprint.watched, **fingerprint.params_files}


class KeyLocks:
    """One builder at a time for each key: who comes second finds what the first has made."""

    def __init__(self) -> None:
        """Nothing is being built."""
        self._building: set[str] = set()
        self._changed = threading.Condition()

    @contextmanager
    def holding(self, key: str, is_stopping: Callable[[], bool]) -> Iterator[None]:
        """Wait until nobody else builds `key`, or until it is time to stop."""
        with self._changed:
            while key in self._building and not is_stopping():
                self._changed.wait(_LOOK_SECONDS)
            is_mine = key not in self._building
            self._building.add(key)
        try:
            yield
        finally:
            if is_mine:
                with self._changed:
                    self._building.discard(key)
                    self._changed.notify_all()


_LOOK_SECONDS = 0.1
