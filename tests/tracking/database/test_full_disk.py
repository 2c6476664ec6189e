"""A disk that is full, or that refuses: one sentence, and nothing that was acknowledged is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tinydb import TinyDB

from mlbench.domain.errors import FolderNotWritableError, RecordNotWrittenError
from mlbench.tracking.database import open_database
from tests.small_disk import small_disk
from tests.tracking.database.conftest import content_of

# No file may grow beyond a limit, as on a disk that is full; later there is room again.
_LIMITED = """\
import resource, sys
from pathlib import Path
from mlbench.domain.errors import RecordNotWrittenError
from mlbench.tracking.database import open_database
path, limit = Path(sys.argv[1]), int(sys.argv[2])
database = open_database(path)
runs = database.table("runs")
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most))
for number in range(1000):
    try:
        got = runs.insert({"number": number, "text": "x" * 100})
    except RecordNotWrittenError as error:
        print("refused", error, flush=True)
        break
    print("stored", got, number, flush=True)
    if not number % 10:
        try:
            database.checkpoint()
        except RecordNotWrittenError as error:
            print("no checkpoint", error, flush=True)
try:
    runs.insert_multiple({"batch": n, "text": "x" * 400} for n in range(80))
except RecordNotWrittenError as error:
    print("refused", error, flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
print("stored", runs.insert({"number": -1}), -1, flush=True)
"""


@pytest.mark.parametrize("limit", [100, 997, 3000, 20_001])
def test_a_file_that_may_not_grow(path: Path, limit: int) -> None:
    with open_database(path) as database:
        database.table("runs").insert({"number": "before"})
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(path), str(limit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    words = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    stored = {int(number): int(which) for what, number, which in words if what == "stored"}
    refused = [line for line in done.stdout.splitlines() if line.startswith("refused")]
    assert refused
    assert all("experiments.json: can't be written (File too large)" in line for line in refused)
    with open_database(path) as database:
        assert database.check() == ()
        runs = content_of(database)["runs"]
        assert {n: d["number"] for n, d in runs.items()} == {1: "before", **stored}
        database.insert({"after": True})
    with TinyDB(path) as stock:
        assert len(stock.table("runs")) == len(stored) + 1


@pytest.fixture
def disk() -> Iterator[Path]:
    with small_disk("256k") as folder:
        yield folder


def test_a_disk_that_fills_up(disk: Path) -> None:
    path = disk / "experiments.json"
    database, other = open_database(path), open_database(path)
    stored: dict[int, dict[str, int]] = {}
    message = ""
    while not message:
        document = {"number": len(stored)}
        try:
            stored[database.table("runs").insert(document)] = document
        except RecordNotWrittenError as error:
            message = str(error)
        if len(stored) == 100:
            database.checkpoint()
    assert "experiments.json: can't be written (No space left on device)" in message
    assert "\n" not in message
    assert content_of(other) == {"runs": stored}
    with pytest.raises(RecordNotWrittenError):
        other.table("runs").update({"text": "x" * 5000})
    assert content_of(open_database(path)) == {"runs": stored}
    with pytest.raises(RecordNotWrittenError):
        database.checkpoint()
    assert not path.with_name("experiments.new").exists()
    database.close()
    assert any("nothing is lost" in sentence for sentence in database.damages)

    subprocess.run(["mount", "-o", "remount,size=2m", str(disk)], check=True)
    new = other.table("runs").insert({"room": True})
    other.close()
    assert content_of(open_database(path)) == {"runs": {**stored, new: {"room": True}}}
    with TinyDB(path) as stock:
        assert len(stock.table("runs")) == len(stored) + 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_only_be_read(path: Path) -> None:
    with open_database(path) as database:
        database.insert({"a": 1})
    path.parent.chmod(0o500)
    try:
        with open_database(path) as database:
            assert database.all() == [{"a": 1}]
            with pytest.raises(FolderNotWritableError, match=r"experiments\.json"):
                database.insert({})
    finally:
        path.parent.chmod(0o700)
