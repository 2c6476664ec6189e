"""The content store: files and folders by what they hold, written once, never altered."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import json
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlbench.system.locks import locked_descriptor

_FICLONE = 0x40049409
_COPY_UNSUPPORTED = {errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS}
FOLDER_MARK = "tree:"
GRACE_SECONDS = 600.0
_MARK_SECONDS = 60.0
_BATCH = 256
_UNFINISHED = ".new-"


def hash_file(path: Path) -> str:
    """BLAKE3 of a file's bytes, in hex; mapped and on several threads where that pays."""
    from blake3 import blake3

    hasher = blake3(max_threads=blake3.AUTO)
    hasher.update_mmap(path)
    return hasher.hexdigest()


def hash_bytes(data: bytes) -> str:
    """BLAKE3 of some bytes, in hex."""
    from blake3 import blake3

    return blake3(data).hexdigest()


def clone_file(source: Path, target: Path) -> None:
    """Copy by reflink where the file system can, else byte by byte; never a hardlink.

    A hardlink would let a write in place reach the store.
    """
    with source.open("rb") as reader, target.open("wb") as writer:
        if not _reflink(reader.fileno(), writer.fileno()):
            # Late: who only looks copies nothing.
            import shutil

            shutil.copyfileobj(reader, writer, 1 << 20)
    # The right to run is part of what a file is; the store's read-only mark is not.
    if source.stat().st_mode & 0o111:
        mode = target.stat().st_mode
        target.chmod(mode | (mode & 0o444) >> 2)


def reflink_file(source: Path, target: Path) -> bool:
    """Copy at no cost, with mode and time, where the file system can; else leave no target."""
    with source.open("rb") as reader, target.open("xb") as writer:
        is_copied = _reflink(reader.fileno(), writer.fileno())
    if not is_copied:
        target.unlink()
        return False
    found = source.stat()
    target.chmod(stat.S_IMODE(found.st_mode))
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
    return True


def _reflink(source: int, target: int) -> bool:
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno not in _COPY_UNSUPPORTED:
            raise
        return False
    return True


@dataclass(frozen=True, slots=True)
class Stored:
    """One object of the store: its bare digest, its bytes, and when it was used last (epoch)."""

    digest: str
    size: int
    used: float


