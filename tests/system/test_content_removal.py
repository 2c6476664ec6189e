"""Removing from the content store, beside others that put and restore."""

from __future__ import annotations

import fcntl
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mlbench.system.content import (
    FOLDER_MARK,
    GRACE_SECONDS,
    ContentStore,
    folder_listing,
    hash_bytes,
    hash_file,
    listing_bytes,
)
from mlbench.system.locks import locked_descriptor

LONG_AGO = time.time() - 10 * GRACE_SECONDS


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "cache")


def put(store: ContentStore, folder: Path, data: bytes, *, used: float = LONG_AGO) -> str:
    """Keep some bytes, as used at a time."""
    path = folder / "file"
    path.write_bytes(data)
    digest = hash_file(path)
    store.put(path, digest)
    os.utime(store.path_of(digest), (used, used))
    return digest


def test_objects_tell_their_digest_size_and_last_use(store: ContentStore, tmp_path: Path) -> None:
    assert list(store.objects()) == []
    digest = put(store, tmp_path, b"12345")
    (item,) = store.objects()
    assert (item.digest, item.size) == (digest, 5)
    assert item.used == pytest.approx(LONG_AGO)


def test_what_was_unused_for_long_is_removed(store: ContentStore, tmp_path: Path) -> None:
    digest = put(store, tmp_path, b"old")
    objects = list(store.objects())
    assert store.remove(objects) == objects
    assert not store.has(digest)
    assert store.remove(objects) == []


def test_what_was_put_just_now_stays(store: ContentStore, tmp_path: Path) -> None:
    digest = put(store, tmp_path, b"new", used=time.time())
    assert store.remove(store.objects()) == []
    assert store.has(digest)


@pytest.mark.parametrize("question", ["has", "put"])
def test_what_was_asked_for_after_the_listing_stays(
    store: ContentStore, tmp_path: Path, question: str
) -> None:
    digest = put(store, tmp_path, b"old")
    objects = list(store.objects())
    if question == "has":
        assert store.has(digest)
    else:
        store.put(tmp_path / "file", digest)
    assert store.remove(objects) == []
    store.restore(digest, tmp_path / "back")


def test_a_folder_that_was_asked_for_stays_whole(store: ContentStore, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in "abc":
        (folder / name).write_text(name)
    listing = folder_listing(folder, hash_file)
    digest = FOLDER_MARK + hash_bytes(listing_bytes(listing))
    store.put(folder, digest)
    assert store.members(digest) == {item.digest for item in store.objects()}
    for item in store.objects():
        os.utime(store.path_of(item.digest), (LONG_AGO, LONG_AGO))
    objects = list(store.objects())
    assert store.has(digest)
    assert store.remove(objects) == []


def test_members_of_what_is_not_there_are_its_own_digest(store: ContentStore) -> None:
    assert store.members("ab" * 32) == {"ab" * 32}
    assert store.members(FOLDER_MARK + "ab" * 32) == {"ab" * 32}


def test_what_killed_writers_left_is_removed(store: ContentStore, tmp_path: Path) -> None:
    digest = put(store, tmp_path, b"whole")
    torn = store.path_of(digest).parent / ".new-abcdefgh"
    torn.write_bytes(b"half")
    assert store.remove_unfinished(dry_run=True) == 4
    assert torn.exists()
    assert store.remove_unfinished() == 4
    assert not torn.exists()
    assert store.has(digest)


def test_nothing_goes_while_somebody_copies(store: ContentStore, tmp_path: Path) -> None:
    put(store, tmp_path, b"old")
    objects = list(store.objects())
    torn = store.path_of(objects[0].digest).parent / ".new-abcdefgh"
    torn.write_bytes(b"half")
    descriptor = locked_descriptor(tmp_path / "cache.lock", fcntl.LOCK_SH)
    assert store.remove(objects, wait=False) == []
    assert store.remove_unfinished(wait=False) == 0
    waiting = threading.Thread(target=store.remove, args=(objects,))
    waiting.start()
    assert list(store.objects()) == objects
    os.close(descriptor)
    waiting.join()
    assert list(store.objects()) == []


def test_a_store_that_was_never_written_has_nothing_to_remove(store: ContentStore) -> None:
    assert store.remove([]) == []
    assert store.remove_unfinished() == 0
    assert not store.has("ab" * 32)


REMOVER = """\
import sys
from pathlib import Path
from mlbench.system.content import ContentStore
store = ContentStore(Path(sys.argv[1]))
objects = sorted(store.objects(), key=lambda item: item.digest)
print(len(objects), flush=True)
sys.stdin.readline()
print(len(store.remove(objects)), flush=True)
"""


def test_what_was_there_can_be_restored_while_others_remove(
    store: ContentStore, tmp_path: Path
) -> None:
    """Two other processes remove everything while this one asks, restores, and puts again."""
    digests = [put(store, tmp_path, b"content %d" % number) for number in range(1500)]
    removers = [
        subprocess.Popen(
            [sys.executable, "-c", REMOVER, str(tmp_path / "cache")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for remover in removers:
        assert remover.stdout is not None
        assert remover.stdout.readline() == "1500\n"
    for remover in removers:
        assert remover.stdin is not None
        remover.stdin.write("go\n")
        remover.stdin.flush()
    there = set()
    order = random.Random(1).sample(range(len(digests)), len(digests))
    for number in order:
        digest = digests[number]
        if store.has(digest):
            there.add(digest)
            back = tmp_path / "back" / str(number)
            store.restore(digest, back)
            assert back.read_bytes() == b"content %d" % number
        else:
            (tmp_path / "file").write_bytes(b"content %d" % number)
            store.put(tmp_path / "file", digest)
    removed = [int(remover.communicate(timeout=60)[0]) for remover in removers]
    # Each was kept, or removed exactly once and put again.
    assert sum(removed) == len(digests) - len(there)
    assert {item.digest for item in store.objects()} == set(digests)
    assert sum(removed) > 0
