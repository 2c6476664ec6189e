"""The record of a run, put together from what its flight, its stages and their scripts tell."""

from __future__ import annotations

import functools
import getpass
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from typing import Any

from mlbench.domain.clock import utc
from mlbench.domain.curves import Summary
from mlbench.domain.outcomes import ReasonKind, StageOutcome, outcome_of_run
from mlbench.domain.plan import Reason
from mlbench.domain.records import dataclass
from mlbench.domain.runs import Extremes, Marks, Run, Scalar, StageRecord, data_read
from mlbench.engine.flight_files import Opening
from mlbench.engine.inputs import StageDone
from mlbench.engine.state import Flight
from mlbench.inside.secrets import HIDDEN, is_secret, without_secrets
from mlbench.pipeline.job import BuildResult
from mlbench.system.content import hash_bytes


@dataclass(frozen=True, slots=True)
class Said:
    """What one stage's processes said by themselves: metrics by step, parameters, tags."""

    metrics: Mapping[str, Summary] = field(default_factory=dict)
    params: Mapping[str, Scalar] = field(default_factory=dict)
    tags: tuple[str, ...] = ()


_HASH_LENGTH = 16
NOTHING_SAID = Said()
NO_WORDS: Mapping[str, Said] = {}


def assemble(
    flight: Flight,
    results: Mapping[str, BuildResult],
    opening: Opening,
    said: Mapping[str, Said] = NO_WORDS,
) -> Run:
    """The record of a run whose stages have ended by now."""
    stages = {
        name: _stage_record(
            flight.run,
            flight.outcomes[name],
            results.get(name) or _as_result(flight.endings.get(name)),
            said.get(name, NOTHING_SAID),
        )
        for name in flight.order
    }
    metrics, extremes = _metrics(stages, said)
    return Run(
        id=flight.run,
        name=flight.name,
        outcome=outcome_of_run(dict(flight.outcomes)),
        origin=flight.origin,
        by=user_name(),
        started=utc(flight.started),
        seconds=round(time.time() - flight.started, 3),
        code=opening.code,
        params=_params(opening, results, said),
        metrics=metrics,
        stages=stages,
        extremes=extremes,
        marks=Marks(tags=tuple(dict.fromkeys(tag for one in said.values() for tag in one.tags))),
        data=_data_hash(stages),
    )


def without_secrets_in(run: Run, secrets: Sequence[str]) -> Run:
    """The run with `***` for these values wherever they turn up, and for what a name calls secret.

    Keys, hashes and paths stay as they are.
    """
    clean = functools.partial(without_secrets, values=secrets)
    return replace(
        run,
        params={name: _hidden(name, value, clean) for name, value in run.params.items()},
        stages={
            name: replace(
                stage,
                message=clean(stage.message),
                reasons=tuple(_clean_reason(reason, clean) for reason in stage.reasons),
            )
            for name, stage in run.stages.items()
        },
        marks=replace(run.marks, tags=tuple(map(clean, run.marks.tags))),
    )


def scalar(value: Any) -> Scalar:
    """A parameter's value as the record has it: what is nested or a date becomes text."""
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)


def user_name() -> str:
    """Who runs this; where the system has no name for them, their number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _stage_record(
    run: str, outcome: StageOutcome, result: BuildResult | None, said: Said
) -> StageRecord:
    if result is None:
        return StageRecord(outcome, 0.0, None, None)
    trace = result.trace
    return StageRecord(
        outcome=outcome,
        seconds=round(result.seconds, 3),
        key=result.key,
        # Neither looked at nor timed: no command can have run.
        ran_in=trace.run if trace else run if result.key or result.seconds else None,
        outs=trace.outs if trace else {},
        # What a stage logged before it failed is all that there is of it.
        metrics=trace.metrics if trace else {name: one.last for name, one in said.metrics.items()},
        tests=result.tests,
        reasons=result.reasons,
        message=result.message,
        inputs=result.inputs,
        cpu_seconds=result.cpu_seconds,
        peak_memory=result.peak_memory,
    )


def _data_hash(stages: Mapping[str, StageRecord]) -> str:
    """What tells runs on other data apart, short, for the index has it of every run."""
    read = json.dumps(data_read(stages, stages), sort_keys=True)
    return hash_bytes(read.encode())[:_HASH_LENGTH]


def _as_result(done: StageDone | None) -> BuildResult | None:
    """What the holder before told of a stage, as far as it was written down."""
    if done is None:
        return None
    return BuildResult(
        done.stage,
        done.outcome,
        done.seconds,
        done.reasons,
        done.message,
        done.key,
        cpu_seconds=done.cpu_seconds,
        peak_memory=done.peak_memory,
        counted=done.tests,
    )


def _metrics(
    stages: Mapping[str, StageRecord], said: Mapping[str, Said]
) -> tuple[dict[str, float], dict[str, Extremes]]:
    """Each metric's last value, and its extremes where the same stage logged it by step.

    Where several stages give a metric, the last of them counts.
    """
    metrics: dict[str, float] = {}
    extremes: dict[str, Extremes] = {}
    for stage, record in stages.items():
        by_step = said.get(stage, NOTHING_SAID).metrics
        for name, value in record.metrics.items():
            metrics[name] = value
            extremes.pop(name, None)
            if name in by_step:
                extremes[name] = by_step[name].extremes
    return metrics, extremes


def _params(
    opening: Opening, results: Mapping[str, BuildResult], said: Mapping[str, Said]
) -> dict[str, Scalar]:
    """Declared parameters, and those that scripts told; what differs is named after its stage."""
    # An edit between the run's start and a stage's is in what the stage ran with.
    params = dict(opening.params)
    for result in results.values():
        params |= {name: scalar(value) for name, value in result.params.items()}
    for stage, one in said.items():
        for name, value in one.params.items():
            if params.setdefault(name, value) != value:
                params[f"{stage}.{name}"] = value
    return params


def _hidden(name: str, value: Scalar, clean: Callable[[str], str]) -> Scalar:
    if is_secret(name) and value is not None:
        return HIDDEN
    return clean(value) if isinstance(value, str) else value


def _clean_reason(reason: Reason, clean: Callable[[str], str]) -> Reason:
    if reason.kind is ReasonKind.PARAM and is_secret(reason.what) and reason.detail:
        return replace(reason, detail=HIDDEN)
    return replace(reason, detail=clean(reason.detail)) if reason.detail else reason
