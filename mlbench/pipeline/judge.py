"""Whether a stage has to run, and every reason why: pure."""

from __future__ import annotations

import json
from collections.abc import Mapping

from mlbench.domain.outcomes import ReasonKind, StageState
from mlbench.domain.plan import Reason, StageStatus
from mlbench.domain.stages import Stage
from mlbench.pipeline.fingerprint import MISSING, Fingerprint
from mlbench.pipeline.traces import Trace

_LONGEST = 60


def judge(
    stage: Stage,
    fingerprint: Fingerprint,
    newest: Trace | None,
    hit: Trace | None,
    outs_now: Mapping[str, str | None],
    moving_upstream: tuple[str, ...],
) -> StageStatus:
    """How the stage stands: fresh only if a trace has this key and its outs are on disk.

    `hit` is the trace under the fingerprint's key, `outs_now` the digests on disk, and
    `moving_upstream` the stages before it that have to run first.
    """
    reasons: list[Reason] = []
    if stage.always_changed or not (stage.deps or stage.outs or fingerprint.chains):
        reasons.append(Reason(ReasonKind.ALWAYS, stage.name, "runs every time"))
    reasons += [
        Reason(ReasonKind.UPSTREAM, name, f"{name} has to run first") for name in moving_upstream
    ]
    if hit is not None:
        reasons += _explain_outs(hit, outs_now)
    elif newest is not None:
        reasons += explain(newest.parts, fingerprint)
    else:
        reasons.append(Reason(ReasonKind.NEW, stage.name, "was never built here"))
    if stage.frozen and newest is not None:
        reasons = []
    state = StageState.FRESH
    if reasons:
        state = StageState.NEW if newest is None else StageState.STALE
    usual = newest.seconds if newest is not None else None
    return StageStatus(stage.name, state, tuple(reasons), fingerprint.key, usual)


def explain(before: Mapping[str, str], now: Fingerprint) -> list[Reason]:
    """One reason for each input that is new, gone or different."""
    reasons = []
    for name in dict.fromkeys((*now.parts, *before)):
        old, new = before.get(name), now.parts.get(name)
        if old != new:
            word, _, what = name.partition(":")
            kind = ReasonKind.of(word)
            reasons.append(Reason(kind, what, _detail(kind, what, old, new, now.chains)))
    return reasons


def _explain_outs(hit: Trace, outs_now: Mapping[str, str | None]) -> list[Reason]:
    return [
        Reason(
            ReasonKind.OUTPUT, path, "is missing" if outs_now.get(path) is None else "was altered"
        )
        for path, digest in hit.outs.items()
        if outs_now.get(path) != digest
    ]


def _detail(
    kind: ReasonKind, what: str, old: str | None, new: str | None, chains: Mapping[str, str]
) -> str:
    if kind is ReasonKind.PARAM:
        return f"{_shown(old)} → {_shown(new)}"
    if kind in (ReasonKind.COMMAND, ReasonKind.PYTHON):
        return f"{_short(old)} → {_short(new)}"
    how = "changed"
    if old is None or old == MISSING:
        how = "added"
    elif new is None or new == MISSING:
        how = "removed"
    chain = chains.get(what, "")
    return f"{how} ({chain})" if " → " in chain else how


def _shown(value: str | None) -> str:
    if value is None:
        return "none"
    decoded = json.loads(value)
    return _short(decoded if isinstance(decoded, str) else value)


def _short(value: str | None) -> str:
    text = "none" if value is None else value.replace("\n", " && ")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
