"""What has to run and why, as data that the faces only phrase."""

from __future__ import annotations

from mlbench.domain.outcomes import ReasonKind, StageState
from mlbench.domain.records import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """One cause for a stage to run: `what` names the input, `detail` how it moved."""

    kind: ReasonKind
    what: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class StageStatus:
    """How one stage stands: its state, every reason, its key and how long it usually takes.

    `traced` says whether what it read was seen when it ran last; None where it never ran.
    """

    name: str
    state: StageState
    reasons: tuple[Reason, ...] = ()
    key: str | None = None
    usual_seconds: float | None = None
    traced: bool | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """All stages in topological order with what stands before each."""

    stages: tuple[StageStatus, ...]
    needs: dict[str, tuple[str, ...]]

    @property
    def stale(self) -> tuple[StageStatus, ...]:
        """The stages that are not fresh."""
        return tuple(stage for stage in self.stages if stage.state is not StageState.FRESH)
