"""The stages of a dvc.yaml as it is, in the shape of mlbench.toml's [stages].

What DVC reads there and this version does not is refused, never passed over. The YAML parser takes
half a millisecond a stage, so that what it gave is kept, under the hash of the file.
"""

from __future__ import annotations

from typing import Any

from mlbench.domain.errors import nearest
from mlbench.project import keys
from mlbench.project.dvc_shown import give_to_stages
from mlbench.project.kept import keep_value, kept_value
from mlbench.project.layout import Layout
from mlbench.project.params import parse_tree
from mlbench.project.source_file import SourceFile, nearest_line
from mlbench.project.stage_table import DEFAULT_PARAMS
from mlbench.project.toml_file import read_text
from mlbench.system.content import hash_bytes

DVC_NAME = "dvc.yaml"
_KEPT_NAME = "dvc_yaml.json"
_VERSION = 2

_TOP = ("stages", "params", "metrics", "plots", "artifacts")
_TOP_UNREAD = ("vars", "datasets")
_STAGE = (
    "cmd",
    "wdir",
    "deps",
    "params",
    "outs",
    "metrics",
    "plots",
    "frozen",
    "always_changed",
    "desc",
)
_STAGE_UNREAD = ("vars", "foreach", "do", "matrix")
_FLAGS = {"outs": keys.OUT, "metrics": keys.OUT, "plots": keys.OUT + keys.PLOT}
_OUT_UNREAD = ("remote", "push", "checkpoint")
# What people and other tools note, without a meaning for how a stage is built.
_REMARKS = frozenset({"meta"})
_OUT_REMARKS = frozenset({"desc", "type", "labels", "meta"})


class DvcFile(SourceFile):
    """A dvc.yaml; `stages` maps names to tables with the keys of [stages.NAME], once converted."""

    def __init__(self, text: str, stages: dict[str, Any] | None = None) -> None:
        """Keep the text for the lines of messages."""
        super().__init__(DVC_NAME)
        self.stages = stages
        self._text = text

    def line(self, key: str) -> int | None:
        """The line of a dotted key, or of the table around it."""
        return nearest_line(_lines_of_keys(self._text), key)


def read_dvc_file(layout: Layout) -> DvcFile:
    """The project's dvc.yaml; ProjectFileError names line and key of what can't be read."""
    text = read_text(layout.root / DVC_NAME, DVC_NAME)
    kept = layout.state / _KEPT_NAME
    mark = f"{_VERSION} {hash_bytes(text.encode())}"
    file = DvcFile(text, kept_value(kept, mark))
    if file.stages is None:
        try:
            file.stages = _converted(file, parse_tree(DVC_NAME, text))
        except RecursionError:
            file.fail("", "is nested too deeply, or holds an alias of what it is in")
        if layout.own.is_dir():
            keep_value(kept, mark, file.stages)
    _name_params_file(layout, file.stages)
    return file


def _name_params_file(layout: Layout, stages: dict[str, Any]) -> None:
    """Bare keys are those of params.yaml for DVC, whatever other params file is there too.

    Where it is the only one it stays the project's own file, which needs no name.
    """
    beside = (layout.root / DEFAULT_PARAMS).exists()
    for body in stages.values():
        if "params" in body and (beside or "wdir" in body):
            body["params"] = _with_file_named(body["params"])


def _converted(file: DvcFile, tree: Any) -> dict[str, Any]:
    if not isinstance(tree, dict):
        file.fail("", "must hold a mapping with `stages:`")
    _refuse_unread(file, tree, _TOP, _TOP_UNREAD, "")
    stages = tree.get("stages") or {}
    if not isinstance(stages, dict):
        file.fail("stages", "must be a mapping of names to stages")
    converted = {str(name): _stage(file, f"stages.{name}", body) for name, body in stages.items()}
    give_to_stages(file, tree, converted)
    return converted


def _stage(file: DvcFile, where: str, written: Any) -> dict[str, Any]:
    if not isinstance(written, dict):
        file.fail(where, "must be a mapping with the stage's cmd")
    body: dict[str, Any] = {
        str(key): value for key, value in written.items() if key not in _REMARKS
    }
    _refuse_unread(file, body, _STAGE, _STAGE_UNREAD, where)
    for key, value in body.items():
        if value is None:
            file.fail(f"{where}.{key}", "has no value; write one, or take the key out")
        _refuse_templates(file, f"{where}.{key}", value)
    for key, known in _FLAGS.items():
        if isinstance(body.get(key), list):
            body[key] = [_out(file, f"{where}.{key}", item, known) for item in body[key]]
    return body


def _out(file: DvcFile, where: str, item: Any, known: tuple[str, ...]) -> Any:
    if not isinstance(item, dict):
        return item
    flags_of: dict[str, Any] = {}
    for path, flags in item.items():
        if isinstance(flags, dict):
            kept = {key: value for key, value in flags.items() if key not in _OUT_REMARKS}
            _refuse_unread(file, kept, known, _OUT_UNREAD, f"{where}.{path}")
            flags_of[str(path)] = kept
        else:
            flags_of[str(path)] = flags
    return flags_of


def _with_file_named(params: Any) -> Any:
    items = params if isinstance(params, list) else [params]
    bare = [item for item in items if isinstance(item, str)]
    return [*([{"params.yaml": bare}] if bare else ()), *(i for i in items if i not in bare)]


def _refuse_unread(
    file: DvcFile,
    table: dict[Any, Any],
    known: tuple[str, ...],
    unread: tuple[str, ...],
    where: str,
) -> None:
    for key in table:
        if key in known:
            continue
        place = f"{where}.{key}" if where else str(key)
        if key in unread:
            file.fail(place, "is not read yet; take it out, and write what it means in each stage")
        file.fail(place, f"unknown key{nearest(str(key), known + unread)}")


def _refuse_templates(file: DvcFile, where: str, value: Any) -> None:
    if isinstance(value, str):
        if "${" in value:
            file.fail(where, f"templates are not read yet: {value.strip()}; write the value")
    elif isinstance(value, (list, dict)):
        inner = value if isinstance(value, list) else [*value.keys(), *value.values()]
        for item in inner:
            _refuse_templates(file, where, item)


def _lines_of_keys(text: str) -> dict[str, int]:
    """Each dotted key of a valid YAML text, with its line from 1; first one wins."""
    from ruamel.yaml import YAML

    lines: dict[str, int] = {}
    seen: set[int] = set()
    pending = [("", YAML(typ="safe", pure=True).compose(text))]
    while pending:
        where, node = pending.pop()
        # An alias leads to the same node again, and may lead a node to itself.
        if node is None or node.id == "scalar" or id(node) in seen:
            continue
        seen.add(id(node))
        if node.id == "sequence":
            pending.extend((where, item) for item in reversed(node.value))
            continue
        for key, value in node.value:
            inner = f"{where}.{key.value}" if where else str(key.value)
            lines.setdefault(inner, key.start_mark.line + 1)
            pending.append((inner, value))
    return lines
