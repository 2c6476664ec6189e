"""`[models.NAME]` tables to their specifications."""

from __future__ import annotations

import posixpath
import re
from typing import Any

from mlbench.domain.expression import ExpressionError
from mlbench.domain.slices import parse_gate, slice_calls
from mlbench.domain.stages import GateSpec, ModelSpec
from mlbench.project import keys
from mlbench.project.fields import Table

LEVELS = ("error", "warn")
_LEAST_ROWS = 30
_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def read_model(table: Table, name: str) -> ModelSpec:
    """The model of a table; ProjectFileError for an unknown key or a wrong value."""
    table.file.refuse_unknown(table.value, keys.MODEL, table.where)
    table.check_name(name, "a model")
    stage, path = table.text("stage"), table.text("path")
    if stage is None:
        table.fail("stage", "a model needs the stage that makes it")
    if path is None:
        table.fail("path", "a model needs the path of its file")
    return ModelSpec(
        name=name,
        stage=stage,
        path=posixpath.normpath(path),
        sample=_path(table, "sample"),
        target=table.text("target"),
        gates=tuple(_gate(table, item) for item in _gates(table)),
        format=table.choice("format", ("onnx", "file")),
        exporter=_function(table, "exporter"),
        factory=_function(table, "factory"),
        predictions=_path(table, "predictions"),
    )


def _path(table: Table, key: str) -> str | None:
    text = table.text(key)
    return posixpath.normpath(text) if text else None


def _function(table: Table, key: str) -> str | None:
    """A function of the project's own code, as `package.module:function`."""
    text = table.text(key)
    if text is not None and not _FUNCTION.fullmatch(text):
        table.fail(key, f'"{text}" names no function; write it as "package.module:function"')
    return text


def _gates(table: Table) -> list[Any]:
    value = table.value.get("gates", [])
    if not isinstance(value, list):
        table.fail("gates", "must be a list of expressions")
    return list(value)


def _gate(table: Table, item: Any) -> GateSpec:
    written = item if isinstance(item, dict) else {"check": item}
    table.file.refuse_unknown(written, keys.GATE, f"{table.where}.gates")
    check, level = written.get("check"), written.get("level", "error")
    if not isinstance(check, str) or not isinstance(level, str):
        table.fail("gates", 'a gate is an expression such as "accuracy >= 0.9", or a table with it')
    min_rows = written.get("min_rows", _LEAST_ROWS)
    if not isinstance(min_rows, int) or isinstance(min_rows, bool) or min_rows < 1:
        table.fail("gates", f"{check}: min_rows must be a whole number from 1 on")
    gate = GateSpec(check, level, min_rows)
    if gate.level not in LEVELS:
        table.fail("gates", f'{gate.check}: level "{gate.level}" is none of {", ".join(LEVELS)}')
    try:
        sliced = slice_calls(parse_gate(gate.check))
    except ExpressionError as error:
        table.fail("gates", f'"{gate.check}": {error}')
    if sliced and table.text("predictions") is None:
        table.fail(
            "gates",
            f'"{gate.check}" compares slices of predictions; name their table in `predictions`',
        )
    return gate
