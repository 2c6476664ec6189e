"""The file system as the pipeline sees it: the edge below which nothing is decided."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from mlbench.system.content import clone_file, files_below, hash_file
from mlbench.system.files import move, remove, write_atomically

Stat = tuple[int, int, int, int]
# Where thousands of paths are looked at, a Path of each would take longer than the look.
StrPath = str | Path


class Tree(Protocol):
    """Files and folders with the stamps of one clock."""

    def now(self) -> int:
        """The clock of the stamps, in ns since the epoch."""

    def pause(self, nanoseconds: int) -> None:
        """Let that much time go by."""

    def stat(self, path: StrPath) -> Stat | None:
        """Size, mtime, ctime (ns) and inode behind its links; None where there is none."""

    def real(self, path: Path) -> Path:
        """The path without links, `.` and `..`."""

    def is_file(self, path: StrPath) -> bool:
        """Whether a file is there."""

    def is_folder(self, path: StrPath) -> bool:
        """Whether a folder is there."""

    def names(self, folder: StrPath) -> list[str]:
        """The names in a folder, sorted; none where there is no such folder."""

    def files(self, folder: Path, left_out: Callable[[str], bool]) -> Iterator[Path]:
        """Every file below a folder, behind links too; `left_out` tells names that don't count."""

    def read(self, path: StrPath) -> bytes:
        """The bytes of a file; FileNotFoundError where there is none."""

    def digest(self, path: StrPath) -> str:
        """BLAKE3 of a file's bytes; FileNotFoundError where there is none."""

    def write(self, path: Path, data: bytes) -> None:
        """Replace a file as a whole and durably, with the folders that it lies in."""

    def make_folder(self, path: Path) -> None:
        """Make a folder with those that it lies in, unless it is there."""

    def move(self, source: Path, target: Path) -> None:
        """Rename a file or folder, making the folders that it is to lie in."""

    def copy(self, source: Path, target: Path) -> None:
        """Copy a file or folder to where nothing is, making the folders that it is to lie in."""

    def remove(self, path: Path) -> None:
        """Remove a file, link or folder, if it is there."""


class DiskTree:
    """The real one."""

    def now(self) -> int:
        """The system's clock."""
        return time.time_ns()

    def pause(self, nanoseconds: int) -> None:
        """By sleeping."""
        time.sleep(nanoseconds / 1e9)

    def stat(self, path: StrPath) -> Stat | None:
        """As the kernel has it."""
        try:
            found = os.stat(path)
        except (OSError, ValueError):
            return None
        return (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)

    def real(self, path: Path) -> Path:
        """As the kernel would follow it."""
        return Path(os.path.realpath(path))

    def is_file(self, path: StrPath) -> bool:
        """Behind links too."""
        return os.path.isfile(path)

    def is_folder(self, path: StrPath) -> bool:
        """Behind links too."""
        return os.path.isdir(path)

    def names(self, folder: StrPath) -> list[str]:
        """One listing."""
        try:
            return sorted(os.listdir(folder))
        except OSError:
            return []

    def files(self, folder: Path, left_out: Callable[[str], bool]) -> Iterator[Path]:
        """Folder by folder, each sorted."""
        return files_below(folder, left_out)

    def read(self, path: StrPath) -> bytes:
        """Whole."""
        with open(path, "rb") as file:
            return file.read()

    def digest(self, path: StrPath) -> str:
        """Mapped, and on several threads where that pays."""
        return hash_file(Path(path))

    def write(self, path: Path, data: bytes) -> None:
        """Temporary file, fsync, rename, fsync of the folder."""
        try:
            write_atomically(path, data)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, data)

    def make_folder(self, path: Path) -> None:
        """With its parents."""
        path.mkdir(parents=True, exist_ok=True)

    def move(self, source: Path, target: Path) -> None:
        """By rename, or by copy where the two lie on different file systems."""
        move(source, target)

    def copy(self, source: Path, target: Path) -> None:
        """By reflink where the file system can, else byte by byte."""
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            # Late: whole folders are seldom copied.
            import shutil

            shutil.copytree(source, target, symlinks=True, copy_function=_clone)
        else:
            _clone(str(source), str(target))

    def remove(self, path: Path) -> None:
        """Whole folders too."""
        remove(path)


def _clone(source: str, target: str) -> str:
    clone_file(Path(source), Path(target))
    return target
