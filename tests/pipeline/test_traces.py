"""The journal of traces: whichever traces stood last are found again, however long it grew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
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
        self.read_to = 0

    def news(self) -> tuple[bool, list[Any]]:
        begin, self.read_to = self.read_to, len(self.lines)
        return False, self.lines[begin:]

    def append(self, value: Any) -> None:
        self.lines.append(value)

    def rewrite(self, change: Callable[[list[Any]], list[Any] | None]) -> None:
        raise NotImplementedError


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


def test_what_ran_in_one_worktree_is_known_in_another_and_stands_in_the_first_alone(
    tmp_path: Path,
) -> None:
    home, tree = (Traces(Journal(tmp_path / "traces.jsonl"), name) for name in ("", "tree"))
    made = trace("a", "k1", "r1")
    home.add(made)
    assert tree.under("a", "k1") == ()
    tree.catch_up()
    assert tree.under("a", "k1") == (made,)
    assert tree.newest("a") is None
    assert tree.latest("a") == made
    other = trace("a", "k2", "r2")
    tree.add(other)
    home.catch_up()
    assert (home.newest("a"), tree.newest("a")) == (made, other)
    tree.touch(made)
    home.catch_up()
    assert (home.newest("a"), tree.newest("a")) == (made, made)
    assert home.standing_in() == (("", made), ("tree", made))


def test_two_results_of_one_state_are_both_known(tmp_path: Path) -> None:
    """A stage that is not deterministic may have given each worktree another."""
    traces = Traces(Journal(tmp_path / "traces.jsonl"))
    one, two = trace("a", "k", "r1"), replace(trace("a", "k", "r2"), outs={"out": "else"})
    traces.add(one)
    traces.add(two)
    assert traces.under("a", "k") == (two, one)
    assert traces.of("a") == (one, two)
    assert Traces(Journal(tmp_path / "traces.jsonl")).under("a", "k") == (two, one)


trees = st.lists(
    st.tuples(st.sampled_from(["", "t", "u"]), st.integers(0, 4), st.booleans()), max_size=40
)


@given(uses=trees, most=st.integers(1, 4))
def test_what_stands_in_each_worktree_outlives_the_cutting(
    uses: list[tuple[str, int, bool]], most: int
) -> None:
    lines = Lines([])
    worktrees = {name: Traces(Lines(lines.lines), name) for name in ("", "t", "u")}
    for number, (name, key, in_tree) in enumerate(uses):
        traces = worktrees[name]
        traces.catch_up()
        known = traces.under("a", f"k{key}")
        if known:
            traces.touch(known[0])
        else:
            traces.add(trace("a", f"k{key}", f"r{number}", in_tree=in_tree))
    kept = recent(lines.lines, most)
    for name, traces in worktrees.items():
        traces.catch_up()
        again = Traces(Lines(kept), name)
        assert again.newest("a") == traces.newest("a")
        twice = Traces(Lines(recent(kept, most)), name)
        assert twice.newest("a") == traces.newest("a")


def test_a_trace_that_was_dropped_meanwhile_is_kept_when_it_stands_again(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    home, tree = Traces(Journal(path)), Traces(Journal(path), "tree")
    old = trace("a", "old", "r")
    home.add(old)
    tree.catch_up()
    for number in range(1100):
        home.add(trace("a", f"k{number}", f"r{number}"))
    home.compact()
    assert home.under("a", "old") == ()
    tree.touch(old)
    assert Traces(Journal(path), "tree").newest("a") == old


def test_what_stands_already_is_not_noted_again(tmp_path: Path) -> None:
    traces = Traces(Journal(tmp_path / "traces.jsonl"))
    # NaN is not equal to itself.
    made = replace(trace("a", "k", "r"), metrics={"loss": float("nan")})
    traces.add(made)
    size = (tmp_path / "traces.jsonl").stat().st_size
    traces.touch(traces.under("a", "k")[0])
    traces.touch(made)
    assert (tmp_path / "traces.jsonl").stat().st_size == size
