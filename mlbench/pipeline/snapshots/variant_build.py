"""Building a stage in a variant of the project."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from mlbench.domain.outcomes import StageOutcome, StageState
from mlbench.domain.plan import Reason
from mlbench.domain.stages import Out, Project, Stage
from mlbench.pipeline.builder import Build
from mlbench.pipeline.fingerprint import Fingerprint
from mlbench.pipeline.job import BuildResult, Job
from mlbench.pipeline.workspace import Workspace


class VariantBuild(Build):
    """A build in a variant: what the project or the cache has is brought in, never the reverse."""

    def __init__(
        self,
        origin: Workspace,
        resumed_from: Workspace,
        space: Workspace,
        project: Project,
        stage: Stage,
        job: Job,
        *,
        on_start: Callable[[tuple[Reason, ...]], None],
        logged: Callable[[Path], Mapping[str, float]],
    ) -> None:
        """As `Build` over the variant's workspace; `origin` is that of the project.

        `resumed_from` is that whose persistent outs the stage goes on from.
        """
        # What the project's own stages were made with stays what its edits are compared to.
        apart = replace(job, in_tree=False)
        super().__init__(space, project, stage, apart, on_start=on_start, logged=logged)
        self._origin = origin
        self._resumed_from = resumed_from

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
        """Copy what a stage goes on from, and outs that no cache has from the project."""
        space, stage = self._workspace, self._stage
        hits = space.traces.under(stage.name, fingerprint.key)
        if not hits and not any(out.persist for out in stage.outs):
            return
        here = space.outs.now(stage)
        for out in stage.outs:
            known = {hit.outs[out.path] for hit in hits if out.path in hit.outs}
            if here[out.path] in known or self._is_cached(out, known):
                continue
            source = self._resumed_from if out.persist else self._origin
            there = source.outs.now(stage)[out.path]
            # What persists begins anew where there is nothing to go on from.
            if out.persist or there in known:
                space.tree.remove(space.root / out.path)
            if there is not None and (out.persist or there in known):
                space.tree.copy(source.root / out.path, space.root / out.path)

    def _is_cached(self, out: Out, known: Iterable[str]) -> bool:
        """Whether the cache brings it, whichever of these it was: it may be too large for that."""
        return not out.persist and out.cache and all(map(self._workspace.store.has, known))
