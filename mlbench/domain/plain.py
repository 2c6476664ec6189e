"""Domain values to and from plain JSON values, by their type hints alone."""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Callable, Hashable, Iterable, Mapping
from enum import Enum
from typing import Any, TypeVar

T = TypeVar("T")


def to_plain(value: object) -> Any:
    """Dataclasses become objects, enums their word, tuples lists, sets sorted lists."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    names = _names_of(typing.cast(Hashable, kind))
    if names is not None:
        return {name: to_plain(getattr(value, name)) for name in names}
    if isinstance(value, Enum):
        return value.word if hasattr(value, "word") else value.value
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(to_plain(item) for item in value)
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return value


_PLAIN = frozenset({str, int, float, bool, type(None)})


@functools.cache
def _names_of(kind: Hashable) -> tuple[str, ...] | None:
    """The fields of a dataclass; None for any other type."""
    if not dataclasses.is_dataclass(kind):
        return None
    return tuple(field.name for field in dataclasses.fields(kind))


def finite(plain: Any) -> Any:
    """A plain value with None for each number that JSON has no word for."""
    if isinstance(plain, dict):
        return {key: finite(item) for key, item in plain.items()}
    if isinstance(plain, list):
        return [finite(item) for item in plain]
    return None if isinstance(plain, float) and not math.isfinite(plain) else plain


def from_plain(kind: type[T], plain: Any) -> T:
    """The value of this dataclass; unknown keys are ignored, ValueError where one is missing."""
    read = _reader(typing.cast(Hashable, kind))
    return typing.cast(T, plain if read is None else read(plain))


Reader = Callable[[Any], Any]


@functools.cache
def _reader(kind: Any) -> Reader | None:
    """What reads a value of this type; None where the plain value is the value."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _union_reader(arguments)
    if origin in (tuple, frozenset):
        return _items_reader(origin, _reader(arguments[0]))
    if origin is not None and issubclass(origin, Mapping):
        return _mapping_reader(_reader(arguments[1]))
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _dataclass_reader(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        of: Reader = kind.of  # type: ignore[attr-defined]
        return of
    return None


def _union_reader(arguments: tuple[Any, ...]) -> Reader | None:
    structured = [kind for kind in arguments if kind is not type(None)]
    read = _reader(structured[0]) if len(structured) == 1 else None
    if read is None:
        return None
    inner = read
    return lambda plain: None if plain is None else inner(plain)


def _items_reader(collect: Callable[[Iterable[Any]], Any], read: Reader | None) -> Reader:
    if read is None:
        return collect
    inner = read
    return lambda plain: collect([inner(item) for item in plain])


def _mapping_reader(read: Reader | None) -> Reader:
    if read is None:
        return dict
    inner = read
    return lambda plain: {key: inner(item) for key, item in plain.items()}


def _dataclass_reader(kind: type) -> Reader:
    # Types are looked at when the first value is read, for some refer to themselves.
    readers: dict[str, Reader | None] = {}

    def read(plain: Mapping[str, Any]) -> Any:
        if not readers:
            hints = typing.get_type_hints(kind)
            for field in dataclasses.fields(kind):
                readers[field.name] = _reader(hints[field.name])
        known = {
            name: plain[name] if inner is None else inner(plain[name])
            for name, inner in readers.items()
            if name in plain
        }
        try:
            return kind(**known)
        except TypeError as error:
            raise ValueError(f"{kind.__name__}: {error}") from None

    return read
