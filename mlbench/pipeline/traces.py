"""What each stage was built from and gave, one checksummed line each: the memory of the loop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from mlbench.domain.plain import from_plain, to_plain

if TYPE_CHECKING:
    from mlbench.domain.runs import TestCounts


# A trace by its stage, key and run.
_Name = tuple[str, str, str]
_KEPT_OF_A_STAGE = 100
_LONG = 1000


class Journal(Protocol):
    """Lines that are kept whole or not at all, of one writer or several."""

    def news(self) -> tuple[bool, list[Any]]:
        """The values since the last call, and whether they take the place of all before."""

    def append(self, value: Any) -> None:
        """Keep a value durably."""

    def rewrite(self, change: Callable[[list[Any]], list[Any] | None]) -> None:
        """Keep what `change` makes of all values in their place; None leaves them."""


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
    """All traces of a project, by stage and key; safe to use from several threads.

    Worktrees of one repository share them: what ran in one need not run in another. What stands
    in each worktree is told apart by its name.
    """

    def __init__(self, journal: Journal, tree: str = "") -> None:
        """Read the journal, for the worktree of this name; what is no trace is passed over."""
        self._journal = journal
        self._tree = tree
        self._lock = threading.Lock()
        self._clear()
        self._catch_up()

    def catch_up(self) -> None:
        """Take in what other processes have added since."""
        with self._lock:
            self._catch_up()

    def newest(self, stage: str) -> Trace | None:
        """The latest trace of a stage in this worktree, whatever its key."""
        return self._newest.get((self._tree, stage))

    def latest(self, stage: str) -> Trace | None:
        """The newest trace in this worktree; where it has none, the newest in another."""
        return self.newest(stage) or self._newest.get((self._elsewhere.get(stage, ""), stage))

    def all_newest(self) -> tuple[Trace, ...]:
        """The latest trace of every stage in every worktree."""
        return tuple(self._newest.values())

    def standing_in(self) -> tuple[tuple[str, Trace], ...]:
        """As `all_newest`, each after the name of its worktree; that of the home is empty."""
        return tuple((tree, trace) for (tree, _), trace in list(self._newest.items()))

    def under(self, stage: str, key: str) -> tuple[Trace, ...]:
        """The traces of a stage with this key, newest first."""
        with self._lock:
            return tuple(reversed(self._by_key.get((stage, key), ())))

    def of(self, stage: str) -> tuple[Trace, ...]:
        """Every trace of a stage, whatever its key."""
        with self._lock:
            known = [of for (name, _), of in self._by_key.items() if name == stage]
            return tuple(trace for of in known for trace in of)

    def is_various(self, stage: str) -> bool:
        """Whether the traces of a stage are of more than one key."""
        return stage in self._various

    def compact(self) -> None:
        """Drop the oldest traces from the journal where it has grown long."""

        def shorter(lines: list[Any]) -> list[Any] | None:
            kept = recent(lines, _KEPT_OF_A_STAGE)
            return kept if len(lines) > _LONG and len(lines) > 2 * len(kept) else None

        with self._lock:
            self._journal.rewrite(shorter)
            # What was dropped must not be taken for known, or it would be touched in vain.
            self._catch_up()

    def add(self, trace: Trace) -> None:
        """Append a trace durably."""
        with self._lock:
            self._append({"trace": to_plain(trace)})

    def touch(self, trace: Trace) -> None:
        """Make a trace that stands again the newest, so that reasons compare with it."""
        with self._lock:
            newest = self._newest.get((self._tree, trace.stage))
            if newest is not None and _are_same(newest, trace):
                return
            self._catch_up()
            known = self._by_key.get((trace.stage, trace.key), ())
            if not any(_are_same(one, trace) for one in known):
                # Its line was dropped since it was looked up.
                self._append({"trace": to_plain(trace)})
            self._append({"again": [trace.stage, trace.key, trace.run]})

    def _append(self, line: dict[str, Any]) -> None:
        # Most projects have no worktrees, and need not be told of it in every line.
        self._journal.append({**line, "tree": self._tree} if self._tree else line)
        # What is known is what the journal says, in its order, be it from here or elsewhere.
        self._catch_up()

    def _clear(self) -> None:
        self._newest: dict[tuple[str, str], Trace] = {}
        self._elsewhere: dict[str, str] = {}
        self._by_key: dict[tuple[str, str], list[Trace]] = {}
        self._key_of: dict[str, str] = {}
        self._various: set[str] = set()

    def _catch_up(self) -> None:
        is_anew, lines = self._journal.news()
        if is_anew:
            self._clear()
        for line in lines:
            self._read(line)

    def _read(self, plain: Any) -> None:
        try:
            tree = plain.get("tree", "")
            if "trace" in plain:
                self._remember(_trace(plain["trace"]), tree)
            else:
                stage, key, run = plain["again"]
                for trace in self._by_key.get((stage, key), ()):
                    if trace.run == run:
                        self._stand_again(trace, tree)
                        break
        except (ValueError, KeyError, TypeError, AttributeError):
            return

    def _remember(self, trace: Trace, tree: str | None) -> None:
        if self._key_of.setdefault(trace.stage, trace.key) != trace.key:
            self._various.add(trace.stage)
        self._put_last(trace)
        if trace.in_tree and tree is not None:
            self._stands(trace, tree)

    def _stand_again(self, trace: Trace, tree: str) -> None:
        self._put_last(trace)
        self._stands(trace, tree)

    def _put_last(self, trace: Trace) -> None:
        # Of one state several results may be known, where a stage is not deterministic: each may
        # stand on some disk.
        known = self._by_key.setdefault((trace.stage, trace.key), [])
        known[:] = [one for one in known if one.found != trace.found or one.outs != trace.outs]
        known.append(trace)

    def _stands(self, trace: Trace, tree: str) -> None:
        self._newest[tree, trace.stage] = trace
        self._elsewhere[trace.stage] = tree


def _are_same(one: Trace, other: Trace) -> bool:
    """Whether two are of one line; metrics tell nothing, and NaN is never equal to itself."""
    return one is other or all(
        getattr(one, name) == getattr(other, name) for name in ("key", "run", "found", "outs")
    )


def recent(lines: Iterable[Any], most: int) -> list[Any]:
    """The lines of each stage's most recent traces, `most` of them, in the order of use; pure.

    What stands in a worktree is kept, however much ran elsewhere since.
    """
    traces: dict[_Name, Any] = {}
    used: dict[str, dict[_Name, None]] = {}
    newest: dict[tuple[str, str], _Name] = {}
    for line in lines:
        trace, tree = line.get("trace"), line.get("tree", "")
        stage, key, run = (trace["stage"], trace["key"], trace["run"]) if trace else line["again"]
        name = (stage, key, run)
        if trace:
            traces[name] = line
        if name in traces:
            order = used.setdefault(stage, {})
            order.pop(name, None)
            order[name] = None
            if tree is not None and (not trace or trace["in_tree"]):
                newest[tree, stage] = name
    standing: dict[_Name, list[str]] = {}
    for (tree, _), name in newest.items():
        standing.setdefault(name, []).append(tree)
    kept: list[Any] = []
    for order in used.values():
        latest = {*list(order)[-most:], *(name for name in order if name in standing)}
        for name in (name for name in order if name in latest):
            # By itself a line would say that it stands where it was written.
            kept.append({**traces[name], "tree": None})
            kept += [_again(name, tree) for tree in standing.get(name, ())]
    return kept


def _again(name: _Name, tree: str) -> dict[str, Any]:
    return {"again": list(name), "tree": tree}


def _trace(plain: Mapping[str, Any]) -> Trace:
    """A trace from its plain value; by hand, for a long history has thousands."""
    tests = plain["tests"]
    return Trace(**plain) if tests is None else Trace(**{**plain, "tests": _counts(tests)})


def _counts(plain: Any) -> TestCounts:
    # Late: `status` needs it for the stages of tests alone.
    from mlbench.domain.runs import TestCounts

    return from_plain(TestCounts, plain)
