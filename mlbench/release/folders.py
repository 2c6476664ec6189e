"""What lies in the folder of a candidate or version: names, digests, and what may change."""

from __future__ import annotations

import os
from pathlib import Path

from mlbench.system.content import clone_file, files_below, hash_file
from mlbench.system.files import read_json, sync_folder, write_json

MODEL_NAME = "model.onnx"
ANSWERS_NAME = "answers.npz"
FACTS_NAME = "candidate.json"
GATES_NAME = "gates.json"
REQUEST_NAME = "request.json"
CARD_NAME = "card.md"
WORDS_NAME = "words.md"
DIGESTS_NAME = "files.json"
# With the ending that the project's own table has.
PREDICTIONS = "predictions"
# Made anew from other things, judged again, or written by people.
CHANGING = frozenset({GATES_NAME, CARD_NAME, WORDS_NAME, DIGESTS_NAME})
RESERVED = CHANGING | {ANSWERS_NAME, FACTS_NAME, REQUEST_NAME}


def digests_in(folder: Path) -> dict[str, str]:
    """The digest of each file below a folder that never changes, by its relative path."""
    return {name: hash_file(folder / name) for name in files_in(folder) if name not in CHANGING}


def files_in(folder: Path) -> list[str]:
    """The relative paths of all files below a folder, sorted."""
    return sorted(path.relative_to(folder).as_posix() for path in _files(folder))


def write_digests(folder: Path) -> None:
    """Write down what the files of a folder hold now."""
    write_json(folder / DIGESTS_NAME, digests_in(folder))


def damage_in(folder: Path, *, but: frozenset[str] = frozenset()) -> str:
    """The first file that is not what was written down, in words; empty where all are.

    Files `but` these are held to it.
    """
    promised = read_json(folder / DIGESTS_NAME)
    if not isinstance(promised, dict):
        return f"{DIGESTS_NAME} is missing or damaged"
    found = digests_in(folder)
    for name in sorted(promised.keys() | found.keys()):
        if name in but or promised.get(name) == found.get(name):
            continue
        if name not in found:
            return f"{name} is missing"
        return f"{name} was {'altered' if name in promised else 'added'} since it was kept"
    return ""


def copy_folder(source: Path, target: Path) -> None:
    """Copy every file below a folder, at no cost where the file system can."""
    for path in _files(source):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        clone_file(path, place)


def lock_up(folder: Path) -> None:
    """Make what never changes read-only and durable, and the folder one that others may read."""
    for path in _files(folder):
        is_changing = path.relative_to(folder).as_posix() in CHANGING
        mode = path.stat().st_mode
        path.chmod(0o644 if is_changing else 0o444 | (mode & 0o111))
        with path.open("rb") as file:
            os.fsync(file.fileno())
    for inner in {path.parent for path in _files(folder)} | {folder}:
        inner.chmod(0o755)
        sync_folder(inner)


def _files(folder: Path) -> list[Path]:
    return list(files_below(folder, lambda _name: False))
