"""Bringing to its end what a change of an environment left when its process was killed."""

from __future__ import annotations

from mlbench.domain.clock import utc
from mlbench.domain.errors import MlbenchError
from mlbench.domain.events import Notice
from mlbench.domain.ledger import ACTION_WORDS, PROMOTE, ROLLBACK, WITHDRAW
from mlbench.domain.release import LedgerEntry
from mlbench.domain.stages import EnvironmentSpec, Project
from mlbench.engine.change import changing, is_broken_off
from mlbench.engine.hands.outside import told_before
from mlbench.engine.hands.telling import Tell
from mlbench.engine.releases import Releases
from mlbench.project.layout import Layout
from mlbench.system.files import read_json


def settle_environments(layout: Layout, project: Project, tell: Tell) -> None:
    """Have every environment whose change broke off serve what the ledger says, and say so."""
    releases = Releases(layout)
    for environment in project.environments:
        if is_broken_off(layout, environment.name):
            try:
                tell(Notice(utc(), "warn", _settled(layout, releases, environment)))
            except MlbenchError as error:
                tell(Notice(utc(), "error", str(error)))


def _settled(layout: Layout, releases: Releases, environment: EnvironmentSpec) -> str:
    mark = read_json(layout.change_mark(environment.name))
    length = mark["length"] if isinstance(mark, dict) else None
    with changing(layout, releases, environment) as change:
        later = change.entries if length is None else change.entries[length:]
    mine = [entry for entry in later if entry.environment == environment.name]
    if length is None or not mine:
        return f"a change of {environment.name} broke off; what was live there stays"
    return _words(layout, environment, mine[-1])


def _words(layout: Layout, environment: EnvironmentSpec, entry: LedgerEntry) -> str:
    what = f"{entry.model} v{entry.version}"
    if entry.action == WITHDRAW:
        return f"{what} was withdrawn from {environment.name}, which can't serve it: {entry.why}"
    if entry.action not in (PROMOTE, ROLLBACK):
        done = ACTION_WORDS.get(entry.action, entry.action)
        return f"the {done} of {what} in {environment.name} broke off, but the ledger has it"
    done = "promotion" if entry.action == PROMOTE else entry.action
    told = (
        f"the {done} of {what} to {environment.name} broke off, but the ledger has it: it is live"
    )
    if environment.on_promote is None or told_before(layout, entry.sequence) is not None:
        return told
    again = f"`mlbench promote {entry.model}@{entry.version} {environment.name}`"
    return f"{told}; on_promote may not have run, {again} runs it"
