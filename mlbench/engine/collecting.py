"""Bringing the cache under its limit: what must stay and why, what goes, and when to look."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from mlbench.domain.outcomes import RunOutcome, TrialState
from mlbench.domain.stages import Project
from mlbench.engine.kept_trials import best_runs
from mlbench.engine.leftovers import KEPT_DAYS, clear_leftovers
from mlbench.engine.study_files import all_studies
from mlbench.pipeline.workspace import Workspace
from mlbench.project.layout import Layout
from mlbench.release.registry import Registry
from mlbench.system.content import GRACE_SECONDS, ContentStore, Stored
from mlbench.system.files import read_json, writable
from mlbench.tracking.folder import RUN_NAME
from mlbench.tracking.history import History
from mlbench.tracking.store import ExperimentStore

LARGEST_DEFAULT = 20_000_000_000
_DISK_SHARE = 10
_DAY_SECONDS = 86400.0
_SWEEP = "sweep"
_FLEETING = ("watch", _SWEEP)
# The loop cleans a little further than it must, and not again until so much has come in anew.
_SLACK_SHARE = 10

OF_VERSIONS = "versions and candidates"
OF_MARKED = "marked runs"
OF_RECENT = f"runs that passed in the last {KEPT_DAYS} days"
OF_STAGES = "the stages as they stand"
_GRACE = f"in the last {GRACE_SECONDS / 60:.0f} minutes"
IN_USE = f"what was used {_GRACE}, or since trials that run began"


@dataclass(frozen=True, slots=True)
class Choice:
    """What goes, and the bytes of what has to stay, by the reason for it."""

    removed: tuple[Stored, ...]
    kept: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Collection:
    """What a cleaning did, in bytes.

    `cache` is what it freed in the cache, `leftovers` what crashes had left; `size` is the
    cache's afterwards, `kept` what of it had to stay, by the reason for it.
    """

    limit: int
    size: int
    cache: int
    leftovers: int
    objects: int
    kept: Mapping[str, int] = field(default_factory=dict)
    dry_run: bool = False

    @property
    def freed(self) -> int:
        """All that it freed."""
        return self.cache + self.leftovers

    @property
    def is_over(self) -> bool:
        """Whether the cache is over its limit still, for what it holds has to stay."""
        return self.size > self.limit


def choose(
    objects: Iterable[Stored], needed: Mapping[str, str], limit: int, in_use: float
) -> Choice:
    """What was used longest ago and is needed by nobody, until the rest fits the limit; pure.

    `needed` maps the digest of what must stay to the reason; what was used since `in_use`,
    in seconds since the epoch, stays too, for a build may be about to use it.
    """
    kept: dict[str, int] = {}
    free: list[Stored] = []
    total = 0
    for item in objects:
        total += item.size
        why = needed.get(item.digest) or (IN_USE if item.used > in_use else None)
        if why is None:
            free.append(item)
        else:
            kept[why] = kept.get(why, 0) + item.size
    removed = []
    for item in sorted(free, key=lambda item: (item.used, item.digest)):
        if total <= limit:
            break
        removed.append(item)
        total -= item.size
    return Choice(tuple(removed), kept)


def limit_of(project: Project, layout: Layout) -> int:
    """The cache's limit in bytes: `project.cache`, else 20 GB, or a tenth of a smaller disk."""
    if project.cache_limit is not None:
        return project.cache_limit
    folder = layout.shared if layout.shared.exists() else layout.root
    return min(LARGEST_DEFAULT, shutil.disk_usage(folder).total // _DISK_SHARE)


class Collector:
    """Cleans one project's `.mlbench`, beside a running loop and beside others that clean."""

    def __init__(self, layout: Layout) -> None:
        """Name the project; nothing is read yet."""
        self._layout = layout
        self._store = ContentStore(layout.cache)

    def collect(
        self, project: Project, limit: int, *, dry_run: bool = False, wait: bool = True
    ) -> Collection:
        """Bring the cache under a limit in bytes and clear what crashes left.

        Without `wait` it leaves the cache alone where a build puts or restores just now.
        FolderNotWritableError where the project's folder can't be written.
        """
        with writable(self._layout.root):
            return self._collect(project, limit, dry_run=dry_run, wait=wait)

    def _collect(self, project: Project, limit: int, *, dry_run: bool, wait: bool) -> Collection:
        runs = ExperimentStore(self._layout).runs()
        best = best_runs(self._layout)
        looked_at = runs.values("id", "marked", "origin")
        lasting = {
            run
            for run, marked, origin in looked_at
            if marked or origin not in _FLEETING or run in best
        }
        objects = list(self._store.objects())
        # After the listing: what is recorded from now on was used after it, and stays for that.
        needed = self._needed(project, runs, best)
        choice = choose(objects, needed, limit, _in_use_since(self._layout, time.time()))
        gone = choice.removed if dry_run else self._store.remove(choice.removed, wait=wait)
        cache = sum(item.size for item in gone)
        unfinished = self._store.remove_unfinished(wait=wait, dry_run=dry_run)
        leftovers = clear_leftovers(self._layout, lasting.__contains__, dry_run=dry_run)
        return Collection(
            limit=limit,
            size=sum(item.size for item in objects) - cache,
            cache=cache,
            leftovers=leftovers + unfinished,
            objects=len(gone),
            kept=choice.kept,
            dry_run=dry_run,
        )

    def _needed(self, project: Project, runs: History, best: Container[str]) -> dict[str, str]:
        """The digest of every object that must stay, with the first reason for it."""
        needed: dict[str, str] = {}
        members: dict[str, frozenset[str]] = {}
        for digest, why in self._needs(project, runs, best):
            if digest not in members:
                members[digest] = self._store.members(digest)
                for bare in members[digest]:
                    needed.setdefault(bare, why)
        return needed

    def _needs(
        self, project: Project, runs: History, best: Container[str]
    ) -> Iterator[tuple[str, str]]:
        registry = Registry(self._layout.models)
        for model in registry.models():
            for item in (*registry.versions(model), *registry.candidates(model)):
                yield item.source_digest, OF_VERSIONS
                yield item.sample_digest, OF_VERSIONS
                yield from self._outs_of(item.run, OF_VERSIONS)
        since = time.time() - KEPT_DAYS * _DAY_SECONDS
        passed = RunOutcome.PASSED.word
        looked_at = runs.values("id", "marked", "outcome", "started", "origin")
        for run, marked, outcome, started, origin in looked_at:
            if marked:
                yield from self._outs_of(run, OF_MARKED)
            elif origin == _SWEEP and run not in best:
                continue
            elif outcome == passed and _moment(started) >= since:
                yield from self._outs_of(run, OF_RECENT)
        # In this worktree those of its project, in the others all, as long as there are these.
        own, trees = {stage.name for stage in project.stages}, self._layout.tree_names
        for tree, trace in Workspace.open(self._layout).traces.standing_in():
            if trace.stage in own if tree == self._layout.tree_name else tree in trees:
                for digest in trace.outs.values():
                    yield digest, OF_STAGES

    def _outs_of(self, run_id: str, why: str) -> Iterator[tuple[str, str]]:
        # Plain: a history of large pipelines holds hundreds of thousands of stage records.
        plain = read_json(self._layout.run_folder(run_id) / RUN_NAME)
        records = plain.get("stages") if isinstance(plain, dict) else None
        for record in records.values() if isinstance(records, dict) else ():
            for digest in record.get("outs", {}).values():
                yield digest, why


class CacheWatch:
    """Cleans the cache when it is over its limit; where it is not, looking costs little."""

    def __init__(self, layout: Layout) -> None:
        """Name the project; nothing is read yet."""
        self._layout = layout
        self._file = layout.state / "cache.json"

    def after_run(self, project: Project) -> Collection | None:
        """Clean if it is due; gives what that freed, None where there was nothing to do."""
        sizes, cleaned, at = self._known()
        sizes = ContentStore(self._layout.cache).sizes(sizes)
        size = sum(count for _, count in sizes.values())
        limit = limit_of(project, self._layout)
        now = time.time()
        done: Collection | None = None
        if _is_due(size, cleaned, now - at, limit):
            goal = limit - limit // _SLACK_SHARE
            done = Collector(self._layout).collect(project, goal, wait=False)
            cleaned, at = done.size, now
        # Torn by a crash it is no more than counted anew.
        state = {"sizes": sizes, "cleaned": cleaned, "at": at}
        self._file.write_text(json.dumps(state), encoding="utf-8")
        return done if done is not None and done.freed else None

    def _known(self) -> tuple[dict[str, tuple[int, int]], int, float]:
        """The sizes as of the last look, the cache's after the last cleaning, and when that was."""
        known = read_json(self._file)
        try:
            sizes = {name: (int(at), int(size)) for name, (at, size) in known["sizes"].items()}
            return sizes, int(known["cleaned"]), float(known["at"])
        except (TypeError, KeyError, ValueError, AttributeError):
            return {}, 0, 0.0


def _in_use_since(layout: Layout, now: float) -> float:
    """Since when what was used may be used again: by a build, or by the trials that run."""
    since = now - GRACE_SECONDS
    for files in all_studies(layout):
        if not files.is_running:
            continue
        running = [trial for trial in files.trials().values() if trial.state is TrialState.RUNNING]
        begun = [_moment(trial.started) for trial in running if trial.started]
        since = min((since, *begun))
    return since


def _is_due(size: int, cleaned: int, since: float, limit: int) -> bool:
    """Whether the cache is over its limit, and cleaning it may help by now."""
    has_grown = size - cleaned > limit // (2 * _SLACK_SHARE)
    return size > limit and (has_grown or since > _DAY_SECONDS)


def _moment(started: str) -> float:
    try:
        return datetime.fromisoformat(started).timestamp()
    except ValueError:
        return 0.0
