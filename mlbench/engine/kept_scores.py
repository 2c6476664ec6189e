"""What models scored on other evaluation data than their run's, kept so that it is worked out once.

It follows from what is on record, and may be dropped at any time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from mlbench.domain.errors import MlbenchError
from mlbench.domain.plain import from_plain, to_plain
from mlbench.domain.records import dataclass
from mlbench.domain.runs import Run, StageRecord
from mlbench.system.files import read_json, write_json
from mlbench.system.locks import locked

_MOST = 200


class NotScoredError(MlbenchError):
    """A model can't be scored on the evaluation data as it stands; says why."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What evaluating one model gave: metrics by stage and name, outs by path as digests."""

    metrics: Mapping[str, Mapping[str, float]]
    outs: Mapping[str, str]


class KeptScores:
    """Scores by what they were measured from; the newest few hundred are kept."""

    def __init__(self, path: Path, most: int = _MOST) -> None:
        """Use this file; it is made with the first scores."""
        self._path = path
        self._most = most

    def get(self, key: str) -> Scores | None:
        """What was kept under a key; None where nothing is, or the file is torn."""
        try:
            return from_plain(Scores, self._read()[key])
        except (KeyError, TypeError, ValueError, AttributeError):
            return None

    def put(self, key: str, scores: Scores) -> None:
        """Keep scores under a key."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with locked(self._path.with_suffix(".lock")):
            known = {name: value for name, value in self._read().items() if name != key}
            recent = list(known.items())[-(self._most - 1) :]
            write_json(self._path, {**dict(recent), key: to_plain(scores)})

    def _read(self) -> dict[str, object]:
        known = read_json(self._path)
        return known if isinstance(known, dict) else {}


def with_scores(run: Run, scores: Scores) -> Run:
    """The run as if its model had been evaluated so; pure."""
    stages = dict(run.stages)
    metrics = dict(run.metrics)
    for name, measured in scores.metrics.items():
        record = stages.get(name) or StageRecord(None, 0.0, None, None)
        outs = {path: scores.outs.get(path, digest) for path, digest in record.outs.items()}
        stages[name] = dataclasses.replace(record, metrics=measured, outs=outs)
        metrics |= measured
    return dataclasses.replace(run, stages=stages, metrics=metrics)
