"""Reading a TOML file with errors that name file, line and key."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlbench.domain.errors import ProjectFileError
from mlbench.project.source_file import SourceFile, nearest_line
from mlbench.project.toml_lines import lines_of_keys

_PLACE = r"\s*\(at line (\d+), column (\d+)\)$"
_AT_END = r"\s*\(at end of document\)$"


class TomlFile(SourceFile):
    """A parsed TOML file that knows how to complain about itself."""

    def __init__(self, name: str, text: str) -> None:
        """Parse; ProjectFileError with a syntax error's line. `name` is what messages call it."""
        super().__init__(name)
        self._text = text
        # A project that has a dvc.yaml alone does not wait for the parser's import.
        self.value: dict[str, Any] = _parsed(name, text) if text else {}

    @classmethod
    def read(cls, path: Path, name: str | None = None) -> TomlFile:
        """Read a file; ProjectFileError where it is not there, not readable or not UTF-8."""
        return cls(name or path.name, read_text(path, name or path.name))

    def line(self, key: str) -> int | None:
        """The line of a dotted key, or of the table around it."""
        return nearest_line(lines_of_keys(self._text), key)


def read_text(path: Path, name: str) -> str:
    """The text of a project file; ProjectFileError where it can't be read as UTF-8."""
    return text_of(path.read_bytes, name)


def text_of(read: Callable[[], bytes], name: str) -> str:
    """The text of what `read` gives; ProjectFileError where it can't be read as UTF-8."""
    try:
        return read().decode("utf-8").replace("\r\n", "\n")
    except FileNotFoundError:
        raise ProjectFileError("there is no such file", file=name) from None
    except UnicodeDecodeError:
        raise ProjectFileError("is not UTF-8 text", file=name) from None
    except OSError as error:
        raise ProjectFileError(f"can't be read: {error.strerror}", file=name) from None


def _parsed(name: str, text: str) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax_error(name, text, str(error)) from None
    except RecursionError:
        raise ProjectFileError("not valid TOML: nested too deeply", file=name) from None


def _syntax_error(name: str, text: str, message: str) -> ProjectFileError:
    place = re.search(_PLACE, message)
    line = int(place.group(1)) if place else text.count("\n") + 1
    problem = re.sub(_AT_END, "", re.sub(_PLACE, "", message))
    source = text.splitlines()
    shown = f": {source[line - 1].strip()}" if 0 < line <= len(source) else ""
    return ProjectFileError(f"not valid TOML: {problem}{shown}", file=name, line=line)
