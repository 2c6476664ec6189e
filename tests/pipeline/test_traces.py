"""The journal of traces: whichever traces stood last are found again, however long it grew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mlbench.pipeline.traces import Trace, Traces, recent
from mlbench.system.journal import Journal


def trace(stage: str, key: str, run: str, *, in_tree: bool = True) -> Trace:
    return Trace(stage, key, {}, {"out": key}, run, 1.0, in_tree=in_tree)


class Lines:
    def __init__(self, lines: list[Any]) -> None:
        self.lines = lines

    def read(self) -> list[Any]:
        return self.lines

    def append(self, value: Any) -> None:
        self.lines.append(value)

    def rewrite(self, values: Any) -> None:
        self.lines[:] = values


uses = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 5), st.booleans()), max_size=40)


@given(uses=uses, most=st.integers(1, 8))
def test_what_was_used_last_stands_as_before(uses: list[tuple[str, int, bool]], most: int) -> None:
    lines = Lines([])
    traces = Traces(lines)
    known: dict[tuple[str, int], Trace] = {}
    for number, (stage, key, in_tree) in enumerate(uses):
        if (stage, key) in known:
            traces.touch(known[stage, key])
        else:
            known[stage, key] = trace(stage, f"k{key}", f"r{number}", in_tree=in_tree)
            traces.add(known[stage, key])
    kept = Traces(Lines(recent(lines.lines, most)))
    whole = Traces(Lines(recent(lines.lines, 1000)))
    for stage in "ab":
        assert whole.newest(stage) == traces.newest(stage)
        assert kept.newest(stage) == traces.newest(stage)
        added = [key for name, key in known if name == stage]
        for key in added:
            assert whole.under(stage, f"k{key}") == traces.under(stage, f"k{key}")
            assert list(kept.under(stage, f"k{key}")) in ([], list(whole.under(stage, f"k{key}")))
        # One more than asked for where what stands in the tree was used before all of these.
        assert sum(bool(kept.under(stage, f"k{key}")) for key in added) in (
            min(most, len(added)),
            min(most + 1, len(added)),
        )


def test_a_long_journal_is_cut_and_a_short_one_is_left(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    traces = Traces(Journal(path))
    for number in range(60):
        traces.add(trace("a", f"k{number}", f"r{number}"))
    before = path.read_bytes()
    traces.compact()
    assert path.read_bytes() == before
    for number in range(60, 1100):
        traces.add(trace("a", f"k{number}", f"r{number}"))
    traces.compact()
    again = Traces(Journal(path))
    assert again.under("a", "k1099") != ()
    assert again.under("a", "k1000") != ()
    assert again.under("a", "k999") == ()
    newest = again.newest("a")
    assert newest is not None
    assert newest.key == "k1099"
