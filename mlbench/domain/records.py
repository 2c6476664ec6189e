"""`dataclass` for frozen values, at a tenth of what the standard one costs when it is imported.

The standard decorator compiles six methods of each class while its module is imported, more than
half a millisecond a class: over a hundred classes, a third of what a command takes to start. Here
`__init__` is compiled when the first value is made, and nothing else needs compiling.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(*, frozen: bool, slots: bool = False) -> Callable[[type], type]:
        """As dataclasses.dataclass with `frozen=True`; TypeError for any other option."""
        if not frozen:
            raise TypeError("values are frozen; dataclasses.dataclass makes others")

        def decorate(cls: type) -> type:
            # Else the standard one makes one of the signature, which takes it over a millisecond.
            cls.__doc__ = cls.__doc__ or cls.__name__
            made = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots)(cls)
            for name, method in _methods(made).items():
                if name not in cls.__dict__:
                    setattr(made, name, method)
            return made

        return decorate


def _methods(made: Any) -> dict[str, Callable[..., Any]]:
    fields = dataclasses.fields(made)
    names = [field.name for field in fields]
    values = _getter(names)

    def first_init(self: Any, *args: Any, **kwargs: Any) -> None:
        made.__init__ = _compiled_init(fields)
        made.__init__(self, *args, **kwargs)

    def is_equal(self: Any, other: object) -> Any:
        same = other.__class__ is self.__class__
        return values(self) == values(other) if same else NotImplemented

    # An attrgetter is no function, and would not be handed the value as a method is.
    def state(self: Any) -> tuple[Any, ...]:
        return values(self)

    def set_state(self: Any, state: tuple[Any, ...]) -> None:
        for name, value in zip(names, state, strict=True):
            object.__setattr__(self, name, value)

    def shown(self: Any) -> str:
        parts = (f"{name}={value!r}" for name, value in zip(names, values(self), strict=True))
        return f"{type(self).__qualname__}({', '.join(parts)})"

    return {
        "__init__": first_init,
        "__eq__": is_equal,
        "__hash__": lambda self: hash(values(self)),
        "__repr__": shown,
        "__setattr__": _refuse_set,
        "__delattr__": _refuse_delete,
        "__getstate__": state,
        "__setstate__": set_state,
    }


def _getter(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    """What gives the values under these names, always as a tuple."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda value: tuple(getattr(value, name) for name in names)


def _refuse_set(_self: object, name: str, _value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_delete(_self: object, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _compiled_init(fields: tuple[dataclasses.Field[Any], ...]) -> Callable[..., None]:
    """`__init__` as the standard decorator writes it for a frozen class."""
    # The names of fields are identifiers: nothing that anybody wrote elsewhere is compiled.
    known: dict[str, Any] = {"_set": object.__setattr__, "_missing": dataclasses.MISSING}
    parameters, body = ["self"], ["  pass"]
    for field in fields:
        name, value = field.name, field.name
        if field.default is not dataclasses.MISSING:
            known[f"_default_{name}"] = field.default
            parameters.append(f"{name}=_default_{name}")
        elif field.default_factory is not dataclasses.MISSING:
            known[f"_make_{name}"] = field.default_factory
            parameters.append(f"{name}=_missing")
            value = f"_make_{name}() if {name} is _missing else {name}"
        else:
            parameters.append(name)
        body.append(f"  _set(self, {name!r}, {value})")
    exec(f"def __init__({', '.join(parameters)}):\n" + "\n".join(body), known)
    init: Callable[..., None] = known["__init__"]
    return init


__all__ = ["dataclass"]
