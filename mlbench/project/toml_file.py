"""Reading a TOML file with errors that name file, line and key."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, NoReturn

from mlbench.domain.errors import ProjectFileError, nearest
from mlbench.project.toml_lines import lines_of_keys, nearest_line

_PLACE = re.compile(r"\s*\(at line (\d+), column (\d+)\)$")
_AT_END = re.compile(r"\s*\(at end of document\)$")


class TomlFile:
    """A parsed TOML file that knows how to complain about itself."""

    def __init__(self, name: str, text: str) -> None:
        """Parse; ProjectFileError with a syntax error's line. `name` is what messages call it."""
        self.name = name
        self.overrides: dict[str, TomlFile] = {}
        self._text = text
        try:
            self.value: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise _syntax_error(name, text, str(error)) from None
        except RecursionError:
            raise ProjectFileError("not valid TOML: nested too deeply", file=name) from None

    @classmethod
    def read(cls, path: Path, name: str | None = None) -> TomlFile:
        """Read a file; ProjectFileError where it is not there, not readable or not UTF-8."""
        return cls(name or path.name, read_text(path, name or path.name))

    def fail(self, key: str, problem: str) -> NoReturn:
        """Raise a ProjectFileError for a key, with its line in the file that it came from."""
        file = self._origin_of(key)
        raise ProjectFileError(problem, file=file.name, line=file.line(key), key=key)

    def line(self, key: str) -> int | None:
        """The line of a dotted key, or of the table around it."""
        return nearest_line(lines_of_keys(self._text), key)

    def _origin_of(self, key: str) -> TomlFile:
        """The file laid over this one that a key, or a table around it, came from."""
        while key:
            if key in self.overrides:
                return self.overrides[key]
            key = key.rpartition(".")[0]
        return self

    def refuse_unknown(self, table: dict[str, Any], known: tuple[str, ...], where: str) -> None:
        """Fail at the first key of a table that is not known, with the nearest spelling."""
        for key in table:
            if key not in known:
                self.fail(f"{where}.{key}" if where else key, f"unknown key{nearest(key, known)}")


def read_text(path: Path, name: str) -> str:
    """The text of a project file; ProjectFileError where it can't be read as UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ProjectFileError("there is no such file", file=name) from None
    except UnicodeDecodeError:
        raise ProjectFileError("is not UTF-8 text", file=name) from None
    except OSError as error:
        raise ProjectFileError(f"can't be read: {error.strerror}", file=name) from None


def _syntax_error(name: str, text: str, message: str) -> ProjectFileError:
    place = _PLACE.search(message)
    line = int(place.group(1)) if place else text.count("\n") + 1
    problem = _AT_END.sub("", _PLACE.sub("", message))
    source = text.splitlines()
    shown = f": {source[line - 1].strip()}" if 0 < line <= len(source) else ""
    return ProjectFileError(f"not valid TOML: {problem}{shown}", file=name, line=line)
