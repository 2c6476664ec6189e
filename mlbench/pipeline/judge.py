"""Whether a stage has to run, and every reason why: pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mlbench.domain.outcomes import ReasonKind, StageState
from mlbench.domain.plan import Reason, StageStatus
from mlbench.domain.stages import Stage
from mlbench.inside.secrets import is_secret
from mlbench.pipeline.fingerprint import MISSING, Fingerprint
from mlbench.pipeline.traces import Trace

_LONGEST = 60


def valid(traces: Iterable[Trace], found_now: Mapping[str, str]) -> tuple[Trace, ...]:
    """The traces whose found inputs all are what they were then, in the order given."""
    return tuple(
        trace
        for trace in traces
        if all(found_now.get(name) == value for name, value in trace.found.items())
    )


def choose(traces: Iterable[Trace], outs_now: Mapping[str, str | None]) -> Trace | None:
    """The trace whose outs are on disk, else the first."""
    traces = tuple(traces)
    standing = (trace for trace in traces if not _explain_outs(trace, outs_now))
    return next(standing, traces[0] if traces else None)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a stage is judged by.

    `hit` is the trace of the fingerprint's key and of what was found to be read, `outs_now` the
    digests on disk, `found_now` what the newest trace's found inputs are now. `key` tells this
    state of the stage from any other.
    """

    key: str
    newest: Trace | None
    hit: Trace | None
    outs_now: Mapping[str, str | None]
    found_now: Mapping[str, str]


def judge(
    stage: Stage,
    fingerprint: Fingerprint,
    evidence: Evidence,
    moving_upstream: tuple[str, ...] = (),
) -> StageStatus:
    """How the stage stands: fresh only if a trace has these inputs and its outs are on disk.

    `moving_upstream` are the stages before it that have to run first.
    """
    newest, hit = evidence.newest, evidence.hit
    reasons: list[Reason] = []
    if stage.always_changed or not (stage.deps or stage.outs or fingerprint.chains):
        reasons.append(Reason(ReasonKind.ALWAYS, stage.name, "runs every time"))
    reasons += [
        Reason(ReasonKind.UPSTREAM, name, f"{name} has to run first") for name in moving_upstream
    ]
    if hit is not None:
        reasons += _explain_outs(hit, evidence.outs_now)
    elif newest is not None:
        moved = [
            *explain(newest.parts, fingerprint),
            *explain_found(newest.found, evidence.found_now),
        ]
        reasons += moved or [Reason(ReasonKind.NEW, stage.name, "no result of it is kept")]
    else:
        reasons.append(Reason(ReasonKind.NEW, stage.name, "was never built here"))
    if stage.frozen and newest is not None:
        reasons = []
    state = StageState.FRESH
    if reasons:
        state = StageState.NEW if newest is None else StageState.STALE
    return StageStatus(
        name=stage.name,
        state=state,
        reasons=tuple(reasons),
        key=evidence.key,
        usual_seconds=newest.seconds if newest is not None else None,
        traced=newest.traced if newest is not None else None,
    )


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


def explain_found(before: Mapping[str, str], now: Mapping[str, str]) -> list[Reason]:
    """One reason for each input that the stage was seen to read and that is another by now."""
    reasons = []
    for name, old in before.items():
        new = now.get(name)
        if new != old:
            word, _, what = name.partition(":")
            kind = ReasonKind.of(word)
            if kind is ReasonKind.PACKAGE:
                what = what.partition("@")[0]
                reasons.append(Reason(kind, what, _versions(old, new)))
            else:
                reasons.append(Reason(kind, what, f"{_how(old, new)}, was seen to be read"))
    return reasons


def _versions(old: str, new: str | None) -> str:
    """What stands behind a version in brackets tells one installation of it from another."""
    before, now = old.partition(" ")[0], (new or MISSING).partition(" ")[0]
    return f"{before} → {now}" if before != now else f"{now} was installed anew"


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
    if kind is ReasonKind.PARAM and not is_secret(what):
        return f"{_shown(old)} → {_shown(new)}"
    if kind in (ReasonKind.COMMAND, ReasonKind.PYTHON):
        return f"{_short(old)} → {_short(new)}"
    how = _how(old, new)
    chain = chains.get(what, "")
    return f"{how} ({chain})" if " → " in chain else how


def _how(old: str | None, new: str | None) -> str:
    if old is None or old == MISSING:
        return "added"
    return "removed" if new is None or new == MISSING else "changed"


def _shown(value: str | None) -> str:
    if value is None:
        return "none"
    decoded = json.loads(value)
    return _short(decoded if isinstance(decoded, str) else value)


def _short(value: str | None) -> str:
    text = "none" if value is None else value.replace("\n", " && ")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
