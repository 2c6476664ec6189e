"""Commands from other terminals on their way to the holder of the loop."""

from __future__ import annotations

import time
from pathlib import Path

from mlbench.domain.commands import Command
from mlbench.domain.names import new_command_id
from mlbench.domain.wire import command_from_plain, command_to_plain
from mlbench.engine.inputs import Asked
from mlbench.system.files import read_json, write_json

_STALE_SECONDS = 60.0


def put(folder: Path, command: Command) -> str:
    """Leave a command for the holder; gives the id that its CommandDone will carry."""
    command_id = new_command_id()
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / f"{command_id}.json", command_to_plain(command))
    return command_id


def is_waiting(folder: Path, command_id: str) -> bool:
    """Whether nobody has taken a command yet."""
    return (folder / f"{command_id}.json").exists()


def take(folder: Path) -> list[Asked]:
    """Every command that waits, oldest first; each is taken once."""
    if not folder.is_dir():
        return []
    asked = []
    for path in sorted(folder.glob("*.json")):
        plain = read_json(path)
        path.unlink(missing_ok=True)
        if plain is not None:
            asked.append(Asked(path.stem, command_from_plain(plain), is_foreign=True))
    return asked


def clear_stale(folder: Path) -> None:
    """Drop what was left for a holder that is gone: nobody waits for the answer any more."""
    if folder.is_dir():
        for path in folder.glob("*.json"):
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                path.unlink(missing_ok=True)
