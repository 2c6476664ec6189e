"""How a lock and the present differ, and the sentence that says so: pure."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from mlbench.domain.outcomes import ReasonKind
from mlbench.domain.plan import Plan
from mlbench.pipeline.fingerprint import MISSING
from mlbench.pipeline.traces import Trace
from mlbench.project.layout import LOCK_NAME
from mlbench.project.lockfile import LockedStage, as_text

_PYTHON = f"{ReasonKind.PYTHON.word}:python"
_PACKAGE = f"{ReasonKind.PACKAGE.word}:"
# Stands for the folder of the project's environment, which is another one on each machine.
_ENVIRONMENT = "{environment}"
_LONGEST = 60


@dataclass(frozen=True, slots=True)
class Difference:
    """One input of a stage that is not the locked one; None where it is missing on a side."""

    stage: str
    name: str
    locked: str | None
    now: str | None


@dataclass(frozen=True, slots=True)
class Portable:
    """Turns what only one machine knows into what all do: Python's version for its place."""

    environment: str
    python: str

    def stage(self, trace: Trace) -> LockedStage:
        """A trace as the lock has it."""
        return LockedStage(
            inputs=self.named(trace.parts),
            found=self.named(trace.found),
            outs=_texts(trace.outs),
            metrics={as_text(name): value for name, value in trace.metrics.items()},
        )

    def named(self, inputs: Mapping[str, str]) -> dict[str, str]:
        """Inputs under the names that they have on every machine."""
        here, there = f"@{self.environment}/", f"@{_ENVIRONMENT}/"
        common = {
            name.replace(here, there) if name.startswith(_PACKAGE) else name: value
            for name, value in inputs.items()
        }
        if _PYTHON in common:
            common[_PYTHON] = self.python
        return _texts(common)

    def own(self, name: str) -> str:
        """An input of the lock under the name that it has here."""
        return name.replace(f"@{_ENVIRONMENT}/", f"@{self.environment}/")


def unlockable(plan: Plan) -> list[str]:
    """The stages that are not fresh, in order; one that runs every time counts by what else it has.

    Pure.
    """
    stale: list[str] = []
    for status in plan.stages:
        causes = [
            reason
            for reason in status.reasons
            if reason.kind is not ReasonKind.ALWAYS
            and not (reason.kind is ReasonKind.UPSTREAM and reason.what not in stale)
        ]
        if causes:
            stale.append(status.name)
    return stale


def differences(
    stage: str, locked: Mapping[str, str], now: Mapping[str, str]
) -> tuple[Difference, ...]:
    """The inputs that are others than the locked ones, sorted by name; pure.

    Python comes first, for by another one code that is the same parses to something else.
    """
    return tuple(
        Difference(stage, name, locked.get(name), now.get(name))
        for name in sorted({*locked, *now}, key=lambda name: (name != _PYTHON, name))
        if locked.get(name) != now.get(name)
    )


def sentence(difference: Difference) -> str:
    """What differs, with both values where they are no hashes, and what to do."""
    stage = difference.stage
    if not difference.name:
        return f"{LOCK_NAME}: has no stage {stage}; write it anew with `mlbench lock`"
    word, _, what = difference.name.partition(":")
    kind = ReasonKind.of(word)
    what = what.partition("@")[0] if kind is ReasonKind.PACKAGE else what
    values = f"is {_shown(kind, difference.now)}, locked is {_shown(kind, difference.locked)}"
    if kind in (ReasonKind.FILE, ReasonKind.CODE, ReasonKind.ENV):
        values = _moved(difference)
    return (
        f"{LOCK_NAME}: {stage}: {word} {what} {values}; bring it back, "
        "or write the lock anew with `mlbench lock`"
    )


def _moved(difference: Difference) -> str:
    if difference.now in (None, MISSING):
        return "is locked, but not there" if difference.now == MISSING else "is no input any more"
    if difference.locked in (None, MISSING):
        return "is not among the locked inputs"
    return "is not what is locked"


def _shown(kind: ReasonKind, value: str | None) -> str:
    if value is None:
        return "none"
    if kind is ReasonKind.PARAM:
        with contextlib.suppress(ValueError):
            decoded = json.loads(value)
            value = decoded if isinstance(decoded, str) else value
    text = value.replace("\n", " && ")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _texts(values: Mapping[str, str]) -> dict[str, str]:
    return {as_text(name): as_text(value) for name, value in values.items()}
