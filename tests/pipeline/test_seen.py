"""Reading what traces hold, whole or torn, and which paths may be inputs of a project."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.inside import seenlog
from mlbench.inside.seenlog import END, FOLDER, HELD, LISTING, LOADED, PARAMS, READ, WRITE
from mlbench.pipeline.seen import Scope, Seen, read_seen, source_of

SITE = "/env/lib/python3.11/site-packages"
KINDS = (READ, WRITE, LISTING, LOADED, PARAMS, FOLDER, HELD, END)


def _write(folder: Path, name: str, *records: bytes, room: int = 100) -> Path:
    path = folder / seenlog.SEEN_FOLDER / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"".join(records) + bytes(room))
    return path


def test_no_trace_is_no_trace(tmp_path: Path) -> None:
    assert read_seen(tmp_path) == Seen()
    assert read_seen(tmp_path / "nowhere") == Seen()


def test_all_kinds_of_records(tmp_path: Path) -> None:
    _write(
        tmp_path,
        "7-1000-0.seen",
        b"/project" + HELD,
        b"a.txt\0/data//b.txt\0sub/./c.txt\0/project" + READ,
        b"/elsewhere" + FOLDER,
        b"a.txt" + READ,
        b"out.txt" + WRITE,
        b"." + LISTING,
        b"/project/model.py\0/usr/lib/python3.11/json/__init__.py" + LOADED,
        b"/project/__pycache__/score.cpython-311.pyc" + READ,
        b"/project/score.py" + READ,
        b"1 2 3 4 /project/my params.toml" + PARAMS,
        b"/project/my params.toml" + READ,
        b"." + END,
    )
    assert read_seen(tmp_path) == Seen(
        traced=True,
        reads=frozenset(
            ("/project/a.txt", "/data/b.txt", "/project/sub/c.txt", "/project", "/elsewhere/a.txt")
        ),
        writes=frozenset(("/elsewhere/out.txt",)),
        listings=frozenset(("/elsewhere",)),
        modules=frozenset(("/project/model.py", "/project/score.py")),
        params_read={"/project/my params.toml": frozenset(((1, 2, 3, 4),))},
    )


def test_a_folder_that_was_opened_is_no_file_that_was_read(tmp_path: Path) -> None:
    _write(tmp_path, "7-1-0.seen", b"/" + FOLDER, f"{tmp_path}\0{tmp_path}/x".encode() + READ)
    assert read_seen(tmp_path).reads == {f"{tmp_path}/x"}


def test_the_folder_behind_a_link_is_not_the_one_before_it(tmp_path: Path) -> None:
    (tmp_path / "real" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real" / "inner")
    _write(tmp_path, "7-1-0.seen", b"/" + FOLDER, f"{tmp_path}/link/../x".encode() + READ)
    assert read_seen(tmp_path).reads == {f"{os.path.realpath(tmp_path)}/real/x"}


def test_one_file_of_each_package(tmp_path: Path) -> None:
    files = (
        f"{SITE}/numpy/__pycache__/__init__.cpython-311.pyc",
        f"{SITE}/numpy/linalg/__pycache__/__init__.cpython-311.pyc",
        f"{SITE}/__pycache__/six.cpython-311.pyc",
        f"{SITE}/google/cloud/__pycache__/storage.cpython-311.pyc",
    )
    loaded = f"{SITE}/_cffi.cpython-311.so\0{SITE}/numpy/core.so".encode() + LOADED
    _write(tmp_path, "7-1-0.seen", b"/" + FOLDER, "\0".join(files).encode() + READ, loaded)
    seen = read_seen(tmp_path)
    assert seen.packages == {
        f"{SITE}/{file}"
        for file in (
            "numpy/__init__.py",
            "six.py",
            "google/cloud/storage.py",
            "_cffi.cpython-311.so",
        )
    }
    assert seen.modules == seen.reads == frozenset()


@pytest.mark.parametrize(
    ("records", "traced"),
    [
        ((b"/" + FOLDER,), True),
        ((b"/" + HELD,), False),
        ((b"/" + HELD, b"." + END), True),
        ((b"/a" + READ,), False),
        ((), False),
        ((b"/" + FOLDER, b"/a" + READ, b"/b"), True),
    ],
)
def test_what_counts_as_traced(tmp_path: Path, records: tuple[bytes, ...], traced: bool) -> None:
    _write(tmp_path, "7-1-0.seen", *records)
    assert read_seen(tmp_path).traced is traced


def test_one_process_that_lost_something_spoils_all(tmp_path: Path) -> None:
    _write(tmp_path, "7-1-0.seen", b"/" + FOLDER, b"/a" + READ)
    lost = _write(tmp_path, "8-1-0.seen", b"/" + FOLDER, b"/b" + READ)
    assert read_seen(tmp_path).traced
    lost.write_bytes(lost.read_bytes()[:-1] + bytes((seenlog.LOST,)))
    assert read_seen(tmp_path) == Seen(reads=frozenset(("/a", "/b")))
    lost.write_bytes(b"")
    assert not read_seen(tmp_path).traced


def test_an_end_may_stand_in_a_later_file_of_the_process(tmp_path: Path) -> None:
    _write(tmp_path, "7-1-9.seen", b"/" + HELD)
    _write(tmp_path, "7-1-10.seen", b"/" + FOLDER, b"." + END)
    assert read_seen(tmp_path).traced
    _write(tmp_path, "7-2-0.seen", b"/" + HELD)
    assert not read_seen(tmp_path).traced


_names = st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=9).filter(
    lambda text: not text.startswith("/")
)


@given(names=st.lists(_names, max_size=6), cut=st.integers(0, 200))
def test_a_torn_file_gives_its_whole_records(names: list[str], cut: int) -> None:
    records = [b"/gone" + FOLDER, *(seenlog.encoded(f"/gone/{name}") + READ for name in names)]
    data = b"".join(records)[:cut]
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), "7-1-0.seen", data)
        _write(Path(folder), "8-1-0.seen", b"".join(records))
        whole = read_seen(Path(folder)).reads
        (Path(folder) / "seen" / "8-1-0.seen").unlink()
        torn = read_seen(Path(folder))
    assert torn.reads <= whole
    ends = [sum(map(len, records[: count + 1])) for count in range(len(records))]
    assert torn.traced == (cut >= ends[0])
    assert len(torn.reads) <= sum(cut >= end for end in ends[1:])


@given(st.binary(max_size=300))
def test_foreign_files_never_raise(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), "foreign.seen", data, room=0)
        read_seen(Path(folder))


def test_a_large_empty_file_is_read_at_once(tmp_path: Path) -> None:
    # A search that starts again at each byte would take hours.
    _write(tmp_path, "7-1-0.seen", b"/" + FOLDER, room=64 * 1024 * 1024)
    assert read_seen(tmp_path).traced


def test_bytecode_tells_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    assert source_of("/p/a/__pycache__/m.cpython-313.opt-1.pyc") == "/p/a/m.py"
    assert source_of("/p/__pycache__/test_m.cpython-311-pytest-8.3.pyc") == "/p/test_m.py"
    assert source_of("/p/legacy.pyc") == "/p/legacy.pyc"
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", "/prefix/")
    assert source_of("/prefix/p/a/m.cpython-313.pyc") == "/p/a/m.py"


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("/home/u/project/data/a.csv", True),
        ("/home/u/project", True),
        ("/home/u/project/lib/python3.11/a.py", True),
        ("/home/u/project/.venv/bin/python", False),
        ("/home/u/project/env/lib/a.json", False),
        ("/home/u/project/src/__pycache__/a.bin", False),
        ("/home/u/project/.mlbench/runs/x", False),
        ("/home/u/project/.git/HEAD", False),
        ("/home/u/project/a.csv.swp", False),
        ("/home/u/editable/package.py", True),
        ("/data/images/1.png", True),
        ("/home/u/.cache/hub/weights.bin", False),
        ("/home/u/other/.mlbench/cache/ab", False),
        ("/proc/cpuinfo", False),
        ("/dev/null", False),
        ("/etc/localtime", False),
        ("/usr/share/zoneinfo/UTC", False),
        ("/usrdata/a.csv", True),
        ("/home/u/.pyenv/versions/3.12.1/lib/python3.12/json/tool.py", False),
        (f"{SITE}/sklearn/datasets/data/iris.csv", False),
        (f"{tempfile.gettempdir()}/tmpabc/x", False),
    ],
)
def test_which_paths_count(path: str, counts: bool, tmp_path: Path) -> None:
    root = Path("/home/u/project")
    assert Scope(root, "/home/u/project/env/bin/python").counts(path) is counts


def test_a_project_may_lie_where_others_do_not_count(tmp_path: Path) -> None:
    scope = Scope(tmp_path / "project", sys.executable)
    assert scope.counts(f"{tmp_path}/project/a.csv")
    assert not scope.counts(f"{tmp_path}/data/a.csv")
    assert Scope(Path("/usr/src/app"), "/usr/bin/python3").counts("/usr/src/app/a.csv")
    assert not Scope(Path("/usr/src/app"), "/usr/bin/python3").counts("/usr/src/other/a.csv")


def test_a_project_behind_a_link_counts_under_both_names(tmp_path: Path) -> None:
    (tmp_path / ".cache" / "real").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / ".cache" / "real")
    scope = Scope(tmp_path / "link", sys.executable)
    assert scope.counts(f"{tmp_path}/link/a.csv")
    assert scope.counts(f"{os.path.realpath(tmp_path)}/.cache/real/a.csv")


def test_what_was_seen_is_kept_where_it_counts() -> None:
    some = frozenset(("/p/a", "/proc/b"))
    seen = Seen(True, some, some, some, some, some, {"/p/params.toml": frozenset()})
    kept = frozenset(("/p/a",))
    assert Scope(Path("/p"), "/usr/bin/python3").of(seen) == Seen(
        True, kept, kept, kept, kept, some, {"/p/params.toml": frozenset()}
    )


def test_what_mlflow_notes_of_its_installation_is_no_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/home/u/settings")
    scope = Scope(tmp_path / "project", sys.executable)
    assert not scope.counts("/home/u/settings/mlflow/telemetry.json")
    assert scope.counts("/home/u/settings/mlflow-data/a.csv")
