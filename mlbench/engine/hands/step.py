"""One step of an environment as a value: what is done to which version, and how it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from mlbench.domain.clock import utc
from mlbench.domain.events import Promoted, TrafficChanged
from mlbench.domain.ledger import (
    CANARY,
    CANARY_ENDED,
    PROMOTE,
    ROLLBACK,
    SHADOW,
    SHADOW_ENDED,
    TRAFFIC,
    WITHDRAW,
    shares_in_words,
)
from mlbench.domain.records import dataclass
from mlbench.domain.release import Candidate, GateResult, LedgerEntry
from mlbench.domain.serving import Traffic

# By what a step is taken back that no server could carry out.
TAKEN_BACK_BY = {
    PROMOTE: WITHDRAW,
    ROLLBACK: WITHDRAW,
    TRAFFIC: TRAFFIC,
    CANARY: CANARY_ENDED,
    SHADOW: SHADOW_ENDED,
}


@dataclass(frozen=True, slots=True)
class Step:
    """What is about to be done to an environment, and what the ledger will say of it.

    `overruled` are the sentences that spoke against it, where it was forced. Where shares of
    traffic are set, `version` is the live one, `joining` are those that are new among `weights`,
    and `weights_before` what the shares were.
    """

    action: str
    version: Candidate
    gates: tuple[GateResult, ...] = ()
    why: str = ""
    reason: str = ""
    is_forced: bool = False
    overruled: tuple[str, ...] = ()
    commit: str = ""
    weights: Mapping[str, float] = field(default_factory=dict)
    weights_before: Mapping[str, float] = field(default_factory=dict)
    joining: tuple[Candidate, ...] = ()

    @property
    def named(self) -> str:
        """`digits v3`."""
        return named(self.version)

    @property
    def staged(self) -> tuple[Candidate, ...]:
        """The versions that have to be in memory before it is taken."""
        return self.joining if self.action == TRAFFIC else (self.version,)

    @property
    def is_asked(self) -> bool:
        """Whether these are asked for held-out rows first.

        Not what was live before, and not what answers nobody: it only has to load.
        """
        return self.action not in (ROLLBACK, SHADOW)

    @property
    def makes_live(self) -> bool:
        """Whether another version is live after it."""
        return self.action in (PROMOTE, ROLLBACK)


def named(version: Candidate) -> str:
    """`digits v3`."""
    return f"{version.model} v{version.version}"


def ended_by(step: Step, traffic: Traffic) -> str:
    """What a step that makes a version live ends, in words; empty where that is nothing."""
    if not step.makes_live:
        return ""
    ended = []
    if traffic.canary is not None:
        ended.append(f"the canary of v{traffic.canary}")
    if traffic.weights:
        ended.append(f"the shares {shares_in_words(traffic.weights)}")
    if traffic.shadow is not None and traffic.shadow == step.version.version:
        ended.append(f"the shadow of v{traffic.shadow}")
    return f"ends {' and '.join(ended)}" if ended else ""


def event_of(entry: LedgerEntry, address: str) -> Promoted | TrafficChanged:
    """What is told of an entry of the ledger once servers do what it says."""
    place = (entry.environment, entry.model, entry.version, entry.run, address)
    if entry.action in (PROMOTE, ROLLBACK, WITHDRAW):
        return Promoted(utc(), entry.action, *place)
    return TrafficChanged(utc(), entry.action, *place, weights=entry.weights, why=entry.why)
