"""The content store: what comes out is what went in, and nobody reaches what lies in it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.system.content import (
    FOLDER_MARK,
    ContentStore,
    clone_file,
    folder_listing,
    hash_bytes,
    hash_file,
    listing_bytes,
)

names = st.text(st.sampled_from("abc. ü"), min_size=1, max_size=4).filter(lambda n: n.strip("."))
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
trees = st.dictionaries(paths, st.binary(max_size=50), max_size=6)


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "store")


def _digest(path: Path) -> str:
    if path.is_file():
        return hash_file(path)
    return FOLDER_MARK + hash_bytes(listing_bytes(folder_listing(path, hash_file)))


def _write(folder: Path, tree: dict[str, bytes]) -> None:
    folder.mkdir(parents=True)
    for name, data in tree.items():
        path = folder / name
        if not any(part.is_file() for part in path.parents) and not path.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


def _read(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _stored(store: ContentStore) -> list[Path]:
    return [path for path in store.path_of("00").parent.rglob("*") if path.is_file()]


def test_hashes_are_blake3s() -> None:
    empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    assert hash_bytes(b"") == empty


@given(data=st.binary(max_size=200))
def test_a_file_hashes_as_its_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "file"
    path.write_bytes(data)
    assert hash_file(path) == hash_bytes(data)


@given(tree=trees)
def test_a_folder_comes_back_equal(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, bytes]
) -> None:
    base = tmp_path_factory.mktemp("folder")
    store, source, back = ContentStore(base / "store"), base / "source", base / "deep" / "back"
    _write(source, tree)
    digest = _digest(source)
    store.put(source, digest)
    assert store.has(digest)
    store.restore(digest, back)
    assert _read(back) == _read(source)
    assert _digest(back) == digest


def test_a_file_comes_back_equal_with_its_right_to_run(store: ContentStore, tmp_path: Path) -> None:
    path = tmp_path / "script"
    path.write_bytes(b"#!/bin/sh\n")
    path.chmod(0o755)
    digest = hash_file(path)
    assert not store.has(digest)
    store.put(path, digest)
    store.restore(digest, tmp_path / "deep" / "back")
    back = tmp_path / "deep" / "back"
    assert back.read_bytes() == b"#!/bin/sh\n"
    assert os.access(back, os.X_OK)


def test_what_was_restored_can_be_written_and_never_reaches_the_store(
    store: ContentStore, tmp_path: Path
) -> None:
    source = tmp_path / "model"
    source.write_bytes(b"first")
    digest = hash_file(source)
    store.put(source, digest)
    source.write_bytes(b"later")
    back = tmp_path / "back"
    store.restore(digest, back)
    assert back.stat().st_nlink == store.path_of(digest).stat().st_nlink == 1
    assert back.stat().st_mode & stat.S_IWUSR
    with back.open("r+b") as file:
        file.write(b"OTHER")
    assert store.path_of(digest).read_bytes() == b"first"
    store.restore(digest, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == b"first"


def test_what_lies_in_the_store_is_read_only(store: ContentStore, tmp_path: Path) -> None:
    _write(tmp_path / "folder", {"a": b"1", "b/c": b"2"})
    store.put(tmp_path / "folder", _digest(tmp_path / "folder"))
    found = _stored(store)
    assert len(found) == 3
    assert all(path.stat().st_mode & 0o222 == 0 for path in found)


def test_a_folder_is_there_only_with_everything_in_it(store: ContentStore, tmp_path: Path) -> None:
    _write(tmp_path / "folder", {"a": b"1", "b/c": b"2"})
    digest = _digest(tmp_path / "folder")
    store.put(tmp_path / "folder", digest)
    inner = store.path_of(hash_bytes(b"2"))
    inner.unlink()
    assert not store.has(digest)
    store.put(tmp_path / "folder", digest)
    assert store.has(digest)
    store.path_of(digest).unlink()
    assert not store.has(digest)


def test_equal_content_is_kept_once(store: ContentStore, tmp_path: Path) -> None:
    _write(tmp_path / "folder", {"a": b"same", "b": b"same"})
    store.put(tmp_path / "folder", _digest(tmp_path / "folder"))
    store.put(tmp_path / "folder" / "a", hash_bytes(b"same"))
    assert len(_stored(store)) == 2


def test_what_changed_since_it_was_hashed_is_never_kept_under_that_hash(
    store: ContentStore, tmp_path: Path
) -> None:
    path, folder = tmp_path / "file", tmp_path / "folder"
    path.write_bytes(b"hashed")
    _write(folder, {"a": b"hashed too"})
    digests = [_digest(path), _digest(folder)]
    path.write_bytes(b"edited")
    (folder / "a").write_bytes(b"edited too")
    store.put(path, digests[0])
    store.put(folder, digests[1])
    assert not store.has(digests[0])
    assert not store.has(digests[1])


def test_a_put_that_fails_leaves_nothing_behind(store: ContentStore, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        store.put(tmp_path / "missing", "ab" * 32)
    assert _stored(store) == []


def test_a_clone_is_no_link(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(os.urandom(3_000_000))
    clone_file(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == (tmp_path / "a").read_bytes()
    assert not (tmp_path / "a").samefile(tmp_path / "b")


def test_a_listing_has_files_by_their_relative_path_without_bytecode(tmp_path: Path) -> None:
    _write(tmp_path / "f", {"b/c.py": b"1", "a": b"2", "b/__pycache__/c.pyc": b"3"})
    assert list(folder_listing(tmp_path / "f", hash_file)) == ["a", "b/c.py"]


def test_a_linked_folder_counts_by_what_lies_behind_the_link(tmp_path: Path) -> None:
    _write(tmp_path / "elsewhere", {"rows.csv": b"1"})
    _write(tmp_path / "data", {"own.csv": b"2"})
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "round").symlink_to(tmp_path / "data")
    before = _digest(tmp_path / "data")
    (tmp_path / "elsewhere" / "rows.csv").write_bytes(b"edited")
    edited = _digest(tmp_path / "data")
    assert edited != before
    (tmp_path / "data" / "twice").symlink_to(tmp_path / "elsewhere")
    assert _digest(tmp_path / "data") != edited


def test_a_link_to_nowhere_in_a_folder_is_no_error(tmp_path: Path) -> None:
    _write(tmp_path / "data", {"own.csv": b"2"})
    (tmp_path / "data" / ".#own.csv").symlink_to("user@host.1234")
    assert list(folder_listing(tmp_path / "data", hash_file)) == ["own.csv"]
