"""Why a model is not exported, told so that a person can act on it."""

from __future__ import annotations

import importlib
import shlex
import sys
from typing import Any

REQUIREMENTS = {
    "joblib": "joblib",
    "lightgbm": "lightgbm",
    "numpy": "numpy",
    "onnx": "onnx",
    "onnxscript": "onnxscript>=0.7",
    "pandas": "pandas",
    "pyarrow": "pyarrow",
    "scipy": "scipy",
    "skl2onnx": "skl2onnx>=1.20",
    "sklearn": "scikit-learn",
    "torch": "torch",
    "xgboost": "xgboost",
}
"""What pip calls the packages that an export imports."""


class Refusal(Exception):
    """An export that ends here: `kind` for programs, `problem` and `remedy` for people.

    The kinds are missing_package, unsupported, unreadable, bad_sample, memory and failed.
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


def unreadable_by(library: str, path: str, error: Exception) -> Refusal:
    """What to say where a library can't read a file that is of its own format."""
    problem = f"{library} can't read {path}: {one_line(error)}."
    return Refusal("unreadable", problem, "Run the stage that makes it again.")


def unreadable(path: str, error: Exception) -> Refusal:
    """What to say where a model's file can't be unpickled, by what went wrong."""
    if isinstance(error, ModuleNotFoundError):
        absent = (error.name or "").partition(".")[0]
        if absent in REQUIREMENTS:
            return missing_package(error, wanted=absent)
        remedy = f"Keep it in the project, or install it for {sys.executable}."
        problem = f"The model {path} needs the module {error.name}, which can't be found."
        return Refusal("unreadable", problem, remedy)
    remedy = "Run the stage that makes it again."
    if "__main__" in str(error):
        remedy = "Move that class from the script into a module that the script imports."
    problem = f"The model {path} can't be unpickled: {one_line(error)}."
    return Refusal("unreadable", problem, remedy)


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether memory ran out, in Python or in PyTorch, or caused what was raised."""
    while error is not None:
        if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


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
