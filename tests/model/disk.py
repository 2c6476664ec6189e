"""A file system in memory, with stamps of a clock that only the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

TICK_NS = 4_000_000
WHOLE_SECOND_NS = 1_000_000_000
FOLDER_SIZE = 4096


@dataclass(slots=True)
class Node:
    """A file, or a folder where `data` is None."""

    inode: int
    data: bytes | None
    mtime: int
    ctime: int

    @property
    def stat(self) -> tuple[int, int, int, int]:
        size = FOLDER_SIZE if self.data is None else len(self.data)
        return (size, self.mtime, self.ctime, self.inode)


class Disk:
    """Files and folders by absolute path; stamps are as coarse as `granularity` (ns) says."""

    def __init__(self, granularity: int = TICK_NS) -> None:
        self.now = 1_700_000_000 * 10**9
        self.granularity = granularity
        self._inodes = 100
        self.nodes: dict[str, Node] = {}
        self._inside: dict[str, set[str]] = {}
        self.make_folder("/")

    def stat(self, path: str) -> tuple[int, int, int, int] | None:
        node = self.nodes.get(path)
        return None if node is None else node.stat

    def read(self, path: str) -> bytes:
        """The bytes of a file; FileNotFoundError where there is none."""
        node = self.nodes.get(path)
        if node is None or node.data is None:
            raise FileNotFoundError(2, "No such file or directory", path)
        return node.data

    def text(self, path: str) -> str | None:
        node = self.nodes.get(path)
        return None if node is None or node.data is None else node.data.decode()

    def is_file(self, path: str) -> bool:
        node = self.nodes.get(path)
        return node is not None and node.data is not None

    def is_folder(self, path: str) -> bool:
        node = self.nodes.get(path)
        return node is not None and node.data is None

    def names(self, folder: str) -> list[str]:
        return sorted(self._inside.get(folder, ()))

    def files(self, folder: str) -> Iterator[str]:
        """Every file below a folder, or the file itself."""
        if self.is_file(folder):
            yield folder
        for name in self.names(folder):
            yield from self.files(_join(folder, name))

    def write(self, path: str, data: bytes) -> None:
        """As open(path, "w") does: the same inode where the file is there."""
        node = self.nodes.get(path)
        if node is None:
            self._add(path, data)
            return
        if node.data is None:
            raise IsADirectoryError(21, "Is a directory", path)
        node.data = data
        node.mtime = node.ctime = self.stamp()

    def replace(self, path: str, data: bytes) -> None:
        """As an editor's atomic save does: a new file, renamed into its place."""
        node = Node(self._inode(), data, self.stamp(), self.stamp())
        self._put(path, node)

    def touch(self, path: str, mtime: int | None = None) -> None:
        """As `touch` and `touch -d` do: the mtime can be anything, the ctime is now."""
        node = self.nodes[path]
        wanted = self.now if mtime is None else mtime
        node.mtime = wanted - wanted % self.granularity
        node.ctime = self.stamp()

    def chmod(self, path: str) -> None:
        self.nodes[path].ctime = self.stamp()

    def make_folder(self, path: str) -> None:
        if path in self.nodes:
            return
        self._add(path, None)
        self._inside[path] = set()

    def link(self, path: str, target: str) -> None:
        """A hardlink: one file under two names."""
        self._put(target, self.nodes[path])

    def rename(self, path: str, target: str) -> None:
        """With all that a folder holds; inode and mtime stay, the ctime moves."""
        if path not in self.nodes:
            raise FileNotFoundError(2, "No such file or directory", path)
        node = self.nodes[path]
        inside = [(name, self.nodes[name]) for name in self.nodes if name.startswith(f"{path}/")]
        listings = {name: self._inside[name] for name, each in inside if each.data is None}
        if node.data is None:
            listings[path] = self._inside[path]
        for name, _ in inside:
            del self.nodes[name]
        for name in listings:
            del self._inside[name]
        self._detach(path)
        node.ctime = self.stamp()
        self._put(target, node)
        for name, each in inside:
            self.nodes[target + name[len(path) :]] = each
        for name, listing in listings.items():
            self._inside[target + name[len(path) :]] = listing

    def unlink(self, path: str) -> None:
        """A file, or an empty folder."""
        if self._inside.get(path):
            raise OSError(39, "Directory not empty", path)
        self._detach(path)
        self._inside.pop(path, None)

    def remove(self, path: str) -> None:
        """A file or a whole folder, if it is there."""
        for name in self.names(path):
            self.remove(_join(path, name))
        if path in self.nodes:
            self.unlink(path)

    def stamp(self) -> int:
        return self.now - self.now % self.granularity

    def _inode(self) -> int:
        self._inodes += 1
        return self._inodes

    def _add(self, path: str, data: bytes | None) -> None:
        self._put(path, Node(self._inode(), data, self.stamp(), self.stamp()))

    def _put(self, path: str, node: Node) -> None:
        parent, _, name = path.rpartition("/")
        if name:
            parent = parent or "/"
            if parent not in self.nodes:
                self.make_folder(parent)
            self._inside[parent].add(name)
            self._move_folder(parent)
        self.nodes[path] = node

    def _detach(self, path: str) -> None:
        del self.nodes[path]
        parent, _, name = path.rpartition("/")
        self._inside[parent or "/"].discard(name)
        self._move_folder(parent or "/")

    def _move_folder(self, path: str) -> None:
        folder = self.nodes[path]
        folder.mtime = folder.ctime = self.stamp()


def _join(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}"