class ContentStore:
    """Files under `ab/cdef…`; a folder is a JSON listing of its files, stored the same way.

    Several processes put, restore and remove at once. Who puts or restores holds the store's flock
    shared, who removes holds it alone, a few hundred objects at a time: so nothing vanishes while
    it is copied. What `has` said is there, or `put` found there already, is marked as used by its
    modification time; `remove` looks at that again under the lock and spares what was used within
    GRACE_SECONDS: so nothing vanishes between the question and the copy either.
    """

    def __init__(self, root: Path) -> None:
        """Use a folder, which is made on the first write."""
        self._root = root
        self._lock = root.with_name(f"{root.name}.lock")

    def path_of(self, digest: str) -> Path:
        """Where the bytes of a digest lie, whether they are there or not."""
        digest = digest.removeprefix(FOLDER_MARK)
        return self._root / digest[:2] / digest[2:]

    def has(self, digest: str) -> bool:
        """Whether everything that a digest stands for is there; it then stays for a while."""
        with self._in_use():
            return self._has(digest)

    def put(self, path: Path, digest: str, digest_of: Callable[[Path], str] = hash_file) -> None:
        """Keep what `path` holds under its digest; `digest_of` hashes the files of a folder.

        What was changed since it was hashed is not kept: the store never lies.
        """
        self._root.mkdir(parents=True, exist_ok=True)
        with self._in_use():
            if not digest.startswith(FOLDER_MARK):
                self._put_file(path, digest)
                return
            listing = folder_listing(path, digest_of)
            if FOLDER_MARK + hash_bytes(listing_bytes(listing)) != digest:
                return
            for name, inner in listing.items():
                self._put_file(path / name, inner)
            self._put_bytes(listing_bytes(listing), digest)

    def restore(self, digest: str, target: Path) -> None:
        """Bring what a digest stands for back to `target`, which must not exist."""
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._in_use():
            if not digest.startswith(FOLDER_MARK):
                clone_file(self.path_of(digest), target)
                return
            target.mkdir()
            for name, inner in self._listing(digest).items():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                clone_file(self.path_of(inner), target / name)

    def objects(self) -> Iterator[Stored]:
        """Every object that is there now, in no order."""
        for path in self._files():
            with contextlib.suppress(FileNotFoundError):
                if not path.name.startswith("."):
                    found = path.stat()
                    yield Stored(path.parent.name + path.name, found.st_size, found.st_mtime)

    def sizes(self, known: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
        """For each folder of objects its time of change (ns) and its bytes.

        `known` is an earlier answer: only the folders that changed since are looked into, so that
        asking again costs little however much there is.
        """
        sizes: dict[str, tuple[int, int]] = {}
        for folder in self._folders():
            changed = folder.stat().st_mtime_ns
            before = known.get(folder.name)
            if before is not None and before[0] == changed:
                sizes[folder.name] = before
            else:
                inside = os.scandir(folder)
                sizes[folder.name] = (changed, sum(_size(entry) for entry in inside))
        return sizes

    def members(self, digest: str) -> frozenset[str]:
        """The bare digests of all objects that a digest stands for, as far as they are there."""
        bare = digest.removeprefix(FOLDER_MARK)
        if bare == digest:
            return frozenset({bare})
        try:
            return frozenset({bare, *self._listing(digest).values()})
        except (OSError, ValueError):
            return frozenset({bare})

    def remove(self, objects: Iterable[Stored], *, wait: bool = True) -> list[Stored]:
        """Remove objects that nobody used since they were listed; gives those that are gone.

        Without `wait` it ends where somebody puts or restores just now.
        """
        gone: list[Stored] = []
        pending = iter(objects)
        while batch := list(itertools.islice(pending, _BATCH)):
            try:
                with self._alone(wait):
                    gone += [item for item in batch if self._remove_unused(item)]
            except BlockingIOError:
                break
        return gone

    def remove_unfinished(self, *, wait: bool = True, dry_run: bool = False) -> int:
        """Remove what writers that were killed left half written; gives its bytes."""
        freed = 0
        try:
            # Every living writer holds the lock shared, so what is found under it is nobody's.
            with self._alone(wait):
                for path in self._files():
                    if path.name.startswith(_UNFINISHED):
                        freed += path.stat().st_size
                        if not dry_run:
                            path.unlink()
        except BlockingIOError:
            pass
        return freed

    def _has(self, digest: str) -> bool:
        if not self._use(digest):
            return False
        if not digest.startswith(FOLDER_MARK):
            return True
        return all(self._has(inner) for inner in self._listing(digest).values())

    def _use(self, digest: str) -> bool:
        """Whether an object is there; marks it as used, now and then is enough."""
        path = self.path_of(digest)
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        if abs(time.time() - found.st_mtime) > _MARK_SECONDS:
            # A store that can't be written can't be cleaned either.
            with contextlib.suppress(OSError):
                os.utime(path)
        return stat.S_ISREG(found.st_mode)

    def _remove_unused(self, item: Stored) -> bool:
        path = self.path_of(item.digest)
        try:
            used = path.stat().st_mtime
            if used > item.used or time.time() - used < GRACE_SECONDS:
                return False
            path.unlink()
        except FileNotFoundError:
            return False
        return True

    def _folders(self) -> Iterator[Path]:
        if self._root.is_dir():
            yield from (path for path in sorted(self._root.iterdir()) if path.is_dir())

    def _files(self) -> Iterator[Path]:
        for folder in self._folders():
            yield from (Path(entry.path) for entry in os.scandir(folder))

    @contextlib.contextmanager
    def _in_use(self) -> Iterator[None]:
        descriptor: int | None = None
        # A missing store has nothing to lose, and one that can't be written nobody cleans.
        if self._root.is_dir():
            with contextlib.suppress(PermissionError):
                descriptor = locked_descriptor(self._lock, fcntl.LOCK_SH)
        try:
            yield
        finally:
            if descriptor is not None:
                _let_go(descriptor)

    @contextlib.contextmanager
    def _alone(self, wait: bool) -> Iterator[None]:
        if not self._root.is_dir():
            yield
            return
        descriptor = locked_descriptor(self._lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        try:
            yield
        finally:
            _let_go(descriptor)

    def _listing(self, digest: str) -> dict[str, str]:
        listing: dict[str, str] = json.loads(self.path_of(digest).read_bytes())
        return listing

    def _put_file(self, path: Path, digest: str) -> None:
        if not self._use(digest):
            self._place(digest, lambda temporary: clone_file(path, temporary))

    def _put_bytes(self, data: bytes, digest: str) -> None:
        if not self._use(digest):
            self._place(digest, lambda temporary: temporary.write_bytes(data))

    def _place(self, digest: str, fill: Callable[[Path], object]) -> None:
        target = self.path_of(digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f"{_UNFINISHED}{os.urandom(8).hex()}")
        try:
            fill(temporary)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.chmod(0o444 | (temporary.stat().st_mode & 0o111))
            if hash_file(temporary) == digest.removeprefix(FOLDER_MARK):
                os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0


def _let_go(descriptor: int) -> None:
    # Not by closing alone: a child on its way to its own program shares the descriptor.
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def is_bytecode(name: str) -> bool:
    """Whether a folder holds what Python compiled: it comes and goes, and no out is."""
    return name == "__pycache__"


def folder_listing(
    folder: Path,
    digest_of: Callable[[Path], str],
    left_out: Callable[[str], bool] = is_bytecode,
) -> dict[str, str]:
    """Relative path → digest of every file below a folder, sorted; caches of bytecode left out."""
    listing = {
        path.relative_to(folder).as_posix(): digest_of(path)
        for path in files_below(folder, left_out)
    }
    return dict(sorted(listing.items()))


def files_below(
    folder: Path, left_out: Callable[[str], bool], above: tuple[tuple[int, int], ...] = ()
) -> Iterator[Path]:
    """Every file below a folder, behind links too; `left_out` tells names that do not count."""
    try:
        found = folder.stat()
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    here = (found.st_dev, found.st_ino)
    # A link to a folder around it would go round for ever.
    if here in above:
        return
    for entry in entries:
        if left_out(entry.name):
            continue
        if entry.is_dir():
            yield from files_below(Path(entry.path), left_out, (*above, here))
        elif entry.is_file():
            yield Path(entry.path)


def listing_bytes(listing: dict[str, str]) -> bytes:
    """A listing as the bytes whose hash is the folder's digest."""
    return json.dumps(listing, sort_keys=True).encode()
