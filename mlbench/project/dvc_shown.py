"""What a dvc.yaml shows of files at its top level, `metrics` and `plots`, as keys of their stages.

DVCLive writes both there. A file that no stage has among its outs is passed over: nothing that is
built here gives it. Top-level `params` and `artifacts` say nothing of how a stage is built.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Any

from mlbench.project.source_file import SourceFile

_Stages = dict[str, dict[str, Any]]
_OUTS = ("outs", "metrics", "plots")


def give_to_stages(file: SourceFile, tree: dict[Any, Any], stages: _Stages) -> None:
    """Add each file to the stage that has it among its outs; ProjectFileError for another shape."""
    for path in _metrics(file, tree):
        _give(stages, "metrics", path, {})
    for path, properties in _plots(file, tree):
        _give(stages, "plots", path, properties)


def _metrics(file: SourceFile, tree: dict[Any, Any]) -> list[str]:
    written = tree.get("metrics") or []
    if not isinstance(written, list) or not all(isinstance(path, str) for path in written):
        file.fail("metrics", "must be a list of files")
    return written


def _plots(file: SourceFile, tree: dict[Any, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each file or folder with its own x and y."""
    written = tree.get("plots") or []
    for item in written if isinstance(written, list) else [written]:
        named = {item: None} if isinstance(item, str) else item
        if not isinstance(named, dict):
            file.fail("plots", "must be a list of files and mappings")
        for name, properties in named.items():
            if not isinstance(properties or {}, dict):
                file.fail(f"plots.{name}", "must be a mapping with x and y")
            yield from _files_of(str(name), properties or {})


def _files_of(name: str, properties: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The files that one plot's y, or else its name, stands for."""
    x, y = properties.get("x"), properties.get("y")
    plain = {key: properties[key] for key in ("header", "template") if key in properties}
    for path, columns in y.items() if isinstance(y, dict) else [(name, y)]:
        step = x.get(path) if isinstance(x, dict) else x
        axes = {"x": step, "y": columns}
        yield str(path), plain | {key: value for key, value in axes.items() if value is not None}


def _give(stages: _Stages, key: str, path: str, properties: dict[str, Any]) -> None:
    """Put a file under this key of the stage whose out it is, or in one of whose outs it lies."""
    for body in stages.values():
        wdir = body.get("wdir")
        start = wdir if isinstance(wdir, str) else "."
        local = posixpath.relpath(posixpath.normpath(path), posixpath.normpath(start))
        for listed in _OUTS:
            for out, flags in _entries(body, listed):
                if local.startswith(f"{out}/"):
                    body[key] = [*body.get(key, ()), {local: properties}]
                    return
                if local == out and listed in ("outs", key):
                    body[listed] = [{o: f} for o, f in _entries(body, listed) if o != out]
                    body[key] = [*body.get(key, ()), {out: _merged(properties, flags)}]
                    return


def _merged(properties: dict[str, Any], flags: dict[str, Any]) -> dict[str, Any]:
    """The flags with what was not said before; of several plots of one file the columns of all."""
    merged = {**properties, **flags}
    columns = [written["y"] for written in (flags, properties) if "y" in written]
    if len(columns) == 2:
        lists = (item if isinstance(item, list) else [item] for item in columns)
        merged["y"] = [*dict.fromkeys(column for columns in lists for column in columns)]
    return merged


def _entries(body: dict[str, Any], key: str) -> list[tuple[str, dict[str, Any]]]:
    """The paths under a key with their flags; none where it is written wrong: the stage says so."""
    written = body.get(key)
    items = written if isinstance(written, list) else []
    named = [{item: {}} if isinstance(item, str) else item for item in items]
    if not all(isinstance(item, dict) for item in named):
        return []
    entries = [(str(path), flags) for item in named for path, flags in item.items()]
    if not all(isinstance(flags, dict) for _, flags in entries):
        return []
    return [(posixpath.normpath(path), flags) for path, flags in entries]
