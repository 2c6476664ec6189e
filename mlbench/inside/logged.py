"""What a script says besides metrics: the format, and its one writer in each process.

Each process of a stage has one file in the stage's folder, `logged-<pid>-<start ns>.jsonl`: a JSON
object a line, only ever appended to, each with `kind` and `at` (seconds since the epoch):

- `{"kind": "params", "params": {"train.alpha": 0.1}}`: flat, with dotted names; a value is a text,
  a number within 64 bits, true, false or null. Of two values the later one holds.
- `{"kind": "tags", "tags": ["good", "team=vision"]}`: of two values of a key the later one holds.
- `{"kind": "artifact", "name": "model.bin", "path": "artifacts/model.bin", "size": 812}`: `path` is
  relative to the stage's folder, a file or a folder; `size` is in bytes.
- `{"kind": "figure", "name": "parts", "path": "artifacts/parts-3.png", "size": 812, "step": 3}`
- `{"kind": "table", "name": "errors", "path": "artifacts/errors.csv", "size": 812, "step": null}`
- `{"kind": "section", "name": "fine-tuning"}`: began here.

A line that is no such object is to be passed over: a full disk may tear one, and the next begins on
a line of its own. What follows the last newline is still being written. Secrets are hidden before
they get here (`inside/secrets.py`).
"""

from __future__ import annotations

import os
import time

from mlbench.inside.secrets import HIDDEN, is_secret, of_this_process, without_secrets

TYPE_CHECKING = False  # type checkers take it for True; importing typing costs milliseconds
if TYPE_CHECKING:
    from typing import Any

    Scalar = str | int | float | bool | None

PREFIX = "logged-"
SUFFIX = ".jsonl"
ARTIFACTS_NAME = "artifacts"
"""The folder, in the stage's, that holds copies of artifacts, figures and tables."""

_LONGEST_TEXT = 2000
_LARGEST_INT = 2**63


class LoggedWriter:
    """Appends lines to this process's file in a folder; the file appears with the first line.

    Threads, signal handlers and forks may use one together: a line is one write.
    """

    def __init__(self, folder: str) -> None:
        """Remember the stage's folder; nothing is opened yet."""
        self.folder = folder
        self._descriptor: int | None = None
        self._is_torn = False

    def params(self, params: Any) -> None:
        """Write parameters of any nesting, flat and with secrets hidden; OSError from the disk."""
        self.write("params", params=flat_params(params))

    def tags(self, /, *words: str, **values: object) -> None:
        """Write tags: words, and `key=value` for each keyword; OSError from the disk.

        A word has no blanks and commas: hyphens come in their place.
        """
        pairs: list[tuple[str, str, Any]] = [str(word).partition("=") for word in words]
        pairs += [(name, "=", value) for name, value in values.items()]
        self.write("tags", tags=[tag for pair in pairs if (tag := tag_of(*pair))])

    def write(self, kind: str, **fields: object) -> None:
        """Append one line; OSError where the disk doesn't take it, ValueError for no JSON."""
        # Late: it costs as much as everything else here, and metrics don't need it.
        import json

        record = {"kind": kind, "at": time.time(), **fields}
        line = json.dumps(record, allow_nan=False).encode() + b"\n"
        if self._descriptor is None:
            self._descriptor = _create_file(self.folder)
        if self._is_torn:
            line = b"\n" + line
        written = os.write(self._descriptor, line)
        self._is_torn = written < len(line)
        while written < len(line):
            written += os.write(self._descriptor, line[written:])
        self._is_torn = False

    def close(self) -> None:
        """Let the file go; a later line starts a new one."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None
        self._is_torn = False

    def start_over_in_child(self) -> None:
        """After a fork: leave the file to the parent."""
        self.close()


def flat_params(params: Any) -> dict[str, Scalar]:
    """Parameters flat with dotted names, as the record takes them, secrets hidden.

    Takes mappings, and objects whose attributes are the parameters (argparse's namespace, data
    classes). A value that is no text, number, truth or None becomes its `str`. TypeError where it
    is neither a mapping nor such an object.
    """
    flat: dict[str, Scalar] = {}
    _flatten("", _items(params), flat, ())
    return flat


def tag_of(key: str, sign: str, value: Any) -> str:
    """A tag as the record takes it, a secret hidden; empty where the key has no word in it.

    `sign` is `=` between a key and its value, else empty.
    """
    word = "-".join(_text(key).replace(",", " ").split())
    shown = " ".join(str(_shown(key, value)).split())
    return f"{word}{sign}{shown}" if word else ""


def _flatten(
    prefix: str, items: list[tuple[Any, Any]], into: dict[str, Scalar], above: tuple[int, ...]
) -> None:
    for key, value in items:
        name = prefix + _text(key)
        is_nested = hasattr(value, "items") and hasattr(value, "keys")
        if is_nested and id(value) not in above and len(value):
            _flatten(f"{name}.", list(value.items()), into, (*above, id(value)))
        else:
            into[name] = _shown(name, value)


def _items(params: Any) -> list[tuple[Any, Any]]:
    if hasattr(params, "items"):
        return list(params.items())
    if hasattr(params, "__dict__") and not isinstance(params, type):
        return list(vars(params).items())
    raise TypeError(f"pass a mapping or keywords, not {type(params).__name__}")


def _shown(name: object, value: Any) -> Scalar:
    """What the record holds of a value with this name."""
    if is_secret(str(name)) and value is not None:
        return HIDDEN
    if not isinstance(value, (str, int, float)) and hasattr(value, "item"):
        value = _item(value)
    if value is None or type(value) is bool:
        return value
    if isinstance(value, int) and -_LARGEST_INT <= value < _LARGEST_INT:
        return int(value)
    if isinstance(value, float) and value - value == 0:  # neither NaN nor infinite
        return float(value)
    return _text(value)


def _item(value: Any) -> Any:
    """The plain number of an array's or a tensor's scalar; the value itself otherwise."""
    try:
        return value.item()
    except Exception:
        return value


def _text(value: object) -> str:
    """A value as text that is valid UTF-8, not endless, and without this process's secrets."""
    try:
        text = str(value)
    except Exception:
        text = f"<{type(value).__name__}>"
    text = without_secrets(text, of_this_process())
    if len(text) > _LONGEST_TEXT:
        text = text[: _LONGEST_TEXT - 1] + "…"
    return text.encode("utf-8", "backslashreplace").decode()


def _create_file(folder: str) -> int:
    name = f"{PREFIX}{os.getpid()}-{time.time_ns()}{SUFFIX}"
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
    return os.open(os.path.join(folder, name), flags, 0o644)
