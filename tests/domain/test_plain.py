"""Every value that goes to disk or over the inbox comes back equal."""

from __future__ import annotations

import dataclasses
import inspect
import json
import types
import typing
from collections.abc import Mapping
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain import outcomes, plan, release, runs, stages
from mlbench.domain.commands import COMMANDS, Promote, RunStages
from mlbench.domain.events import EVENTS, LoopStarted
from mlbench.domain.plain import from_plain, to_plain
from mlbench.domain.wire import (
    command_from_plain,
    command_to_plain,
    event_from_plain,
    event_to_plain,
)

_SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    float: st.floats(allow_nan=False),
    int: st.integers(),
    str: st.text(max_size=8),
    bool: st.booleans(),
    type(None): st.none(),
    Any: st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers()),
}


def _strategy(hint: Any) -> st.SearchStrategy[Any]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*map(_strategy, arguments))
    if origin is tuple:
        return st.lists(_strategy(arguments[0]), max_size=3).map(tuple)
    if origin is frozenset:
        return st.frozensets(_strategy(arguments[0]), max_size=3)
    if origin is not None and issubclass(origin, Mapping):
        return st.dictionaries(st.text(max_size=5), _strategy(arguments[1]), max_size=3)
    if dataclasses.is_dataclass(hint):
        return _values(typing.cast(type, hint))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from(list(hint))
    return _SIMPLE[hint]


def _values(kind: type) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(kind)
    return st.builds(
        kind, **{item.name: _strategy(hints[item.name]) for item in dataclasses.fields(kind)}
    )


def _records() -> list[type]:
    return [
        kind
        for module in (plan, release, runs, stages)
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if dataclasses.is_dataclass(kind) and kind.__module__ == module.__name__
    ]


def _through_json(plain: Any) -> Any:
    return json.loads(json.dumps(plain))


@pytest.mark.parametrize("kind", EVENTS.values(), ids=EVENTS)
def test_every_event_comes_back_equal(kind: type) -> None:
    @given(_values(kind))
    def comes_back(event: Any) -> None:
        plain = event_to_plain(event)
        assert next(iter(plain)) == "event"
        assert event_from_plain(_through_json(plain)) == event

    comes_back()


@pytest.mark.parametrize("kind", COMMANDS.values(), ids=COMMANDS)
def test_every_command_comes_back_equal(kind: type) -> None:
    @given(_values(kind))
    def comes_back(command: Any) -> None:
        assert command_from_plain(_through_json(command_to_plain(command))) == command

    comes_back()


@pytest.mark.parametrize("kind", _records(), ids=lambda kind: kind.__name__)
def test_every_record_comes_back_equal(kind: type) -> None:
    @given(_values(kind))
    def comes_back(record: Any) -> None:
        assert from_plain(kind, _through_json(to_plain(record))) == record

    comes_back()


def test_an_enum_is_its_word_and_a_tuple_a_list() -> None:
    status = plan.StageStatus(
        "train", outcomes.StageState.STALE, (plan.Reason(outcomes.ReasonKind.FILE, "x.csv"),)
    )
    assert to_plain(status) == {
        "name": "train",
        "state": "stale",
        "reasons": [{"kind": "file", "what": "x.csv", "detail": ""}],
        "key": None,
        "usual_seconds": None,
        "traced": None,
    }


def test_what_a_later_version_added_is_passed_over() -> None:
    plain = {**command_to_plain(RunStages(("train",))), "added_later": {"deep": [1]}}
    assert command_from_plain(plain) == RunStages(("train",))


def test_what_has_a_default_may_be_left_out() -> None:
    assert command_from_plain({"command": "promote", "environment": "staging"}) == Promote(
        "staging"
    )


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ValueError, match=r"LoopStarted.*pid"):
        event_from_plain({"event": "loop_started", "at": "now", "project": "x"})


def test_an_unknown_kind_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        event_from_plain({"event": "nothing"})
    with pytest.raises(KeyError):
        command_from_plain({"command": "nothing"})


def test_every_kind_of_event_says_when_it_is_sent() -> None:
    for kind in EVENTS.values():
        assert kind.__doc__ is not None
        assert kind.__doc__.startswith("Sent ")
        assert dataclasses.fields(kind)
    assert EVENTS["loop_started"] is LoopStarted
