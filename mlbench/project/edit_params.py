"""Setting parameters in the text of a params file, with everything else left as it is."""

from __future__ import annotations

import ast
import copy
import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mlbench.domain.errors import ProjectFileError, nearest
from mlbench.domain.syntax import parse_module
from mlbench.project.params import flatten, parse_params

Path = tuple[Any, ...]
_MOST_NAMED = 4
_JSON_SPACE = " \t\n\r"


def with_values(name: str, text: str, values: Mapping[str, Any]) -> str:
    """The text of a params file with these dotted keys set, by the ending of its name.

    Comments and layout stay; a value that is replaced loses only its own. ProjectFileError for a
    key that is not there or is a table, and for a value that the format has no word for.
    """
    is_windows = "\r\n" in text
    text = text.replace("\r\n", "\n")
    for key, value in values.items():
        tree = parse_params(name, text)
        path = _path_to(tree, key, name)
        text = _with_value(name, text, tree, key, path, value)
    return text.replace("\n", "\r\n") if is_windows else text


def value_at(tree: Mapping[str, Any], key: str, name: str) -> Any:
    """The value under a dotted key; ProjectFileError where there is none, or a table."""
    value: Any = tree
    for step in _path_to(tree, key, name):
        value = value[step]
    return value


def _with_value(
    name: str, text: str, tree: dict[str, Any], key: str, path: Path, value: Any
) -> str:
    if isinstance(value, dict):
        raise ProjectFileError("is a value, and can't be set to a table", file=name, key=key)
    expected = copy.deepcopy(tree)
    table: Any = expected
    for step in path[:-1]:
        table = table[step]
    table[path[-1]] = value
    for edit in _EDITS[_suffix(name)]:
        try:
            edited = edit(text, path, value)
            # No format's editor is trusted with what somebody wrote by hand.
            if repr(parse_params(name, edited)) == repr(expected):
                return edited
        except (ProjectFileError, ValueError, TypeError, LookupError, RecursionError):
            continue
    raise ProjectFileError(
        f"can't be set to {value!r} in a file of this kind; set it by hand", file=name, key=key
    )


def _path_to(tree: Mapping[str, Any], key: str, name: str) -> Path:
    """The keys that lead to a value, each as the file has it: some have dots, or are numbers."""
    path = _find(tree, key)
    if path is None:
        near = nearest(key, flatten(tree))
        raise ProjectFileError(f"there is no such parameter{near}", file=name, key=key)
    value: Any = tree
    for step in path:
        value = value[step]
    if isinstance(value, dict):
        inner = [f"{key}.{name}" for name in flatten(value)]
        named = f"; set one of {', '.join(inner[:_MOST_NAMED])}" if inner else ""
        more = " …" if len(inner) > _MOST_NAMED else ""
        raise ProjectFileError(f"is a table, not a value{named}{more}", file=name, key=key)
    return path


def _find(tree: Any, rest: str) -> Path | None:
    if not isinstance(tree, Mapping):
        return None
    for key in tree:
        if rest == str(key):
            return (key,)
        if rest.startswith(f"{key}."):
            path = _find(tree[key], rest[len(str(key)) + 1 :])
            if path is not None:
                return (key, *path)
    return None


def _suffix(name: str) -> str:
    suffix = name.rpartition(".")[2].lower()
    return suffix if suffix in _EDITS else "toml"


def _replaced(text: str, span: tuple[int, int] | None, value: str) -> str:
    if span is None:
        raise LookupError
    return text[: span[0]] + value + text[span[1] :]


def _edit_toml(text: str, path: Path, value: Any) -> str:
    # 70 ms to import, and only what sets a parameter needs it.
    import tomlkit

    document: Any = tomlkit.parse(text)
    table = document
    for step in path[:-1]:
        table = table[step]
    table[path[-1]] = value
    return str(tomlkit.dumps(document))


def _edit_json(text: str, path: Path, value: Any) -> str:
    span = _json_span(text, _after_space(text, 0), path)
    return _replaced(text, span, json.dumps(value, ensure_ascii=False))


