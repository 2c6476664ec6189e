"""The content store: files and folders by what they hold, written once, never altered."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

_FICLONE = 0x40049409
_COPY_UNSUPPORTED = {errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS}
FOLDER_MARK = "tree:"


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
        try:
            fcntl.ioctl(writer.fileno(), _FICLONE, reader.fileno())
        except OSError as error:
            if error.errno not in _COPY_UNSUPPORTED:
                raise
            shutil.copyfileobj(reader, writer, 1 << 20)
    # The right to run is part of what a file is; the store's read-only mark is not.
    if source.stat().st_mode & 0o111:
        mode = target.stat().st_mode
        target.chmod(mode | (mode & 0o444) >> 2)


class ContentStore:
    """Files under `ab/cdef…`; a folder is a JSON listing of its files, stored the same way."""

    def __init__(self, root: Path) -> None:
        """Use a folder, which is made on the first write."""
        self._root = root

    def path_of(self, digest: str) -> Path:
        """Where the bytes of a digest lie, whether they are there or not."""
        digest = digest.removeprefix(FOLDER_MARK)
        return self._root / digest[:2] / digest[2:]

    def has(self, digest: str) -> bool:
        """Whether everything that a digest stands for is there."""
        path = self.path_of(digest)
        if not path.is_file():
            return False
        if not digest.startswith(FOLDER_MARK):
            return True
        return all(self.has(inner) for inner in self._listing(digest).values())

    def put(self, path: Path, digest: str, digest_of: Callable[[Path], str] = hash_file) -> None:
        """Keep what `path` holds under its digest; `digest_of` hashes the files of a folder.

        What was changed since it was hashed is not kept: the store never lies.
        """
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
        if not digest.startswith(FOLDER_MARK):
            clone_file(self.path_of(digest), target)
            return
        target.mkdir()
        for name, inner in self._listing(digest).items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            clone_file(self.path_of(inner), target / name)

    def _listing(self, digest: str) -> dict[str, str]:
        listing: dict[str, str] = json.loads(self.path_of(digest).read_bytes())
        return listing

    def _put_file(self, path: Path, digest: str) -> None:
        if not self.path_of(digest).exists():
            self._place(digest, lambda temporary: clone_file(path, temporary))

    def _put_bytes(self, data: bytes, digest: str) -> None:
        if not self.path_of(digest).exists():
            self._place(digest, lambda temporary: temporary.write_bytes(data))

    def _place(self, digest: str, fill: Callable[[Path], object]) -> None:
        target = self.path_of(digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".new-")
        os.close(descriptor)
        temporary = Path(name)
        try:
            fill(temporary)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.chmod(0o444 | (temporary.stat().st_mode & 0o111))
            if hash_file(temporary) == digest.removeprefix(FOLDER_MARK):
                os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


def _is_bytecode(name: str) -> bool:
    return name == "__pycache__"


def folder_listing(
    folder: Path,
    digest_of: Callable[[Path], str],
    left_out: Callable[[str], bool] = _is_bytecode,
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
