"""Files that are either the old one or the new one, whatever happens in between."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlbench.domain.errors import FolderNotWritableError

FULL = (errno.ENOSPC, errno.EDQUOT)
"""The errors of a disk, or of somebody's share of it, that has no room left."""


def write_atomically(path: Path, data: bytes) -> None:
    """Replace `path` as a whole and durably: temporary file, fsync, rename, fsync the folder."""
    # tempfile does no more, and costs every command its import.
    temporary = f"{path.parent}/.{path.name}.{os.urandom(4).hex()}"
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(path.parent)


def write_all(descriptor: int, data: bytes) -> None:
    """Write everything or raise: a disk that fills up takes a part of it without an error."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def entries_in(folder: Path) -> list[Path]:
    """What lies directly in a folder, by name; nothing where there is no such folder."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def write_json(path: Path, value: Any) -> None:
    """Replace `path` by this value as indented JSON."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    # A file name that is no UTF-8 arrives as lone surrogates; json.loads takes them back.
    write_atomically(path, text.encode("utf-8", "surrogatepass") + b"\n")


def overwrite_json(path: Path, value: Any) -> None:
    """Write a short value over a file, into the room that this has on a full disk.

    It is torn where the process is killed meanwhile.
    """
    text = json.dumps(value, ensure_ascii=False)
    with open(path, "r+b") as file:
        file.write(text.encode("utf-8", "surrogatepass") + b"\n")
        file.truncate()


def read_json(path: Path) -> Any:
    """The JSON value in a file, or None where the file is missing or torn."""
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def size_of(path: Path) -> int:
    """The bytes of a file, or of all files below a folder; links count as themselves."""
    if path.is_dir() and not path.is_symlink():
        return sum(size_of(inner) for inner in path.iterdir())
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Make the files directly in a folder durable, before the folder is renamed into its place."""
    for path in folder.iterdir():
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    sync_folder(folder)


def remove(path: Path) -> None:
    """Remove a file, link or folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        # Late, as below: who only looks removes and moves nothing.
        import shutil

        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def move(source: Path, target: Path) -> None:
    """Rename, or copy and remove where the two lie on different file systems."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.rename(source, target)
    except OSError:
        import shutil

        shutil.move(source, target)


@contextlib.contextmanager
def writable(folder: Path) -> Iterator[None]:
    """Turn a refusal to write below a folder into one sentence."""
    try:
        yield
    except (PermissionError, OSError) as error:
        if not isinstance(error, PermissionError) and error.errno not in (30,):
            raise
        raise FolderNotWritableError(
            f"{error.filename or folder}: can't be written ({error.strerror}); "
            "make the project's folder writable, or work in a copy of it"
        ) from None
