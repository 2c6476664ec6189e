"""The edges of the decision core over a disk in memory; they pass the tests of the real ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from mlbench.pipeline.tree import Stat, StrPath
from mlbench.system.content import FOLDER_MARK, hash_bytes, is_bytecode, listing_bytes
from tests.model.disk import Disk

SITE = "/site"


class Crash(BaseException):
    """The loop's process was killed: no handler of its own gets to run to any effect."""


class Process:
    """One process of the loop: everything that it does outside itself is a step.

    `between` is called before each step; at `fuse` steps from now the process dies, and whatever
    it still tries raises.
    """

    def __init__(self, between: Callable[[], None] = lambda: None) -> None:
        self._between = between
        self.fuse = -1
        self.dead = False

    def step(self) -> None:
        if self.dead:
            raise Crash
        self._between()
        self.fuse -= 1
        if self.fuse == 0:
            self.dead = True
            raise Crash


class FakeTree:
    """The tree as one process sees it."""

    def __init__(
        self,
        disk: Disk,
        process: Process,
        on_write: Callable[[str], None] = lambda path: None,
        on_remove: Callable[[str], None] = lambda path: None,
    ) -> None:
        self._on_remove = on_remove
        self.disk = disk
        self.process = process
        self._on_write = on_write

    def now(self) -> int:
        return self.disk.now

    def pause(self, nanoseconds: int) -> None:
        self.process.step()
        self.disk.now += nanoseconds

    def stat(self, path: StrPath) -> Stat | None:
        self.process.step()
        return self.disk.stat(str(path))

    def real(self, path: Path) -> Path:
        return path

    def is_file(self, path: StrPath) -> bool:
        self.process.step()
        return self.disk.is_file(str(path))

    def is_folder(self, path: StrPath) -> bool:
        self.process.step()
        return self.disk.is_folder(str(path))

    def names(self, folder: StrPath) -> list[str]:
        self.process.step()
        return self.disk.names(str(folder))

    def files(self, folder: Path, left_out: Callable[[str], bool]) -> Iterator[Path]:
        for name in self.names(folder):
            if left_out(name):
                continue
            if self.disk.is_folder(f"{folder}/{name}"):
                yield from self.files(folder / name, left_out)
            elif self.disk.is_file(f"{folder}/{name}"):
                yield folder / name

    def read(self, path: StrPath) -> bytes:
        self.process.step()
        return self.disk.read(str(path))

    def digest(self, path: StrPath) -> str:
        self.process.step()
        return hash_bytes(self.disk.read(str(path)))

    def write(self, path: Path, data: bytes) -> None:
        self.process.step()
        self.disk.replace(str(path), data)
        self._on_write(str(path))

    def make_folder(self, path: Path) -> None:
        self.process.step()
        self.disk.make_folder(str(path))

    def move(self, source: Path, target: Path) -> None:
        self.process.step()
        if self.disk.is_folder(str(target)):
            if self.disk.names(str(target)) or self.disk.is_file(str(source)):
                target = target / source.name
            else:
                self.disk.unlink(str(target))
        self.disk.rename(str(source), str(target))

    def copy(self, source: Path, target: Path) -> None:
        self.process.step()
        for name in list(self.disk.files(str(source))):
            self.disk.replace(str(target) + name[len(str(source)) :], self.disk.read(name))

    def remove(self, path: Path) -> None:
        """File by file, so that a crash leaves half a folder."""
        self._on_remove(str(path))
        self.process.step()
        for name in self.disk.names(str(path)):
            self.remove(path / name)
        if str(path) in self.disk.nodes:
            self.disk.unlink(str(path))


