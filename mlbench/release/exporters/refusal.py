"""Why a model is not exported, told so that a person can act on it."""

from __future__ import annotations

import importlib
import shlex
import sys
from typing import Any

REQUIREMENTS = {
    "joblib": "joblib",
    "numpy": "numpy",
    "onnx": "onnx",
    "scipy": "scipy",
    "skl2onnx": "skl2onnx>=1.20",
    "sklearn": "scikit-learn",
}
"""What pip calls the packages that an export imports."""


class Refusal(Exception):
    """An export that ends here: `kind` for programs, `problem` and `remedy` for people.

    The kinds are missing_package, unsupported, unreadable, bad_sample and failed.
    """

    def __init__(self, kind: str, problem: str, remedy: str) -> None:
        """Keep the three parts apart; the report names them one by one."""
        super().__init__(f"{problem} {remedy}")
        self.kind, self.problem, self.remedy = kind, problem, remedy


def require(module: str) -> Any:
    """Import a package of the user's interpreter; Refusal names the one that is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise missing_package(error, wanted=module.partition(".")[0]) from error


def missing_package(error: ImportError, *, wanted: str) -> Refusal:
    """What to say where `wanted`, or something that it needs, can't be imported."""
    absent = (error.name or wanted).partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and absent in REQUIREMENTS:
        problem = f"The package {absent} is not installed for {sys.executable}."
    else:
        absent = wanted
        problem = f"The package {absent} can't be imported by {sys.executable}: {one_line(error)}."
    return Refusal("missing_package", problem, pip_line(absent))


def pip_line(module: str) -> str:
    """The command that installs a module's package for exactly this interpreter."""
    requirement = shlex.quote(REQUIREMENTS.get(module, module))
    return f"{shlex.quote(sys.executable)} -m pip install {requirement}"


def class_name(value: object) -> str:
    """A value's class with its module, as its author would look for it."""
    return f"{type(value).__module__}.{type(value).__qualname__}"


def one_line(error: BaseException) -> str:
    """An exception's first line without its full stop, or its type where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0].strip().rstrip(" .,:") if lines else type(error).__name__
