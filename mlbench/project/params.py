"""Params files: TOML, YAML 1.2, JSON and Python, read as data and never run."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlbench.domain.errors import ProjectFileError, nearest
from mlbench.domain.stages import ParamKeys
from mlbench.domain.syntax import parse_module
from mlbench.project.toml_file import TomlFile, read_text

_ALTERNATIVES = ("params.toml", "params.yaml", "params.yml", "params.json", "params.py")


def read_params(root: Path, file: str) -> dict[str, Any]:
    """The whole tree of a params file; ProjectFileError where it can't be read.

    params.toml stands for the project's one params file, whichever format that has.
    """
    name = name_on_disk(file, lambda name: (root / name).exists())
    return parse_params(name, read_text(root / name, name))


def parse_params(name: str, text: str) -> dict[str, Any]:
    """The tree of a params file's text; ProjectFileError where it has none."""
    value = parse_tree(name, text)
    if not isinstance(value, dict):
        raise ProjectFileError("must hold a mapping of names to values", file=name)
    return value


def name_on_disk(file: str, exists: Callable[[str], bool]) -> str:
    """The params file that is meant: params.toml stands for whichever format is there."""
    if file != "params.toml":
        return file
    return next((name for name in _ALTERNATIVES if exists(name)), file)


def parse_tree(name: str, text: str) -> Any:
    """The value of a TOML, YAML, JSON or Python text, by the ending of its name."""
    suffix = name.rpartition(".")[2].lower()
    if suffix == "json":
        return _parse_json(name, text)
    if suffix in ("yaml", "yml"):
        return _parse_yaml(name, text)
    if suffix == "py":
        return _parse_python(name, text)
    return TomlFile(name, text).value


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """A tree as flat dotted names; lists and empty tables are values."""
    if not isinstance(value, dict) or not value:
        return {prefix: value} if prefix else {}
    flat: dict[str, Any] = {}
    for key, item in value.items():
        flat.update(flatten(item, f"{prefix}.{key}" if prefix else str(key)))
    return flat


def select(tree: dict[str, Any], wanted: ParamKeys, name: str) -> dict[str, Any]:
    """The flat parameters under the wanted keys; ProjectFileError where a key is not there."""
    flat = flatten(tree)
    if not wanted.keys:
        return flat
    chosen: dict[str, Any] = {}
    for key in wanted.keys:
        found = {
            name: value for name, value in flat.items() if name == key or name.startswith(f"{key}.")
        }
        if not found:
            raise ProjectFileError(
                f"there is no such parameter{nearest(key, _every_prefix(flat))}; "
                "add it, or take it out of the stage's params",
                file=name,
                key=key,
            )
        chosen.update(found)
    return chosen


def _every_prefix(flat: dict[str, Any]) -> set[str]:
    return {
        ".".join(name.split(".")[:end])
        for name in flat
        for end in range(1, len(name.split(".")) + 1)
    }


def _parse_json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ProjectFileError(
            f"not valid JSON: {error.msg}", file=name, line=error.lineno
        ) from None
    except RecursionError:
        raise ProjectFileError("not valid JSON: nested too deeply", file=name) from None


def _parse_yaml(name: str, text: str) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text) or {}
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise ProjectFileError(f"not valid YAML: {error.problem}", file=name, line=line) from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise ProjectFileError(f"not valid YAML: {error}", file=name) from None


def _parse_python(name: str, text: str) -> dict[str, Any]:
    """Top-level and class-level assignments of literals; anything else is passed over."""
    try:
        module = parse_module(text)
    except SyntaxError as error:
        raise ProjectFileError(
            f"not valid Python: {error.msg}", file=name, line=error.lineno
        ) from None
    return _assignments(module.body)


def _assignments(body: list[ast.stmt]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for node in body:
        if isinstance(node, ast.ClassDef):
            values[node.name] = _assignments(node.body)
            continue
        targets = (
            node.targets
            if isinstance(node, ast.Assign)
            else [node.target]
            if isinstance(node, ast.AnnAssign)
            else []
        )
        value = node.value if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
        if len(targets) == 1 and isinstance(targets[0], ast.Name) and value is not None:
            try:
                values[targets[0].id] = ast.literal_eval(value)
            except (ValueError, TypeError, RecursionError):
                continue
    return values
