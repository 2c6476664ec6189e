"""The paths of a stage's table, deps and outs, relative to the project."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Any

from mlbench.domain.stages import Out, Plot
from mlbench.project import keys
from mlbench.project.fields import Table

_NONE: frozenset[str] = frozenset()
# Nothing in it that normpath would change, and nowhere that leads out of the project.
_CLEAN = re.compile(r"[^/.][^/]*(?:/[^/.][^/]*)*")


def deps_of(table: Table, wdir: str) -> tuple[tuple[str, ...], frozenset[str]]:
    """The deps, and those among them that count by their stat."""
    if "deps" not in table.value:
        return (), _NONE
    deps: list[str] = []
    by_stat: list[str] = []
    for item in items_of(table, "deps"):
        if isinstance(item, str):
            deps.append(place(table, "deps", wdir, item))
            continue
        dep = Table(table.file, f"{table.where}.deps", item)
        table.file.refuse_unknown(item, keys.DEP, dep.where)
        path = dep.text("path")
        if path is None:
            table.fail("deps", 'a table among them needs its path: {path = "…", check = "stat"}')
        deps.append(place(table, "deps", wdir, path))
        if dep.choice("check", ("content", "stat")) == "stat":
            by_stat.append(deps[-1])
    return tuple(deps), frozenset(by_stat) if by_stat else _NONE


def outs_of(table: Table, key: str, wdir: str) -> tuple[Out, ...]:
    """The outs under `outs` or `metrics`, with their flags."""
    if key not in table.value:
        return ()
    return tuple(_out(path, flags) for path, flags in _with_flags(table, key, wdir, keys.OUT))


def plots_of(table: Table, wdir: str) -> tuple[tuple[Out, ...], tuple[Plot, ...]]:
    """The outs under `plots`, and how the rows of each are meant."""
    if "plots" not in table.value:
        return (), ()
    found = list(_with_flags(table, "plots", wdir, keys.OUT + keys.PLOT))
    plots = (
        Plot(
            path,
            x=flags.text("x") or "",
            y=flags.texts("y"),
            header=flags.flag("header", True),
            template=flags.text("template") or "",
        )
        for path, flags in found
    )
    return tuple(_out(path, flags) for path, flags in found), tuple(plots)


def outside(outs: tuple[Out, ...], others: tuple[Out, ...]) -> tuple[Out, ...]:
    """Those of the others that lie in none of the outs, with which they come anyway."""
    folders = tuple(f"{out.path}/" for out in outs)
    return tuple(other for other in others if not other.path.startswith(folders))


def _with_flags(
    table: Table, key: str, wdir: str, known: tuple[str, ...]
) -> Iterator[tuple[str, Table]]:
    """Each path under a key, with the table of its flags."""
    for item in items_of(table, key):
        if isinstance(item, str):
            yield place(table, key, wdir, item), Table(table.file, "", {})
            continue
        for path, written in item.items():
            if not isinstance(written, dict):
                table.fail(key, f"the flags of {path} must be a table such as {{cache = false}}")
            flags = Table(table.file, f"{table.where}.{key}.{path}", written)
            table.file.refuse_unknown(written, known, flags.where)
            yield place(table, key, wdir, path), flags


def _out(path: str, flags: Table) -> Out:
    return Out(
        path,
        cache=flags.flag("cache", True),
        persist=flags.flag("persist", False),
        cache_asked=flags.flag("cache", False),
    )


def place(table: Table, key: str, wdir: str, path: str) -> str:
    """A path relative to `wdir` as one relative to the project."""
    if wdir == "." and _CLEAN.fullmatch(path):
        return path
    clean = posixpath.normpath(posixpath.join(wdir, path))
    outside = clean == ".." or clean.startswith("../")
    if key not in ("deps", "params") and (outside or posixpath.isabs(clean)):
        table.fail(key, f'"{path}" lies outside the project')
    if key in ("outs", "metrics", "plots") and clean == ".":
        table.fail(key, "the project's own folder can't be an out")
    return clean


def items_of(table: Table, key: str) -> list[Any]:
    """The strings and tables under a key, or the one that stands there without a list."""
    value = table.value[key]
    items = value if isinstance(value, list) else [value]
    for item in items:
        if not isinstance(item, (str, dict)):
            table.fail(key, "must be a list of strings and tables")
    return items
