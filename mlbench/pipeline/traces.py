"""What each stage was built from and gave, one checksummed line each: the memory of the loop."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from mlbench.domain.plain import from_plain, to_plain

if TYPE_CHECKING:
    from mlbench.domain.runs import TestCounts


_KEPT_OF_A_STAGE = 100
_LONG = 1000


class Journal(Protocol):
    """Lines that are kept whole or not at all."""

    def read(self) -> Iterable[Any]:
        """Every intact value, oldest first."""

    def append(self, value: Any) -> None:
        """Keep a value durably."""

    def rewrite(self, values: Iterable[Any]) -> None:
        """Keep these values in place of all."""


@dataclass(frozen=True, slots=True)
class Trace:
    """One successful run of one stage: its inputs under `key`, its outs' digests, its results.

    `found` are the inputs that it was seen to read, by name with their value. One that is not
    `restorable` wrote over an input: it tells whether the stage is fresh, no more. One that is not
    `in_tree` ran elsewhere, and never stood on the project's own disk.
    """

    stage: str
    key: str
    parts: Mapping[str, str]
    outs: Mapping[str, str]
    run: str
    seconds: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    tests: TestCounts | None = None
    found: Mapping[str, str] = field(default_factory=dict)
    traced: bool = False
    restorable: bool = True
    in_tree: bool = True


class Traces:
    """All traces of a project, by stage and key; safe to use from several threads."""

    def __init__(self, journal: Journal) -> None:
        """Read the journal; what is no trace is passed over."""
        self._journal = journal
        self._lock = threading.Lock()
        self._newest: dict[str, Trace] = {}
        self._by_key: dict[tuple[str, str], list[Trace]] = {}
        self._key_of: dict[str, str] = {}
        self._various: set[str] = set()
        for plain in journal.read():
            self._read(plain)

    def newest(self, stage: str) -> Trace | None:
        """The latest trace of a stage in the project's tree, whatever its key."""
        return self._newest.get(stage)

    def all_newest(self) -> tuple[Trace, ...]:
        """The latest trace of every stage in the project's tree."""
        return tuple(self._newest.values())

    def under(self, stage: str, key: str) -> tuple[Trace, ...]:
        """The traces of a stage with this key, newest first."""
        with self._lock:
            return tuple(reversed(self._by_key.get((stage, key), ())))

    def is_various(self, stage: str) -> bool:
        """Whether the traces of a stage are of more than one key."""
        return stage in self._various

    def compact(self) -> None:
        """Drop the oldest traces from the journal where it has grown long; for its only writer."""
        with self._lock:
            lines = list(self._journal.read())
            kept = recent(lines, _KEPT_OF_A_STAGE)
            if len(lines) > _LONG and len(lines) > 2 * len(kept):
                self._journal.rewrite(kept)

    def add(self, trace: Trace) -> None:
        """Append a trace durably."""
        with self._lock:
            self._journal.append({"trace": to_plain(trace)})
            self._remember(trace)

    def touch(self, trace: Trace) -> None:
        """Make a trace that stands again the newest, so that reasons compare with it."""
        with self._lock:
            if self._newest.get(trace.stage) is not trace:
                self._journal.append({"again": [trace.stage, trace.key, trace.run]})
                self._stand_again(trace)

    def _read(self, plain: Any) -> None:
        try:
            if "trace" in plain:
                self._remember(_trace(plain["trace"]))
            else:
                stage, key, run = plain["again"]
                for trace in self._by_key.get((stage, key), ()):
                    if trace.run == run:
                        self._stand_again(trace)
                        break
        except (ValueError, KeyError, TypeError):
            return

    def _remember(self, trace: Trace) -> None:
        if self._key_of.setdefault(trace.stage, trace.key) != trace.key:
            self._various.add(trace.stage)
        known = self._by_key.setdefault((trace.stage, trace.key), [])
        known[:] = [other for other in known if other.found != trace.found]
        known.append(trace)
        if trace.in_tree:
            self._newest[trace.stage] = trace

    def _stand_again(self, trace: Trace) -> None:
        known = self._by_key[trace.stage, trace.key]
        known[:] = [*(other for other in known if other is not trace), trace]
        self._newest[trace.stage] = trace


def recent(lines: Iterable[Any], most: int) -> list[Any]:
    """The lines of each stage's most recent traces, `most` of them, in the order of use; pure."""
    traces: dict[tuple[str, str, str], Any] = {}
    used: dict[str, dict[tuple[str, str, str], bool]] = {}
    newest: dict[str, tuple[str, str, str]] = {}
    for line in lines:
        trace = line.get("trace")
        stage, key, run = (trace["stage"], trace["key"], trace["run"]) if trace else line["again"]
        name = (stage, key, run)
        if trace:
            traces[name] = line
        if name in traces:
            order = used.setdefault(stage, {})
            stood_again = order.pop(name, False) or not trace
            order[name] = stood_again
            if not trace or trace["in_tree"]:
                newest[stage] = name
    kept: list[Any] = []
    for stage, order in used.items():
        # What stands in the tree is kept, however much ran elsewhere since.
        latest = {*list(order)[-most:], newest.get(stage)}
        for name, stood_again in order.items():
            if name not in latest:
                continue
            kept.append(traces[name])
            if stood_again:
                kept.append({"again": list(name)})
    return kept


def _trace(plain: Mapping[str, Any]) -> Trace:
    """A trace from its plain value; by hand, for a long history has thousands."""
    tests = plain["tests"]
    return Trace(**plain) if tests is None else Trace(**{**plain, "tests": _counts(tests)})


def _counts(plain: Any) -> TestCounts:
    # Late: `status` needs it for the stages of tests alone.
    from mlbench.domain.runs import TestCounts

    return from_plain(TestCounts, plain)
