"""What a changed space leaves comparable, by its laws."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.spaces import (
    SpaceCycleError,
    active_values,
    contains,
    doubts,
    in_order,
    is_active,
    is_same,
    problem_in_range,
    seeds_among,
)
from mlbench.domain.sweeps import Component, Dimension, Objective, Range, Study, Sweep
from mlbench.engine.sweeping.spaces import comparable, moved_inputs, what_changed

GOAL = (Objective("accuracy", "maximize"),)
NAMES = ("a", "b", "c")
BASE: dict[str, Any] = {"a": 1, "b": 2, "c": 3, "fixed": "x"}
SOLVER = Dimension("solver", choices=("sgd", "adam"))
MOMENTUM = Dimension("momentum", Range(0.0, 0.9), when="solver == 'sgd'")
NESTEROV = Dimension("nesterov", choices=(True, False), when="momentum > 0.5")
CONDITIONAL = Sweep("s", "train", GOAL, (SOLVER, MOMENTUM, NESTEROV))

bounds = st.integers(-5, 5)
ranges = st.builds(
    lambda low, more, step: Range(low, low + more, step=step, is_whole=True),
    bounds,
    st.integers(1, 8),
    st.none() | st.integers(1, 3),
).filter(lambda allowed: problem_in_range(allowed) is None)
conditions = {
    "a": st.just(""),
    "b": st.sampled_from(["", "a > 0"]),
    "c": st.sampled_from(["", "b > a"]),
}


@st.composite
def spaces(draw: st.DrawFn) -> tuple[Dimension, ...]:
    names = [name for name in NAMES if draw(st.booleans())] or ["a"]
    return tuple(Dimension(name, draw(ranges), when=draw(conditions[name])) for name in names)


@st.composite
def trials(draw: st.DrawFn, space: tuple[Dimension, ...]) -> dict[str, Any]:
    """What a trial of a space ran with: the params files, and what was sampled laid over them."""
    drawn: dict[str, Any] = {}
    fixed = {name: value for name, value in BASE.items() if name not in {d.name for d in space}}
    for dimension in space:
        allowed = dimension.range
        assert allowed is not None
        if is_active(dimension, {**fixed, **drawn}):
            step = int(allowed.step or 1)
            drawn[dimension.name] = draw(
                st.sampled_from(range(int(allowed.low), int(allowed.high) + 1, step))
            )
    return {**BASE, **drawn}


def sweep_of(space: tuple[Dimension, ...], **more: Any) -> Sweep:
    return Sweep("s", "train", GOAL, space, **more)


@given(st.data())
def test_an_unchanged_sweep_leaves_every_trial_comparable(data: st.DataObject) -> None:
    sweep = sweep_of(data.draw(spaces()))
    values = data.draw(trials(sweep.space))
    assert comparable(values, sweep, sweep, BASE) == (True, "")
    assert what_changed(sweep, sweep) == ()


@given(st.data())
def test_narrowing_never_makes_more_comparable(data: st.DataObject) -> None:
    old, wide = sweep_of(data.draw(spaces())), sweep_of(data.draw(spaces()))
    values = data.draw(trials(old.space))
    at = data.draw(st.integers(0, len(wide.space) - 1))
    allowed = wide.space[at].range
    assert allowed is not None
    cut = data.draw(st.integers(0, int(allowed.high - allowed.low)))
    narrow = replace(allowed, high=allowed.high - cut)
    space = tuple(
        replace(one, range=narrow) if place == at else one for place, one in enumerate(wide.space)
    )
    if comparable(values, old, sweep_of(space), BASE)[0]:
        assert comparable(values, old, wide, BASE)[0]


@given(st.data())
def test_what_is_comparable_could_have_been_drawn_now(data: st.DataObject) -> None:
    old, new = sweep_of(data.draw(spaces())), sweep_of(data.draw(spaces()))
    values = data.draw(trials(old.space))
    fits, why = comparable(values, old, new, BASE)
    assert fits == (not why)
    active = active_values(new.space, values)
    could = all(contains(one, values[one.name]) for one in new.space if one.name in active) and all(
        values[name] == BASE[name] for name in BASE if name not in active
    )
    assert fits == could


@given(st.permutations([SOLVER, MOMENTUM, NESTEROV]))
def test_each_dimension_comes_after_what_its_condition_names(space: list[Dimension]) -> None:
    assert in_order(space) == CONDITIONAL.space


@given(spaces())
def test_a_space_in_order_stays_as_it_is(space: tuple[Dimension, ...]) -> None:
    assert in_order(space) == space


def test_a_circle_of_conditions_is_named() -> None:
    circle = (
        Dimension("x", choices=(1,), when="y > 0"),
        Dimension("y", choices=(1,), when="x > 0"),
    )
    with pytest.raises(SpaceCycleError, match=r"^(x → y → x|y → x → y)$"):
        in_order(circle)


def test_a_parameter_that_waits_for_one_that_is_not_there_is_not_there_either() -> None:
    values = {"solver": "adam", "momentum": 0.9, "nesterov": True}
    assert active_values(CONDITIONAL.space, values) == {"solver": "adam"}
    assert len(active_values(CONDITIONAL.space, {**values, "solver": "sgd"})) == 3


def test_what_a_trial_left_alone_counts_by_the_params_file() -> None:
    values = {"solver": "adam", "momentum": 0.7, "nesterov": True}
    assert comparable(values, CONDITIONAL, CONDITIONAL, values) == (True, "")
    assert comparable(values, CONDITIONAL, CONDITIONAL, {**values, "momentum": 0.1}) == (
        False,
        "momentum was 0.7, and the params file has 0.1 now",
    )


def test_a_parameter_that_is_varied_newly_had_the_value_of_the_params_file() -> None:
    old = sweep_of((Dimension("a", Range(0, 9, is_whole=True)),))
    new = sweep_of((*old.space, Dimension("b", choices=(2, 4))))
    assert comparable({**BASE, "a": 5}, old, new, {**BASE, "b": 99})[0]
    assert comparable({**BASE, "a": 5, "b": 3}, old, new, BASE) == (
        False,
        "b was 3, which choice(2,4) does not have",
    )


@pytest.mark.parametrize(
    ("change", "why", "told"),
    [
        ({"stage": "test"}, "its trials ran train, and now run test", "the stage was train"),
        (
            {"objectives": (Objective("loss", "minimize"),)},
            "its objective was maximize accuracy, and is minimize loss",
            "the objective was maximize accuracy, and is minimize loss",
        ),
        ({"repeats": 3}, "its trials were one run each, and are 3 runs", "a trial was one run"),
        (
            {"constraints": ("seconds < 9",)},
            "whether seconds < 9 held is not known",
            "the constraints was none, and is seconds < 9",
        ),
    ],
)
def test_other_goals_leave_nothing_comparable(change: Any, why: str, told: str) -> None:
    old = sweep_of((Dimension("a", Range(0, 9, is_whole=True)),))
    new = replace(old, **change)
    assert comparable(BASE, old, new, BASE) == (False, why)
    assert any(told in line for line in what_changed(old, new))


def test_another_way_to_search_leaves_everything_comparable() -> None:
    old = sweep_of((Dimension("a", Range(0, 9, is_whole=True)),))
    new = replace(old, sampler=Component("RandomSampler", {"seed": 1}), trials=99)
    assert comparable(BASE, old, new, BASE)[0]
    assert what_changed(old, new) == (
        "the sampler was TPESampler, and is RandomSampler (seed = 1)",
    )


def test_a_changed_space_is_told_by_parameter() -> None:
    old = sweep_of((Dimension("a", Range(1e-5, 0.1, log=True)), Dimension("b", choices=([1], [2]))))
    new = sweep_of((Dimension("a", Range(1e-4, 0.1, log=True)), SOLVER))
    assert what_changed(old, new) == (
        "a was log(1e-05,0.1), and is log(0.0001,0.1)",
        'solver is varied now, choice("sgd","adam")',
        "b is varied no more",
    )
    assert (
        what_changed(
            old, replace(old, space=(old.space[0], replace(old.space[1], choices=((1,), (2,)))))
        )
        == ()
    )


def test_inputs_that_either_sweep_varies_are_no_moved_ones() -> None:
    old = sweep_of((Dimension("a", Range(0, 9, is_whole=True)),))
    new = sweep_of((Dimension("b", Range(0, 9, is_whole=True)),))
    study = Study("1", old, "", inputs={"param:b": "2", "param:d": "1", "code:train.py": "abc"})
    now = {"param:a": "1", "param:d": "1", "code:train.py": "abc"}
    assert moved_inputs(study, new, now) == ()
    assert moved_inputs(study, new, {**now, "code:train.py": "x"}) == ("train.py",)
    assert moved_inputs(study, new, {**now, "param:d": "2"}) == ("d",)


def test_whole_numbers_are_not_true_and_lists_are_tuples() -> None:
    assert is_same([1, (2.0,)], (1.0, [2]))
    assert not is_same(1, True)
    assert not contains(Dimension("a", Range(0, 1, is_whole=True)), True)
    assert not contains(Dimension("a", Range(0.0, 1.0, step=0.3)), 1.0)
    assert contains(Dimension("a", Range(0.0, 1.0, step=0.3)), 0.3 * 3)


def test_seeds_are_known_by_their_names() -> None:
    names = ("seed", "train.random_state", "x.yaml:net.random_seed", "seeds", "reseed.rate")
    assert seeds_among(names) == names[:3]


def test_whole_numbers_over_a_fraction_are_doubted() -> None:
    space = (Dimension("a", Range(0, 1, is_whole=True)),)
    assert doubts(space, {"a": 1.0}) == ()
    (told,) = doubts(space, {"a": 0.5})
    assert "write low = 0.0" in told
