"""The graph of stages: its order, its circles and who stands before and behind whom."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.graph import (
    PathIndex,
    StageCycleError,
    in_order,
    needs_of,
    overlaps,
    with_ancestors,
    with_descendants,
)
from mlbench.domain.stages import Out, Stage

Needs = dict[str, frozenset[str]]
NAMES = tuple("abcdefg")


def _graph(edges: list[tuple[str, str]]) -> Needs:
    return {
        name: frozenset(needed for user, needed in edges if user == name) - {name} for name in NAMES
    }


graphs = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=12).map(
    _graph
)
acyclic = st.lists(
    st.sampled_from([(b, a) for a, b in itertools.combinations(NAMES, 2)]), max_size=12
).map(_graph)


def _reaches(needs: Needs, start: str, goal: str) -> bool:
    return any(up == goal or _reaches(needs, up, goal) for up in needs[start])


def _is_before_itself(needs: Needs, name: str) -> bool:
    return name in with_ancestors(needs[name], needs)


@given(acyclic)
def test_every_stage_stands_behind_what_it_needs(needs: Needs) -> None:
    order = in_order(needs)
    assert sorted(order) == sorted(needs)
    for name in needs:
        assert all(order.index(up) < order.index(name) for up in needs[name])


@given(graphs)
def test_a_circle_is_walked_along_its_needs_once(needs: Needs) -> None:
    if not any(_is_before_itself(needs, name) for name in needs):
        in_order(needs)
        return
    with pytest.raises(StageCycleError) as caught:
        in_order(needs)
    walk = caught.value.names
    assert walk[0] == walk[-1]
    assert len(set(walk)) == len(walk) - 1
    assert all(up in needs[name] for name, up in itertools.pairwise(walk))


@given(acyclic, st.sampled_from(NAMES), st.sampled_from(NAMES))
def test_ancestors_and_descendants_are_two_views_of_one_relation(
    needs: Needs, one: str, other: str
) -> None:
    is_before = other == one or _reaches(needs, one, other)
    assert (other in with_ancestors([one], needs)) is is_before
    assert (one in with_descendants([other], needs)) is is_before


@given(graphs, st.lists(st.sampled_from(NAMES)))
def test_closures_are_closed(needs: Needs, names: list[str]) -> None:
    for close in (with_ancestors, with_descendants):
        closed = close(names, needs)
        assert set(names) <= closed
        assert close(closed, needs) == closed


def test_the_order_is_the_same_in_every_process() -> None:
    script = (
        "from mlbench.domain.graph import in_order\n"
        "names = [f'stage{i}' for i in range(12)]\n"
        "print(in_order({'last': frozenset(names), **{n: frozenset() for n in names}}))"
    )
    orders = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in "1234"
    }
    assert len(orders) == 1


parts = st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=3).map("/".join)


@given(parts, parts)
def test_paths_overlap_where_one_lies_in_the_other(one: str, other: str) -> None:
    inside = f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")
    assert overlaps(one, other) is overlaps(other, one) is inside


places = st.one_of(
    parts,
    st.sampled_from([".", "./a", "a//b", "a/./b", "../a", "/a", "/a/b", "//a", "a/..", "a/b/"]),
)
stages_at_random = st.lists(
    st.tuples(st.lists(places, max_size=3), st.lists(places, max_size=2)), max_size=8
).map(
    lambda drawn: [
        Stage(f"s{at}", ("x",), deps=tuple(deps), outs=tuple(Out(path) for path in outs))
        for at, (deps, outs) in enumerate(drawn)
    ]
)


def _overlaps_by_parts(one: str, other: str) -> bool:
    a, b = PurePosixPath(one).parts, PurePosixPath(other).parts
    shorter = min(len(a), len(b))
    return a[:shorter] == b[:shorter]


@given(stages_at_random)
def test_needs_are_those_that_a_look_at_every_pair_finds(stages: list[Stage]) -> None:
    by_pairs = {
        stage.name: frozenset(
            other.name
            for other in stages
            if other is not stage
            and any(_overlaps_by_parts(out, dep) for out in other.out_paths for dep in stage.deps)
        )
        for stage in stages
    }
    assert needs_of(stages) == by_pairs
    assert list(needs_of(stages)) == list(by_pairs)


@given(st.lists(places, max_size=6), places)
def test_an_index_finds_every_path_that_overlaps(known: list[str], wanted: str) -> None:
    index = PathIndex()
    for at, path in enumerate(known):
        index.add(path, str(at))
    expected = [str(at) for at, path in enumerate(known) if _overlaps_by_parts(path, wanted)]
    assert sorted(index.owners_of(wanted)) == expected
    for path in known:
        assert overlaps(path, wanted) is _overlaps_by_parts(path, wanted)


def test_a_stage_needs_those_whose_outs_it_reads_in_whole_or_in_part() -> None:
    stages = (
        Stage("read-inside", ("x",), deps=("build/sub/file",)),
        Stage("make", ("x",), outs=(Out("build"),)),
        Stage("read-around", ("x",), deps=("data", "."), outs=()),
        Stage("apart", ("x",), deps=("builder",)),
    )
    assert needs_of(stages) == {
        "read-inside": frozenset({"make"}),
        "make": frozenset(),
        "read-around": frozenset({"make"}),
        "apart": frozenset(),
    }


def test_a_circle_says_its_walk() -> None:
    with pytest.raises(StageCycleError, match=r"^[abc] → [abc] → [abc] → [abc]$"):
        in_order({"a": frozenset("b"), "b": frozenset("c"), "c": frozenset("a")})
