"""Files are the old one or the new one, whatever happens in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.errors import FolderNotWritableError
from mlbench.system.files import move, read_json, remove, writable, write_atomically, write_json

_REWRITER = """
import sys
from pathlib import Path
from mlbench.system.files import write_atomically
path = Path(sys.argv[1])
for number in range(100_000):
    write_atomically(path, bytes([number % 256]) * (1 + number % 7) * 40_000)
    print("written", flush=True)
"""


def _is_whole(data: bytes) -> bool:
    return len(set(data)) == 1 and len(data) % 40_000 == 0


def test_a_reader_sees_a_whole_file_and_a_killed_writer_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    for _ in range(4):
        writer = subprocess.Popen(
            [sys.executable, "-c", _REWRITER, str(path)], stdout=subprocess.PIPE, text=True
        )
        with writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "written\n"
            assert all(_is_whole(path.read_bytes()) for _ in range(60))
            writer.kill()
        assert writer.returncode == -signal.SIGKILL
        assert _is_whole(path.read_bytes())


def test_a_writer_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    with pytest.raises(TypeError):
        write_atomically(path, "no bytes")  # type: ignore[arg-type]
    target = tmp_path / "folder"
    target.mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomically(target, b"a file can't take the place of a folder")
    assert sorted(tmp_path.iterdir()) == [path, target]
    assert path.read_bytes() == b"old"


_FULL_DISK = """
import resource, sys
from pathlib import Path
from mlbench.system.files import write_atomically
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_atomically(Path(sys.argv[1]), b"x" * 5000)
except OSError as error:
    print(error.strerror)
"""


def test_a_full_disk_is_an_error_and_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    said = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, str(path)], capture_output=True, check=True, text=True
    )
    assert said.stdout == "File too large\n"
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(value=values)
def test_json_comes_back(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    path = tmp_path_factory.getbasetemp() / "value.json"
    write_json(path, value)
    assert read_json(path) == value


def test_a_name_that_is_no_utf_8_comes_back(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.csv")
    write_json(tmp_path / "value.json", {"outs": [name]})
    assert read_json(tmp_path / "value.json") == {"outs": [name]}


def test_what_is_missing_or_torn_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "torn").write_text('{"a": [1, 2')
    (tmp_path / "no-text").write_bytes(b"\xff\xfe\x00")
    for name in ("missing", "torn", "no-text", "torn/below"):
        assert read_json(tmp_path / name) is None


def test_remove_takes_files_folders_and_links_but_not_what_links_name(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("x")
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(kept)
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("folder", "file", "link", "dangling", "missing"):
        remove(tmp_path / name)
    assert list(tmp_path.iterdir()) == [kept]
    assert (kept / "file").exists()


def test_move_makes_the_folders_on_the_way(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_text("x")
    move(tmp_path / "a", tmp_path / "b" / "c" / "a")
    assert (tmp_path / "b" / "c" / "a" / "file").read_text() == "x"
    assert not (tmp_path / "a").exists()


def test_a_refusal_to_write_is_one_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(
            FolderNotWritableError, match=r"state: can't be written .*writable"
        ) as caught,
        writable(tmp_path),
    ):
        raise PermissionError(13, "Permission denied", str(tmp_path / "state"))
    assert caught.value.exit_status == 2
    with pytest.raises(FolderNotWritableError, match="Read-only file system"), writable(tmp_path):
        raise OSError(30, "Read-only file system")
    with pytest.raises(FileNotFoundError), writable(tmp_path):
        raise FileNotFoundError(2, "No such file")
