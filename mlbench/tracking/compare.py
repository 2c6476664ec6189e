"""Two and more runs side by side, differences first; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlbench.domain.comparison import (
    CODE,
    DATA,
    ENVIRONMENT,
    KINDS,
    METRICS,
    PACKAGES,
    PARAMS,
    STAGES,
    ComparedRow,
    Noise,
)
from mlbench.domain.records import dataclass
from mlbench.domain.runs import Run, Scalar, StageRecord

Named = Mapping[str, Scalar]
_HASH_LENGTH = 12
# Told elsewhere, or different for no reason that matters.
_NO_ENVIRONMENT = ("packages", "variables", "mlbench_python")


@dataclass(frozen=True, slots=True)
class Side:
    """A whole run, and its `environment.json`."""

    run: Run
    environment: Mapping[str, Any]


def compare(sides: Sequence[Side], noise: Mapping[str, Noise]) -> tuple[ComparedRow, ...]:
    """A row for each name that any side has, by kind; within a kind what differs comes first."""
    rows: list[ComparedRow] = []
    for kind in KINDS:
        values = [_values(side, kind) for side in sides]
        found = [_row(kind, name, values, noise) for name in _names(values)]
        rows += sorted(found, key=lambda row: not row.differs)
    return tuple(rows)


def _row(kind: str, name: str, values: Sequence[Named], noise: Mapping[str, Noise]) -> ComparedRow:
    told = tuple(each.get(name) for each in values)
    if kind != METRICS:
        return ComparedRow(kind, name, told)
    first, last = told[0], told[-1]
    change = last - first if _is_number(first) and _is_number(last) else None  # type: ignore[operator]
    return ComparedRow(kind, name, told, change, noise.get(name))


def _is_number(value: Scalar) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _names(values: Sequence[Named]) -> dict[str, None]:
    return dict.fromkeys(name for each in values for name in each)


def _values(side: Side, kind: str) -> Named:
    run = side.run
    match kind:
        case _ if kind == PARAMS:
            return run.params
        case _ if kind == METRICS:
            return _metrics(run)
        case _ if kind == CODE:
            return {
                "commit": run.code.commit,
                "branch": run.code.branch,
                "changed files": run.code.changed_files,
            }
        case _ if kind == DATA:
            return dict(_inputs(run))
        case _ if kind == PACKAGES:
            return _text_values(side.environment.get("packages"))
        case _ if kind == ENVIRONMENT:
            return _environment(side.environment)
        case _:
            assert kind == STAGES
            return {name: _stage(stage) for name, stage in run.stages.items()}


def _metrics(run: Run) -> Named:
    """Last values, and of what was logged by step the extremes too."""
    values: dict[str, Scalar] = {}
    for name, value in run.metrics.items():
        values[name] = value
        extremes = run.extremes.get(name)
        if extremes is not None and extremes.min != extremes.max:
            values[f"{name}.min"], values[f"{name}.max"] = extremes.min, extremes.max
    return values


def _stage(stage: StageRecord) -> str:
    """The fingerprint of what stands, whether it ran for this run or before; else what befell."""
    if stage.stands:
        return (stage.key or "")[:_HASH_LENGTH]
    return stage.outcome.word if stage.outcome else "running"


def _inputs(run: Run) -> Iterator[tuple[str, str]]:
    """The data that no stage of the run made, by the hashes that its stages found."""
    made = {path for stage in run.stages.values() for path in stage.outs}
    for stage in run.stages.values():
        for path, digest in stage.inputs.items():
            if path not in made:
                yield path, digest[:_HASH_LENGTH]


def _environment(environment: Mapping[str, Any]) -> Named:
    """The environment's facts, flat; variables and packages are rows of their own."""
    flat: dict[str, Scalar] = {}
    for name, value in environment.items():
        if name not in _NO_ENVIRONMENT:
            flat |= _flat(name, value)
    variables = _text_values(environment.get("variables"))
    return flat | {f"${name}": value for name, value in variables.items()}


def _flat(name: str, value: Any) -> dict[str, Scalar]:
    if isinstance(value, Mapping):
        return {
            inner: found
            for key, item in value.items()
            for inner, found in _flat(f"{name}.{key}", item).items()
        }
    if isinstance(value, list):
        return {
            inner: found
            for at, item in enumerate(value)
            for inner, found in _flat(f"{name}.{at}", item).items()
        }
    return {name: value if isinstance(value, (str, int, float, bool)) or value is None else ""}


def _text_values(value: Any) -> dict[str, Scalar]:
    if not isinstance(value, Mapping):
        return {}
    return {str(name): _scalar(item) for name, item in value.items()}


def _scalar(value: Any) -> Scalar:
    if isinstance(value, Mapping):
        return " ".join(str(item) for item in value.values())
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)
