"""Laws of spaces: what is asked for lies where it should, and comes back as it was."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mlbench.domain.spaces import active_values, contains, is_same
from mlbench.domain.sweeps import Component, Dimension, Range, Sweep
from mlbench.sweeps.checking import check
from mlbench.sweeps.finite import count, grid
from mlbench.sweeps.space import as_choice, decode, encode
from mlbench.sweeps.study import OptunaStudy
from tests.sweeps.spaces import QUICK

FEW = settings(max_examples=25, deadline=None)
small = st.integers(-50, 50)
plain = st.one_of(st.integers(), st.floats(allow_nan=False), st.text(max_size=5), st.booleans())
values = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
choices = st.lists(values, min_size=1, max_size=5, unique_by=lambda one: json.dumps(as_choice(one)))


@st.composite
def ranges(draw: st.DrawFn) -> Range:
    is_whole = draw(st.booleans())
    if draw(st.booleans()):
        low = draw(st.integers(1, 50) if is_whole else st.floats(1e-6, 10))
        high = low + draw(st.integers(1, 1000)) if is_whole else low * draw(st.floats(1.5, 1e6))
        return Range(low, high, log=True, is_whole=is_whole)
    low, width = draw(small), draw(st.integers(1, 100))
    steps = st.integers(1, width) if is_whole else st.sampled_from([0.1, 0.25, 0.3, 1.0])
    return Range(low, low + width, step=draw(st.none() | steps), is_whole=is_whole)


def tells_apart(options: list[Any]) -> bool:
    """Whether Optuna can: to it 1 is True, and a list the text that it is told as."""
    told = [as_choice(one) for one in options]
    return all(one not in told[:at] for at, one in enumerate(told))


dimensions = st.one_of(
    st.builds(lambda one: Dimension("", range=one), ranges()),
    st.builds(lambda some: Dimension("", choices=tuple(some)), choices.filter(tells_apart)),
)


@st.composite
def spaces(draw: st.DrawFn) -> tuple[Dimension, ...]:
    """A few dimensions; some of them hang on a switch, or on one another."""
    switch = Dimension("switch", choices=("on", "off"))
    names = ["a.x", "a.y", "other.yaml:z", "w"][: draw(st.integers(1, 4))]
    whens = st.sampled_from(["", "switch == 'on'", "params.switch != 'on'", "mode == 1"])
    return (
        switch,
        *(replace(draw(dimensions), name=name, when=draw(whens)) for name in names),
        Dimension("last", Range(0.0, 1.0), when="switch == 'on' and params.switch != 'off'"),
    )


def asked_for(sweep: Sweep, base: Mapping[str, Any], trials: int) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        study = OptunaStudy.open(Path(folder) / "journal.log", sweep, base)
        asked = []
        for trial in range(trials):
            number, params = study.ask()
            study.complete(number, [float(trial % 3)], {})
            asked.append(params)
        known = OptunaStudy.open(Path(folder) / "journal.log", sweep, base).known()
        assert [trial.params for trial in known] == asked
    return asked


@FEW
@given(spaces(), st.integers(0, 1000), st.sampled_from(["RandomSampler", "TPESampler"]))
def test_what_is_asked_for_lies_in_its_dimension_and_is_active(
    space: tuple[Dimension, ...], seed: int, sampler: str
) -> None:
    options = {"n_startup_trials": 2} if sampler == "TPESampler" else {}
    sweep = replace(QUICK, space=space, sampler=Component(sampler, {"seed": seed, **options}))
    check(sweep)
    base = {"mode": 1}
    for params in asked_for(sweep, base, 4):
        by_name = {dimension.name: dimension for dimension in space}
        for name, value in params.items():
            assert contains(by_name[name], value), (name, value)
        everything = {name: params.get(name, 0) for name in by_name}
        active = active_values(space, {**base, **everything})
        assert set(active) == set(params)


@FEW
@given(choices.filter(tells_apart))
def test_choices_come_back_as_they_were_told(options: list[Any]) -> None:
    dimension = Dimension("a", choices=tuple(options))
    for choice in options:
        # By way of the journal, which is JSON.
        told = json.loads(json.dumps(encode(dimension, choice)))
        back = decode(dimension, told)
        assert is_same(back, choice)
        assert type(back) is type(choice)


@FEW
@given(ranges().filter(lambda one: one.is_whole or one.step is not None))
def test_a_grid_has_each_value_of_a_range_once(allowed: Range) -> None:
    dimension = Dimension("a", allowed)
    held = grid((dimension,))["a"]
    assert len(held) == len(set(held)) == count(dimension)
    assert all(contains(dimension, value) for value in held)
    step = allowed.step or 1
    assert not contains(dimension, max(map(float, map(str, held))) + step)
