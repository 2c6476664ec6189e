"""Reading one typed field out of a TOML table, with one sentence where its type is wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NoReturn

from mlbench.domain.phrases import bytes_in
from mlbench.project.source_file import SourceFile

# Names become those of files and folders: none may be hidden, or lead somewhere else.
_NAME = re.compile(r"[A-Za-z0-9_@][A-Za-z0-9_.@-]*")
_DURATION = r"(\d+(?:\.\d+)?)\s*(s|m|h|d)?"
_SECONDS = {None: 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST_SECONDS = 1e9


@dataclass(frozen=True)
class Table:
    """One table of a file and where it stands, for fields that complain by themselves."""

    file: SourceFile
    where: str
    value: dict[str, Any]

    def fail(self, key: str, problem: str) -> NoReturn:
        """Raise a ProjectFileError for one key of this table."""
        self.file.fail(f"{self.where}.{key}" if key else self.where, problem)

    def check_name(self, name: str, whose: str) -> None:
        """Fail where this table's own name has signs that a file's name should not have."""
        if not _NAME.fullmatch(name):
            self.fail(
                "", f"{whose}'s name has letters, digits and _ . @ - only, and no . or - first"
            )

    def text(self, key: str) -> str | None:
        """A string, or None where the key is not there."""
        value: str | None = self._typed(key, str, "a string")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """A flag: true or false."""
        value: bool | None = self._typed(key, bool, "true or false")
        return default if value is None else value

    def whole(self, key: str, least: int | None = None) -> int | None:
        """A whole number (true and false are none), `least` or more."""
        if isinstance(self.value.get(key), bool):
            self.fail(key, "must be a whole number")
        value: int | None = self._typed(key, int, "a whole number")
        if value is not None and least is not None and value < least:
            self.fail(key, f"must be {least} or more")
        return value

    def number(self, key: str, usual: float, least: float, most: float) -> float:
        """A number from `least` to `most`, whole or not; `usual` where the key is not there."""
        value = self.value.get(key, usual)
        if type(value) not in (int, float) or not least <= value <= most:
            self.fail(key, f"must be a number from {least:g} to {most:g}")
        return float(value)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings, or one string for a list of one."""
        value = self.value.get(key, [])
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            self.fail(key, "must be a string or a list of strings")
        return tuple(items)

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        """One of a few words; the first is the default."""
        value = self.text(key)
        if value is None:
            return choices[0]
        if value not in choices:
            self.fail(key, f'"{value}" is none of {", ".join(choices)}')
        return value

    def seconds(self, key: str) -> float | None:
        """A duration: seconds as a number, or text such as "90s", "10m" or "2h"."""
        value = self.value.get(key)
        if value is None:
            return None
        seconds = 0.0
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            seconds = float(value)
        match = re.fullmatch(_DURATION, value.strip()) if isinstance(value, str) else None
        if match is not None:
            seconds = float(match.group(1)) * _SECONDS[match.group(2)]
        if not 0 < seconds < _LONGEST_SECONDS:
            self.fail(key, 'must be a duration such as 90, "90s", "10m" or "2h"')
        return seconds

    def size(self, key: str) -> int | None:
        """A size in bytes: a whole number, or text such as "512MB", "2GB" or "1.5GiB"."""
        value = self.value.get(key)
        if value is None:
            return None
        size = 0
        if isinstance(value, int) and not isinstance(value, bool):
            size = value
        if isinstance(value, str):
            size = bytes_in(value) or 0
        if size <= 0:
            self.fail(key, 'must be a size such as "512MB", "2GB" or "1.5GiB"')
        return size

    def words(self, key: str) -> tuple[str, ...]:
        """A command's words: a list of strings, or text that is split as a shell would."""
        value = self.value.get(key)
        if not isinstance(value, str):
            return self.texts(key)
        try:
            # Late: few stages have a launcher.
            import shlex

            return tuple(shlex.split(value))
        except ValueError as error:
            self.fail(key, f"is no command line: {str(error).lower()}")

    def inner(self, key: str) -> Table:
        """The table under a key; an empty one where the key is not there."""
        value: dict[str, Any] | None = self._typed(key, dict, "a table")
        return Table(self.file, f"{self.where}.{key}", value or {})

    def _typed(self, key: str, kind: type[Any], described: str) -> Any:
        value = self.value.get(key)
        if value is not None and not isinstance(value, kind):
            self.fail(key, f"must be {described}")
        return value
