"""TinyDB's storage on one JSON file that is replaced as a whole, so that no crash tears it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tinydb.storages import Storage

from mlbench.system.files import write_atomically


class AtomicJsonStorage(Storage):
    """Reads and writes the whole database; callers hold the store's lock around a mutation."""

    def __init__(self, path: Path) -> None:
        """Use this file; it is made on the first write."""
        self._path = path

    def read(self) -> dict[str, dict[str, Any]] | None:
        """The tables, or None where there are none yet; ValueError where the file is damaged."""
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        value = json.loads(text)
        if not (isinstance(value, dict) and all(map(_is_table, value.values()))):
            raise ValueError("not a TinyDB file")
        return value

    def write(self, data: dict[str, dict[str, Any]]) -> None:
        """Replace the file durably."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path, json.dumps(data, ensure_ascii=False).encode())


def _is_table(value: Any) -> bool:
    """Whether this is documents by their numbers, as TinyDB has them."""
    return isinstance(value, dict) and all(map(str.isdecimal, value))
