"""Building a stage in a variant of the project."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from mlbench.domain.outcomes import StageOutcome, StageState
from mlbench.domain.plan import Reason
from mlbench.domain.stages import Project, Stage
from mlbench.pipeline.builder import Build
from mlbench.pipeline.fingerprint import Fingerprint
from mlbench.pipeline.job import BuildResult, Job
from mlbench.pipeline.workspace import Workspace


class VariantBuild(Build):
    """A build in a variant: what the project or the cache has is brought in, never the reverse."""

    def __init__(
        self,
        origin: Workspace,
        space: Workspace,
        project: Project,
        stage: Stage,
        job: Job,
        on_start: Callable[[tuple[Reason, ...]], None],
        logged: Callable[[Path], Mapping[str, float]],
    ) -> None:
        """As `Build` over the variant's workspace; `origin` is that of the project."""
        # What the project's own stages were made with stays what its edits are compared to.
        apart = replace(job, in_tree=False)
        super().__init__(space, project, stage, apart, on_start=on_start, logged=logged)
        self._origin = origin

    def attempt(self, fingerprint: Fingerprint) -> BuildResult | None:
        """What comes of this fingerprint."""
        self._copy_what_no_cache_has(fingerprint)
        standing = self._workspace.look(self._stage, fingerprint)
        if standing.status.state is StageState.FRESH and not self._job.force:
            # Unlike in the project's tree, the trace is not what stands there now.
            trace = standing.hit or self._workspace.traces.newest(self._stage.name)
            return self._result(StageOutcome.UNCHANGED, fingerprint, trace=trace)
        return super().attempt(fingerprint)

    def bring_in(self, fingerprint: Fingerprint) -> None:
        """Put the outs in their places where no command has to run for it."""
        self._copy_what_no_cache_has(fingerprint)
        standing = self._workspace.look(self._stage, fingerprint)
        hit = standing.hit
        if hit is not None and self._is_restorable(standing.status.reasons, hit):
            self._workspace.outs.restore(self._stage, hit.outs)

    def _copy_what_no_cache_has(self, fingerprint: Fingerprint) -> None:
        """Copy from the project what a stage goes on from, and outs that were never cached."""
        stage, space, origin = self._stage, self._workspace, self._origin
        own = [out for out in stage.outs if out.persist or not out.cache]
        if not own:
            return
        hits = space.traces.under(stage.name, fingerprint.key)
        here, there = space.outs.now(stage), origin.outs.now(stage)
        for out in own:
            known = {hit.outs[out.path] for hit in hits if out.path in hit.outs}
            is_of_use = out.persist or there[out.path] in known
            if here[out.path] in known or there[out.path] is None or not is_of_use:
                continue
            space.tree.remove(space.root / out.path)
            space.tree.copy(origin.root / out.path, space.root / out.path)
