"""One environment while it is changed: a version staged, the step in the ledger, then live.

The append to the ledger is the commit point: whatever breaks off before leaves the environment as
it was, whatever breaks off after is brought to its end by the next one who comes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from mlbench.domain.errors import MlbenchError
from mlbench.domain.ledger import live, traffic_of
from mlbench.domain.release import Candidate, Deployment, LedgerEntry
from mlbench.domain.serving import Traffic
from mlbench.domain.stages import EnvironmentSpec
from mlbench.engine.releases import Releases
from mlbench.project.layout import Layout
from mlbench.release.promotion import deployed_model
from mlbench.serving.waiting import until
from mlbench.system.files import write_json
from mlbench.system.locks import FileLock, is_held

_PATIENCE_SECONDS = 30.0


class Change:
    """What whoever holds an environment's change lock may do to it."""

    def __init__(self, releases: Releases, environment: EnvironmentSpec) -> None:
        """Change this environment; nothing is written yet."""
        self._releases = releases
        self.environment = environment
        self._is_staged = False
        # Whether the Deployment says what the ledger says, and no more.
        self.is_settled = True

    @property
    def entries(self) -> tuple[LedgerEntry, ...]:
        """The ledger as it stands."""
        return self._releases.ledger.entries()

    def standing(self, model: str) -> LedgerEntry | None:
        """The entry that put a model's live version there."""
        return live(self.entries).get(self.environment.name, {}).get(model)

    def traffic(self, model: str) -> Traffic:
        """What shares a model's traffic with its live version."""
        shared = traffic_of(self.entries).get(self.environment.name, {})
        return shared.get(model, Traffic(model))

    def stage(self, *versions: Candidate) -> Deployment:
        """Have versions loaded beside what is live."""
        deployed = [
            deployed_model(version, str(self._releases.registry.file_of(version)))
            for version in versions
        ]
        self.is_settled, self._is_staged = False, True
        staged = tuple(one for one in deployed if one is not None)
        return self._releases.write_deployment(self.environment, staged)

    def append(self, entry: LedgerEntry) -> LedgerEntry:
        """Write a step to the ledger: from here on it is what counts."""
        self.is_settled = False
        appended = self._releases.ledger.append(entry)
        self._is_staged = False
        return appended

    def settle(self) -> Deployment:
        """Derive the Deployment from the ledger alone; nothing is staged any more."""
        deployment = self._releases.write_deployment(self.environment, ())
        self.is_settled, self._is_staged = True, False
        return deployment

    def leave(self) -> None:
        """Take back what was staged where the ledger did not come to know of it."""
        if self._is_staged:
            self.settle()


@contextlib.contextmanager
def changing(layout: Layout, releases: Releases, environment: EnvironmentSpec) -> Iterator[Change]:
    """Be the only one who changes an environment, also among worktrees.

    LedgerDamagedError where the ledger is not whole: nothing is added to it then. MlbenchError
    where somebody else is at it for long.
    """
    lock = FileLock(layout.change_lock(environment.name))
    if not until(lock.try_acquire, _PATIENCE_SECONDS):
        raise MlbenchError(
            f"{environment.name} is being changed by another process for {_PATIENCE_SECONDS:g} s; "
            "try again when that is done"
        )
    mark = layout.change_mark(environment.name)
    try:
        releases.check_ledger()
        change = Change(releases, environment)
        if mark.exists():
            change.settle()
        write_json(mark, {"length": len(change.entries)})
        try:
            yield change
        finally:
            change.leave()
            if change.is_settled:
                mark.unlink(missing_ok=True)
    finally:
        lock.release()


def is_broken_off(layout: Layout, environment: str) -> bool:
    """Whether somebody began to change an environment and is gone."""
    return layout.change_mark(environment).exists() and not is_held(layout.change_lock(environment))
