"""Functions of the project's own that an export calls."""

from __future__ import annotations

import importlib
from typing import Any

from refusal import Refusal, one_line


def function(reference: str, key: str) -> Any:
    """What `package.module:function` in the setting `key` names; Refusal unreadable."""
    module_name, _, name = reference.partition(":")
    remedy = f"Correct `{key}` in mlbench.toml, or the module."
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        problem = f"The {key} {reference} can't be imported: there is no module {error.name}."
        raise Refusal("unreadable", problem, remedy) from error
    except Exception as error:  # whatever the project's code raises
        problem = f"The {key} {reference} can't be imported: {said(error)}."
        raise Refusal("unreadable", problem, remedy) from error
    found = getattr(module, name, None)
    if not callable(found):
        lack = "is no function" if hasattr(module, name) else "is not there"
        raise Refusal("unreadable", f"The {key} {reference} {lack}.", remedy)
    return found


def call(reference: str, key: str, *arguments: Any) -> Any:
    """Call the function that a setting names; Refusal failed has its own sentence."""
    try:
        return function(reference, key)(*arguments)
    except Refusal:
        raise
    except Exception as error:  # whatever the project's code raises
        problem = f"The {key} {reference} failed: {said(error)}."
        raise Refusal("failed", problem, "The log of the export shows where.") from error


def said(error: BaseException) -> str:
    """An exception by its type and its sentence."""
    sentence = one_line(error)
    name = type(error).__name__
    return sentence if sentence == name else f"{name}: {sentence}"
