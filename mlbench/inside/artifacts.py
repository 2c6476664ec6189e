"""Copies of what a script wants kept, in its stage's `artifacts/`: whole or not at all."""

from __future__ import annotations

import contextlib
import os
import stat
import time

from mlbench.inside.logged import ARTIFACTS_NAME

TYPE_CHECKING = False  # type checkers take it for True; importing typing costs milliseconds
if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK = 1 << 20
_CLONE = 0x40049409  # Linux's FICLONE: shares the blocks where the file system can
_PART = ".part-"
# Copying a folder that this one lies in would never end.
_NOT_COPIED = (".mlbench", ".git", "__pycache__")


def keep_copy(folder: str, source: str, name: str | None = None) -> tuple[str, int]:
    """Copy a file, or a folder with all in it, into the artifacts of a stage's folder.

    `name` is its place there, by default the source's own name. Links are followed; what is neither
    file nor folder is left out. Gives its path relative to the stage's folder and its size in
    bytes. What had the name before is replaced. ValueError for a name that leads elsewhere, OSError
    where it can't be read or written.
    """
    source = os.path.abspath(source)
    path = artifact_path(os.path.basename(source) if name is None else name)
    part = _part(folder)
    seen_as = _named_in_the_record(source, f"{part}.source")
    try:
        if os.path.isdir(source):
            size = _copy_folder(seen_as, part, ())
        elif stat.S_ISREG(os.stat(source).st_mode):
            size = _copy_file(seen_as, part)
        else:
            raise ValueError(f"{source} is neither a file nor a folder")
        _put(part, os.path.join(folder, path))
    except BaseException:
        remove(part)
        raise
    finally:
        if seen_as != source:
            remove(seen_as)
    return path, size


def keep_bytes(folder: str, data: bytes, name: str) -> tuple[str, int]:
    """Keep these bytes as an artifact of a stage's folder; as `keep_copy`."""
    path = artifact_path(name)
    part = _part(folder)
    try:
        with open(part, "xb", buffering=0) as file:
            _write_all(file.fileno(), memoryview(data))
        _put(part, os.path.join(folder, path))
    except BaseException:
        remove(part)
        raise
    return path, len(data)


def _named_in_the_record(source: str, link: str) -> str:
    """A name for the source in the record: to keep a copy of a file makes it no input of the stage.

    The source itself where the file system has no links.
    """
    try:
        os.symlink(source, link)
    except OSError:
        return source
    return link


def artifact_path(name: str) -> str:
    """Where an artifact of this name lies in a stage's folder; ValueError where it leads out."""
    name = os.fspath(name)
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if not parts or name[:1] == "/" or ".." in parts or "\0" in name:
        raise ValueError(f'"{name}" is no name for an artifact; pass one such as "plots/loss.png"')
    if parts[0].startswith(_PART):
        raise ValueError(f'"{name}" is a name that is used inside; pass another')
    return "/".join((ARTIFACTS_NAME, *parts))


def _part(folder: str) -> str:
    """A new place in the artifacts to write to, on the same disk as where it will be."""
    artifacts = os.path.join(folder, ARTIFACTS_NAME)
    # Not with its parents: a stage's folder that was removed must not come back.
    with contextlib.suppress(FileExistsError):
        os.mkdir(artifacts)
    return os.path.join(artifacts, f"{_PART}{os.getpid()}-{time.time_ns()}")


def _put(part: str, target: str) -> None:
    """Rename what is whole to its place, over what is there."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    old = f"{part}.old"
    try:
        os.replace(part, target)
    except OSError:
        # A folder is in the way, or a file where a folder comes.
        os.rename(target, old)
        os.replace(part, target)
        remove(old)


def _copy_folder(source: str, target: str, above: tuple[str, ...]) -> int:
    real = os.path.realpath(source)
    if real in above:
        return 0
    os.mkdir(target)
    size = 0
    for entry in _entries(source):
        to = os.path.join(target, entry.name)
        if entry.is_dir():
            if entry.name not in _NOT_COPIED:
                size += _copy_folder(entry.path, to, (*above, real))
        elif entry.is_file():
            size += _copy_file(entry.path, to)
    return size


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from sorted(entries, key=lambda entry: entry.name)


def _copy_file(source: str, target: str) -> int:
    with open(source, "rb", buffering=0) as read, open(target, "xb", buffering=0) as write:
        if not _cloned(read.fileno(), write.fileno()):
            _copy_bytes(read.fileno(), write.fileno())
        return os.fstat(write.fileno()).st_size


def _cloned(source: int, target: int) -> bool:
    import fcntl

    try:
        fcntl.ioctl(target, _CLONE, source)
    except OSError:
        return False
    return True


def _copy_bytes(source: int, target: int) -> None:
    while block := os.read(source, _BLOCK):
        _write_all(target, memoryview(block))


def _write_all(descriptor: int, data: memoryview) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def remove(path: str) -> None:
    """Remove a file or a folder, as far as it can be."""
    try:
        if os.path.isdir(path) and not os.path.islink(path):
            for entry in _entries(path):
                remove(entry.path)
            os.rmdir(path)
        else:
            os.unlink(path)
    except OSError:
        return
