"""What each stage was built from and gave, one checksummed line each: the memory of the loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlbench.domain.plain import from_plain, to_plain
from mlbench.domain.runs import TestCounts
from mlbench.system.journal import append, read_lines


@dataclass(frozen=True, slots=True)
class Trace:
    """One successful run of one stage: its inputs under `key`, its outs' digests, its results."""

    stage: str
    key: str
    parts: Mapping[str, str]
    outs: Mapping[str, str]
    run: str
    seconds: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    tests: TestCounts | None = None


class Traces:
    """All traces of a project; the newest counts where several have one key."""

    def __init__(self, file: Path) -> None:
        """Read the journal; lines that a crash tore are passed over."""
        self._file = file
        self._newest: dict[str, Trace] = {}
        self._by_key: dict[tuple[str, str], Trace] = {}
        for plain in read_lines(file):
            try:
                self._remember(from_plain(Trace, plain))
            except (ValueError, KeyError, TypeError):
                continue

    def newest(self, stage: str) -> Trace | None:
        """The latest trace of a stage, whatever its key."""
        return self._newest.get(stage)

    def under(self, stage: str, key: str) -> Trace | None:
        """The latest trace of a stage with this key."""
        return self._by_key.get((stage, key))

    def add(self, trace: Trace) -> None:
        """Append a trace durably."""
        append(self._file, [to_plain(trace)])
        self._remember(trace)

    def touch(self, trace: Trace) -> None:
        """Make a trace that stands again the newest, so that reasons compare with it."""
        if self._newest.get(trace.stage) is not trace:
            self.add(trace)

    def _remember(self, trace: Trace) -> None:
        self._newest[trace.stage] = trace
        self._by_key[trace.stage, trace.key] = trace