class FakeStore:
    """The content store: what it holds outlives processes, and can be lost object by object."""

    def __init__(
        self,
        disk: Disk,
        objects: dict[str, bytes],
        process: Process,
        on_put: Callable[[str], None] = lambda path: None,
    ) -> None:
        self._on_put = on_put
        self._disk = disk
        self.objects = objects
        self._process = process

    def has(self, digest: str) -> bool:
        self._process.step()
        bare = digest.removeprefix(FOLDER_MARK)
        if bare not in self.objects:
            return False
        return bare == digest or all(inner in self.objects for inner in self._listing(digest))

    def put(self, path: Path, digest: str) -> None:
        self._process.step()
        self._on_put(str(path))
        if not digest.startswith(FOLDER_MARK):
            self._keep(digest, self._disk.read(str(path)))
            return
        listing = self._listing_of(path)
        body = listing_bytes({name: hash_bytes(data) for name, data in listing.items()})
        if self.keeps(digest, body):
            for data in listing.values():
                self._keep(hash_bytes(data), data)
            self._keep(digest, body)

    def restore(self, digest: str, target: Path) -> None:
        self._process.step()
        if not digest.startswith(FOLDER_MARK):
            self._copy(digest, str(target))
            return
        self._disk.make_folder(str(target))
        listing: dict[str, str] = json.loads(self._object(digest))
        for name, inner in listing.items():
            self._copy(inner, f"{target}/{name}")

    def keeps(self, digest: str, data: bytes) -> bool:
        """Whether these bytes are what the digest says: what was changed since is not kept."""
        return hash_bytes(data) == digest.removeprefix(FOLDER_MARK)

    def _keep(self, digest: str, data: bytes) -> None:
        bare = digest.removeprefix(FOLDER_MARK)
        if bare not in self.objects and self.keeps(digest, data):
            self.objects[bare] = data

    def _object(self, digest: str) -> bytes:
        try:
            return self.objects[digest.removeprefix(FOLDER_MARK)]
        except KeyError:
            raise FileNotFoundError(2, "No such file or directory", digest) from None

    def _copy(self, digest: str, target: str) -> None:
        data = self._object(digest)
        self._disk.replace(target, data[: len(data) // 2])
        self._process.step()
        self._disk.write(target, data)

    def _listing(self, digest: str) -> Iterable[str]:
        listing: dict[str, str] = json.loads(self._object(digest))
        return listing.values()

    def _listing_of(self, folder: Path) -> dict[str, bytes]:
        top = f"{folder}/"
        files = sorted(self._disk.files(str(folder)))
        inside = [name.removeprefix(top) for name in files]
        return {
            name: self._disk.read(top + name)
            for name in inside
            if not any(map(is_bytecode, name.split("/")))
        }


class FakeJournal:
    """Lines in a list that outlives processes; a process that dies here may have written or not."""

    def __init__(self, lines: list[str], process: Process) -> None:
        self._lines = lines
        self._process = process
        self._known: list[str] = []

    def read(self) -> Iterator[Any]:
        return _values_of(self._lines)

    def news(self) -> tuple[bool, list[Any]]:
        known = len(self._known)
        is_anew = self._lines[:known] != self._known
        new = self._lines[0 if is_anew else known :]
        self._known = list(self._lines)
        return is_anew, list(_values_of(new))

    def rewrite(self, change: Callable[[list[Any]], list[Any] | None]) -> None:
        self._process.step()
        values = change(list(self.read()))
        if values is not None:
            self._lines[:] = [json.dumps(value) for value in values]

    def append(self, value: Any) -> None:
        self._process.step()
        line = json.dumps(value)
        self._lines.append(line)
        try:
            self._process.step()
        except Crash:
            if len(self._lines) % 2 == 0:
                self._lines[-1] = line[: len(line) // 2]
            raise


def _values_of(lines: Iterable[str]) -> Iterator[Any]:
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            continue


class FakeVersions:
    """Packages below SITE on the disk: the first line of each says its version."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def seen(self, files: Iterable[str]) -> dict[str, str]:
        keys = {f"{file.split('/')[2]}@{SITE}" for file in files}
        return {key: self.version(key) or "gone" for key in sorted(keys)}

    def version(self, key: str) -> str | None:
        return self._disk.text(package_file(key.partition("@")[0]))


def package_file(name: str) -> str:
    """Where a package lies."""
    return f"{SITE}/{name}/__init__.py"
