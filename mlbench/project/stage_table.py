"""One `[stages.NAME]` table to a Stage, with the meaning that dvc.yaml gives its keys."""

from __future__ import annotations

import posixpath
from typing import Any

from mlbench.domain.stages import Out, ParamKeys, Stage
from mlbench.project import keys
from mlbench.project.fields import Table

DEFAULT_PARAMS = "params.toml"


def read_stage(table: Table, name: str) -> Stage:
    """The stage of a table; ProjectFileError for an unknown key or a wrong value."""
    table.file.refuse_unknown(table.value, keys.STAGE, table.where)
    table.check_name(name, "a stage")
    commands = table.texts("cmd")
    if not commands or not all(command.strip() for command in commands):
        table.fail("cmd", "a stage needs a command")
    wdir = _place(table, "wdir", ".", table.text("wdir") or ".")
    metrics = tuple(Out(_place(table, "metrics", wdir, path)) for path in table.texts("metrics"))
    return Stage(
        name=name,
        commands=commands,
        wdir=wdir,
        deps=tuple(_place(table, "deps", wdir, path) for path in table.texts("deps")),
        params=_params(table, wdir),
        env=table.texts("env"),
        outs=(*_outs(table, wdir), *metrics),
        metrics=tuple(out.path for out in metrics),
        kind=table.choice("kind", ("build", "test")),
        timeout=table.seconds("timeout"),
        on_edit=table.choice("on_edit", ("auto", "restart", "finish")),
        frozen=table.flag("frozen", False),
        always_changed=table.flag("always_changed", False),
        desc=table.text("desc") or "",
    )


def _outs(table: Table, wdir: str) -> tuple[Out, ...]:
    outs = []
    for item in _items(table, "outs"):
        if isinstance(item, str):
            outs.append(Out(_place(table, "outs", wdir, item)))
            continue
        for path, flags in item.items():
            if not isinstance(flags, dict):
                table.fail("outs", f"the flags of {path} must be a table such as {{cache = false}}")
            table.file.refuse_unknown(flags, keys.OUT, f"{table.where}.outs.{path}")
            outs.append(
                Out(
                    _place(table, "outs", wdir, path),
                    cache=_out_flag(table, path, flags, "cache", True),
                    persist=_out_flag(table, path, flags, "persist", False),
                )
            )
    return tuple(outs)


def _out_flag(table: Table, path: str, flags: dict[str, Any], key: str, default: bool) -> bool:
    value = flags.get(key, default)
    if not isinstance(value, bool):
        table.fail(f"outs.{path}.{key}", "must be true or false")
    return value


def _params(table: Table, wdir: str) -> tuple[ParamKeys, ...]:
    default: list[str] = []
    named: list[ParamKeys] = []
    for item in _items(table, "params"):
        if isinstance(item, str):
            default.append(item)
            continue
        for file, wanted in item.items():
            wanted_keys = [wanted] if isinstance(wanted, str) else wanted or []
            is_list = isinstance(wanted_keys, list)
            if not is_list or not all(isinstance(key, str) for key in wanted_keys):
                table.fail("params", f"the keys of {file} must be a list of strings")
            named.append(ParamKeys(_place(table, "params", wdir, file), tuple(wanted_keys)))
    own = (ParamKeys(DEFAULT_PARAMS, tuple(default)),) if default else ()
    return (*own, *named)


def _items(table: Table, key: str) -> list[Any]:
    value = table.value.get(key, [])
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, (str, dict)) for item in items):
        table.fail(key, "must be a list of strings and tables")
    return items


def _place(table: Table, key: str, wdir: str, path: str) -> str:
    """A path relative to `wdir` as one relative to the project."""
    clean = posixpath.normpath(posixpath.join(wdir, path))
    outside = clean == ".." or clean.startswith("../")
    if key not in ("deps", "params") and (outside or posixpath.isabs(clean)):
        table.fail(key, f'"{path}" lies outside the project')
    if key in ("outs", "metrics") and clean == ".":
        table.fail(key, "the project's own folder can't be an out")
    return clean