def _json_span(text: str, at: int, path: Path) -> tuple[int, int] | None:
    """Where the value lies to which a path leads from the value that begins at `at`."""
    found = None
    for key, start, end in _json_members(text, at):
        # Of two members of one name the last counts.
        if key == path[0]:
            found = (start, end) if len(path) == 1 else _json_span(text, start, path[1:])
    return found


def _json_members(text: str, at: int) -> Iterator[tuple[str, int, int]]:
    """Each name of an object with the place of its value."""
    decoder = json.JSONDecoder()
    while text[at] in "{,":
        at = _after_space(text, at + 1)
        if text[at] == "}":
            return
        key, at = decoder.raw_decode(text, at)
        start = _after_space(text, _after_space(text, at) + 1)
        _, end = decoder.raw_decode(text, start)
        yield key, start, end
        at = _after_space(text, end)


def _after_space(text: str, at: int) -> int:
    while text[at] in _JSON_SPACE:
        at += 1
    return at


def _edit_yaml_in_place(text: str, path: Path, value: Any) -> str:
    """Replace the characters of one value; what is written over several lines is not for this."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    node = yaml.compose(text)
    for step in path:
        keys = ((yaml.constructor.construct_object(key, deep=True), at) for key, at in node.value)
        node = [value for key, value in keys if key == step][-1]
    start, end = node.start_mark.index, node.end_mark.index
    if start == end or "\n" in text[start:end]:
        raise LookupError
    return _replaced(text, (start, end), _yaml_word(value))


def _edit_yaml(text: str, path: Path, value: Any) -> str:
    """Read and write the whole file, with its comments, in a layout of its own."""
    import io

    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1 << 16
    yaml.explicit_start = text.startswith("---")
    document = yaml.load(text)
    table = document
    for step in path[:-1]:
        table = table[step]
    table[path[-1]] = value
    written = io.StringIO()
    yaml.dump(document, written)
    return written.getvalue()


def _yaml_word(value: Any) -> str:
    """A value in one line, such that readers of YAML 1.1 and 1.2 take it for the same."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_yaml_word, value))}]"
    if isinstance(value, str):
        shown = json.dumps(value, ensure_ascii=False)
        return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in shown)
    if not isinstance(value, float):
        return json.dumps(value, default=str)
    if not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    word = repr(value)
    # In YAML 1.1 a number without a point is text when it has an exponent.
    return word if "." in word else word.replace("e", ".0e")


def _edit_python(text: str, path: Path, value: Any) -> str:
    node: Any = _assigned(parse_module(text).body, path[0])
    for step in path[1:]:
        if isinstance(node, ast.ClassDef):
            node = _assigned(node.body, step)
        else:
            pairs = zip(node.keys, node.values, strict=True)
            node = [item for key, item in pairs if key and ast.literal_eval(key) == step][-1]
    lines = text.encode().split(b"\n")
    before = [0]
    for line in lines:
        before.append(before[-1] + len(line) + 1)
    start = before[node.lineno - 1] + node.col_offset
    end = before[node.end_lineno - 1] + node.end_col_offset
    data = text.encode()
    return (data[:start] + repr(value).encode() + data[end:]).decode()


def _assigned(body: list[ast.stmt], name: Any) -> ast.expr | ast.ClassDef:
    """What a name stands for at the end of a module or class, as reading takes it."""
    found: ast.expr | ast.ClassDef | None = None
    for node in body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            found = node
        elif isinstance(node, ast.Assign) and len(node.targets) == 1:
            found = node.value if _is_named(node.targets[0], name) else found
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            found = node.value if _is_named(node.target, name) else found
    if found is None:
        raise LookupError
    return found


def _is_named(node: ast.expr, name: Any) -> bool:
    return isinstance(node, ast.Name) and node.id == name


Edit = Callable[[str, Path, Any], str]
_EDITS: dict[str, tuple[Edit, ...]] = {
    "toml": (_edit_toml,),
    "json": (_edit_json,),
    "yaml": (_edit_yaml_in_place, _edit_yaml),
    "yml": (_edit_yaml_in_place, _edit_yaml),
    "py": (_edit_python,),
}
