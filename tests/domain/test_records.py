"""Values behave as the standard library's frozen dataclasses do."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.records import dataclass


@dataclass(frozen=True, slots=True)
class Ours:
    """Every kind of field."""

    a: int
    b: str = "b"
    c: list[int] = field(default_factory=list)

    @property
    def doubled(self) -> int:
        return 2 * self.a


@dataclasses.dataclass(frozen=True, slots=True)
class Standard:
    """The same, by the standard decorator."""

    a: int
    b: str = "b"
    c: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Plain:
    """Without slots, and with a method of its own."""

    a: tuple[int, ...]

    def __repr__(self) -> str:
        return "plain"


@dataclass(frozen=True, slots=True)
class Nothing:
    """No field at all."""


given_values: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"a": st.integers(0, 2)},
    optional={"b": st.sampled_from("xy"), "c": st.lists(st.integers(0, 1), max_size=1)},
)


@given(given_values, given_values)
def test_a_value_is_what_a_frozen_dataclass_is(one: dict[str, Any], other: dict[str, Any]) -> None:
    ours, standard = Ours(**one), Standard(**one)
    assert repr(ours) == repr(standard).replace("Standard", "Ours")
    assert dataclasses.asdict(ours) == dataclasses.asdict(standard)
    assert (ours == Ours(**other)) is (standard == Standard(**other))
    assert dataclasses.replace(ours, a=9) == Ours(**{**one, "a": 9})
    for again in (copy.copy(ours), copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert again == ours
        assert again is not ours


def test_equal_values_have_one_hash_and_unhashable_ones_none() -> None:
    assert {Plain((1,)), Plain((1,)), Plain((2,))} == {Plain((1,)), Plain((2,))}
    assert len({Nothing(), Nothing()}) == 1
    with pytest.raises(TypeError, match="unhashable"):
        hash(Ours(1))


@pytest.mark.parametrize(("one", "other"), [(Ours(1), Standard(1)), (Nothing(), Plain(()))])
def test_values_of_other_classes_differ(one: object, other: object) -> None:
    assert one != other


@pytest.mark.parametrize("value", [Ours(1), Plain((1,))])
def test_a_value_never_changes(value: Any) -> None:
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'a'"):
        value.a = 2
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'a'"):
        del value.a
    with pytest.raises(AttributeError):
        value.other = 2


def test_a_default_is_made_anew_for_each_value() -> None:
    assert Ours(1).c is not Ours(1).c
    assert Ours(1, "b").doubled == 2
    assert not hasattr(Ours(1), "__dict__")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((), "missing 1 required positional argument: 'a'"), ((1, 2, 3, 4), "takes from 2 to 4")],
)
def test_a_wrong_call_says_so_at_the_first_time_and_later(
    arguments: tuple[int, ...], words: str
) -> None:
    make: Any = Ours
    for _ in range(2):
        with pytest.raises(TypeError, match=words):
            make(*arguments)
    with pytest.raises(TypeError, match="unexpected keyword argument 'd'"):
        make(1, d=2)


def test_a_method_that_the_class_has_is_kept_and_patterns_match() -> None:
    assert repr(Plain((1,))) == "plain"
    match Ours(1, "x"):
        case Ours(a, b):
            assert (a, b) == (1, "x")


def test_what_is_not_frozen_is_refused() -> None:
    with pytest.raises(TypeError, match="values are frozen"):
        dataclass(frozen=False)


def test_nothing_is_compiled_before_a_first_value_is_made() -> None:
    script = (
        "import builtins, dataclasses\n"
        "from mlbench.domain.records import dataclass\n"
        "compiled, run = [], builtins.exec\n"
        "builtins.exec = lambda *a: (compiled.append(a[0]), run(*a))\n"
        "@dataclass(frozen=True, slots=True)\n"
        "class Value:\n"
        "    a: int\n"
        "assert not compiled, compiled\n"
        "assert Value(1) == Value(1) and len(compiled) == 1\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
