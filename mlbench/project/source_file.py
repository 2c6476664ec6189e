"""A project file that knows how to complain about itself, whatever its format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, NoReturn

from mlbench.domain.errors import ProjectFileError, nearest


class SourceFile(ABC):
    """A parsed file whose faults name file, line and key.

    `overrides` says which dotted keys another file decides; their faults are that file's.
    """

    def __init__(self, name: str) -> None:
        """`name` is what messages call it."""
        self.name = name
        self.overrides: dict[str, SourceFile] = {}

    @abstractmethod
    def line(self, key: str) -> int | None:
        """The line of a dotted key, or of the table around it."""

    def fail(self, key: str, problem: str) -> NoReturn:
        """Raise a ProjectFileError for a key, with its line in the file that it came from."""
        file = self._origin_of(key)
        raise ProjectFileError(problem, file=file.name, line=file.line(key), key=key)

    def refuse_unknown(self, table: dict[str, Any], known: Iterable[str], where: str) -> None:
        """Fail at the first key of a table that is not known, with the nearest spelling."""
        for key in table:
            if key not in known:
                self.fail(f"{where}.{key}" if where else key, f"unknown key{nearest(key, known)}")

    def _origin_of(self, key: str) -> SourceFile:
        """The file that a key, or a table around it, came from."""
        while key:
            if key in self.overrides:
                return self.overrides[key]
            key = key.rpartition(".")[0]
        return self


def nearest_line(lines: dict[str, int], key: str) -> int | None:
    """The line of a key, or of the nearest table around it."""
    while key:
        if key in lines:
            return lines[key]
        key = key.rpartition(".")[0]
    return None
