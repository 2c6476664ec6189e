"""One project's pipeline as it stands on disk: fingerprints, traces and outs together."""

from __future__ import annotations

import threading
from pathlib import Path

from mlbench.domain.graph import in_order, needs_of
from mlbench.domain.outcomes import StageState
from mlbench.domain.plan import Plan, StageStatus
from mlbench.domain.stages import Project, Stage
from mlbench.pipeline.digests import Digests
from mlbench.pipeline.fingerprint import Fingerprint, Fingerprinter
from mlbench.pipeline.judge import judge
from mlbench.pipeline.outs import Outs
from mlbench.pipeline.traces import Traces
from mlbench.project.layout import Layout
from mlbench.system.content import ContentStore


class Workspace:
    """What the planner and the builds of one project share; safe to use from several threads."""

    def __init__(self, layout: Layout) -> None:
        """Open the state of a project folder; nothing is written yet."""
        self.root: Path = layout.root
        self.digests = Digests(layout.state / "stat.json")
        self.store = ContentStore(layout.cache)
        self.outs = Outs(
            layout.root, layout.aside, layout.state / "intents", self.store, self.digests
        )
        self.traces = Traces(layout.state / "traces.jsonl")
        self._fingerprinter = Fingerprinter(layout.root, self.digests)
        self._lock = threading.Lock()

    def fingerprint(self, stage: Stage, project: Project) -> Fingerprint:
        """The fingerprint of a stage as the tree stands now."""
        with self._lock:
            return self._fingerprinter.take(stage, project)

    def status(
        self, stage: Stage, fingerprint: Fingerprint, moving_upstream: tuple[str, ...] = ()
    ) -> StageStatus:
        """How a stage with this fingerprint stands."""
        return judge(
            stage,
            fingerprint,
            self.traces.newest(stage.name),
            self.traces.under(stage.name, fingerprint.key),
            self.outs.now(stage),
            moving_upstream,
        )

    def plan(self, project: Project) -> Plan:
        """How every stage stands, in topological order; ProjectFileError for a broken file."""
        needs = needs_of(project.stages)
        statuses: dict[str, StageStatus] = {}
        for name in in_order(needs):
            stage = project.stage(name)
            moving = tuple(
                sorted(up for up in needs[name] if statuses[up].state is not StageState.FRESH)
            )
            fingerprint = self.fingerprint(stage, project)
            statuses[name] = self.status(stage, fingerprint, moving)
        self.digests.save()
        return Plan(
            stages=tuple(statuses.values()),
            needs={name: tuple(sorted(wanted)) for name, wanted in needs.items()},
        )
