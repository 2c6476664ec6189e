"""Writing down what canaries came to: a good one is promoted, a bad one has ended.

The server has moved the traffic already; here the ledger is told, and the world outside. Doing it
twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mlbench.domain.clock import utc
from mlbench.domain.errors import MlbenchError
from mlbench.domain.events import Event, Notice, Promoted, TrafficChanged
from mlbench.domain.ledger import CANARY, CANARY_ENDED, PROMOTE, began, traffic_of
from mlbench.domain.release import LedgerEntry
from mlbench.domain.serving import CanaryState, Traffic
from mlbench.domain.stages import EnvironmentSpec, Project
from mlbench.domain.trials import PASSED, VERDICTS, failed_words, is_settled, passed_words
from mlbench.engine.change import Change, changing
from mlbench.engine.hands.going_live import GoingLive
from mlbench.engine.hands.step import Step, event_of
from mlbench.engine.hands.telling import Tell
from mlbench.engine.releases import Releases
from mlbench.engine.trials import read_canaries
from mlbench.project.layout import Layout

_KINDS = (Promoted, TrafficChanged)


def settle_canaries(
    layout: Layout,
    releases: Releases,
    going_live: GoingLive,
    environment: EnvironmentSpec,
    tell: Tell,
) -> tuple[str, ...]:
    """Write down every verdict that the ledger does not have; gives a sentence each.

    OutsideNotToldError where one is live now, but `on_promote` failed.
    """
    if not any(_open_verdicts(layout, releases.ledger.entries(), environment.name)):
        return ()
    sentences = []
    with changing(layout, releases, environment) as change:
        # Again, for somebody else may have been quicker.
        for state, entry in list(_open_verdicts(layout, change.entries, environment.name)):
            if state.verdict == PASSED:
                sentences.append(_promote(releases, going_live, change, state, entry, tell))
            else:
                why = failed_words(state)
                sentences.append(going_live.end(change, entry, CANARY_ENDED, why, "", tell))
    return tuple(sentences)


class Settling:
    """Settles the canaries of a project's environments for as long as a loop is held."""

    def __init__(
        self, layout: Layout, releases: Releases, going_live: GoingLive, since: str
    ) -> None:
        """What others settle after the time `since` is told, once."""
        self._layout = layout
        self._releases = releases
        self._going_live = going_live
        self._told_to = since

    def settle(self, project: Project, tell: Tell) -> None:
        """Settle what is open, and tell that and what the servers had settled since last time."""
        told: list[Event] = []

        def telling(event: Event) -> None:
            told.append(event)
            tell(event)

        for environment in project.environments:
            self._settle(environment, telling)
        entries = self._releases.ledger.entries()
        mine = {
            (one.environment, one.model, one.version) for one in told if isinstance(one, _KINDS)
        }
        for entry in entries:
            is_mine = (entry.environment, entry.model, entry.version) in mine
            if entry.at > self._told_to and is_verdict(entry) and not is_mine:
                tell(event_of(entry, ""))
                tell(Notice(utc(), "info", verdict_words(entry)))
        self._told_to = max([self._told_to, *(entry.at for entry in entries)])

    def _settle(self, environment: EnvironmentSpec, tell: Tell) -> None:
        try:
            said = settle_canaries(
                self._layout, self._releases, self._going_live, environment, tell
            )
        except MlbenchError as error:
            tell(Notice(utc(), "error", str(error)))
        else:
            for sentence in said:
                tell(Notice(utc(), "info", sentence))


def is_verdict(entry: LedgerEntry) -> bool:
    """Whether an entry says how a canary was decided, rather than what somebody did by hand."""
    return entry.action in (PROMOTE, CANARY_ENDED) and entry.why.startswith(VERDICTS)


def verdict_words(entry: LedgerEntry) -> str:
    """What an entry says of a canary, for whoever was not there."""
    what = f"{entry.model} v{entry.version}"
    if entry.action == PROMOTE:
        return f"{entry.environment} serves {what}: {entry.why}"
    return f"{what} was taken back from {entry.environment}: {entry.why}"


def _promote(
    releases: Releases,
    going_live: GoingLive,
    change: Change,
    state: CanaryState,
    entry: LedgerEntry,
    tell: Tell,
) -> str:
    """Make a canary that passed what its environment serves, by its gates as they were judged."""
    version = releases.registry.version(entry.model, entry.version)
    step = Step(
        PROMOTE,
        version,
        entry.gates,
        passed_words(state),
        entry.reason,
        entry.forced,
        (f"its canary was forced: {entry.why}",) if entry.forced else (),
        entry.commit,
    )
    return going_live.complete(change, step, going_live.address_of(change.environment), tell)


def _open_verdicts(
    layout: Layout, entries: Sequence[LedgerEntry], environment: str
) -> Iterator[tuple[CanaryState, LedgerEntry]]:
    """The states of canaries that have a verdict of which the ledger does not know."""
    shared = traffic_of(entries).get(environment, {})
    for state in read_canaries(layout, environment):
        entry = began(entries, environment, state.model, CANARY)
        traffic = shared.get(state.model, Traffic(state.model))
        if entry is not None and not is_settled(state, traffic, entry):
            yield state, entry
