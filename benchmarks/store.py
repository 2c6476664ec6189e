"""What the store of runs costs with 100,000 runs in it, beside TinyDB as it is shipped."""

from __future__ import annotations

import gc
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import orjson
from tinydb import TinyDB, where
from tinydb.table import Document

from benchmarks.common import ENVIRONMENT, WORK, Figure
from mlbench.tracking.database import Database, decode, open_database
from mlbench.tracking.database.writing import sync_data

SIZE = 100_000
STOCK_SIZES = (1_000, 10_000, 100_000)
INSERTS = 1_000
CHECKPOINTS = 3

# A process that does one thing again and again until its input ends, and says what took longest.
_PROBE = """\
import sys, threading, time
from pathlib import Path
from mlbench.tracking.database import open_database
path, kind = sys.argv[1:]
runs = open_database(Path(path)).table("runs")
ended = threading.Event()
def wait():
    sys.stdin.readline()
    ended.set()
worst = number = 0
len(runs)
print("ready", flush=True)
threading.Thread(target=wait).start()
while not ended.is_set():
    number += 1
    started = time.perf_counter()
    if kind == "writer":
        runs.insert({"id": "probe", "text": "x" * 700})
    else:
        runs.get(doc_id=number % 1000 + 1)
        len(runs)
    worst = max(worst, time.perf_counter() - started)
    time.sleep(0.001)
print(worst, flush=True)
"""


def measure() -> Figure:
    """Each work over our store and over the stock file of as many documents, in one run."""
    folder = WORK / "store"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    ours = folder / "ours.json"
    with open_database(ours) as database:
        database.table("runs").insert_multiple(_documents(SIZE))
    inserts, bare = _insert_times(ours)
    rows = [
        ["an insert, on disk", _shown(median(inserts)), _stock_inserts(folder)],
        ["as many bytes behind a bare file, on disk", _shown(median(bare)), ""],
        ["an insert, 99th percentile", _shown(sorted(inserts)[INSERTS * 99 // 100]), ""],
    ]
    stock = folder / f"stock-{SIZE}.json"
    for name, work, same in _WORKS:
        mine, theirs = [], []
        for _ in range(3):
            gc.collect()
            mine.append(_seconds(work, ours))
            theirs.append(_seconds(same, stock))
        rows.append([name, _shown(median(mine)), _ratio(median(theirs), median(mine))])
    for when, pauses in (("a checkpoint is made", _pauses(ours, True)), ("none is", _pauses(ours))):
        rows += [[f"longest pause of a {who} while {when}", _shown(p), ""] for who, p in pauses]
    size = ours.stat().st_size / SIZE
    shutil.rmtree(folder)
    return Figure(
        [f"{SIZE:,} runs", "mlbench", "TinyDB as shipped"],
        rows,
        f"{size:.0f} bytes a document; in brackets, how many times mlbench's. {INSERTS:,} inserts "
        "with fdatasync, of the stock file 3 to 5 with fsync at each size. The others: median of 3 "
        f"in turn. Pauses: the longest single call while {CHECKPOINTS} checkpoints of everything "
        "are made, and as long without. The aims are 1 ms for an insert, 0.8 s for filter and "
        "sort, 100 ms for every pause.",
    )


def _documents(count: int) -> list[dict[str, Any]]:
    chance = random.Random(1)
    return [
        {
            "id": f"20261123-{number:06d}-{chance.getrandbits(24):06x}",
            "name": f"brave-{number}",
            "outcome": "passed",
            "started": f"2026-11-23T09:15:{number % 60:02d}.000Z",
            "params": {f"train.p{n}": chance.random() for n in range(8)},
            "metrics": {f"val/m{n}": chance.random() for n in range(8)},
            "stages": {"train": {"outcome": "ran", "seconds": 1.5, "key": "f" * 64}},
        }
        for number in range(count)
    ]


def _insert_times(path: Path) -> tuple[list[float], list[float]]:
    """Seconds of each insert, and in turn of as many bytes put behind a bare file and on disk."""
    # What was written to make the store is on its way for a while.
    os.sync()
    descriptor = os.open(path.with_name("bare"), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC)

    def append(line: bytes) -> None:
        os.write(descriptor, line)
        sync_data(descriptor)

    inserts, bare = [], []
    with open_database(path) as database:
        runs = database.table("runs")
        for document in _documents(INSERTS):
            inserts.append(_seconds(runs.insert, document))
            bare.append(_seconds(append, orjson.dumps(document)))
    os.close(descriptor)
    return inserts, bare


def _stock_inserts(folder: Path) -> str:
    shown = []
    for size in STOCK_SIZES:
        path = folder / f"stock-{size}.json"
        documents = _documents(size)
        with TinyDB(path) as stock:
            runs = stock.table("runs")
            runs.insert_multiple(documents)
            times = [_seconds(runs.insert, one) for one in documents[: 3 if size == SIZE else 5]]
        shown.append(f"{_shown(median(times))} at {size:,}")
    return ", ".join(shown)


def _open(path: Path) -> None:
    len(open_database(path).table("runs"))


def _open_stock(path: Path) -> None:
    with TinyDB(path) as stock:
        len(stock.table("runs"))


def _newest(path: Path) -> None:
    lines = open_database(path).table("runs").lines()
    assert len([decode(lines[number]) for number in list(lines)[-20:]]) == 20


def _newest_of_stock(path: Path) -> None:
    with TinyDB(path) as stock:
        assert len(stock.table("runs").all()[-20:]) == 20


def _sorted(runs: Sequence[Document]) -> None:
    assert sorted(runs, key=lambda run: run["metrics"]["val/m1"])


def _filter_and_sort(path: Path) -> None:
    _sorted(open_database(path).table("runs").search(where("metrics")["val/m0"] > 0.5))


def _filter_and_sort_stock(path: Path) -> None:
    with TinyDB(path) as stock:
        _sorted(stock.table("runs").search(where("metrics")["val/m0"] > 0.5))


_WORKS: Sequence[tuple[str, Callable[[Path], None], Callable[[Path], None]]] = (
    ("opening it", _open, _open_stock),
    ("opening it, the newest 20", _newest, _newest_of_stock),
    ("opening it, half of all by a metric, sorted by another", _filter_and_sort,
     _filter_and_sort_stock),
)  # fmt: skip


def _pauses(path: Path, with_checkpoints: bool = False) -> list[tuple[str, float]]:
    """The longest call of a writer and a reader in other processes, and of threads beside."""
    probes = [_probe(path, kind) for kind in ("writer", "reader")]
    database = open_database(path)
    len(database.table("runs"))
    lag = _Lag(database)
    if with_checkpoints:
        for _ in range(CHECKPOINTS):
            database.table("runs").insert({"id": "something new"})
            database.checkpoint()
    else:
        time.sleep(1.5)
    others = [_worst(probe) for probe in probes]
    names = ("writer", "reader", "reader in the same process", "thread in the same process")
    return [*zip(names, [*others, lag.end(), lag.worst_lag], strict=True)]


class _Lag:
    """A thread that reads, and one that only wakes up each millisecond, as an event loop does."""

    def __init__(self, database: Database) -> None:
        self.worst_lag = self._worst_read = 0.0
        self._ended = False
        self._runs = database.table("runs")
        self._threads = [threading.Thread(target=work) for work in (self._read, self._wake)]
        for thread in self._threads:
            thread.start()

    def end(self) -> float:
        self._ended = True
        for thread in self._threads:
            thread.join()
        return self._worst_read

    def _read(self) -> None:
        while not self._ended:
            self._worst_read = max(self._worst_read, _seconds(self._look))
            time.sleep(0.001)

    def _look(self) -> None:
        self._runs.get(doc_id=1)
        len(self._runs)

    def _wake(self) -> None:
        while not self._ended:
            late = _seconds(time.sleep, 0.001) - 0.001
            self.worst_lag = max(self.worst_lag, late)


def _probe(path: Path, kind: str) -> subprocess.Popen[str]:
    probe = subprocess.Popen(
        [sys.executable, "-c", _PROBE, str(path), kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**ENVIRONMENT, "PYTHONPATH": os.getcwd()},
    )
    assert probe.stdout is not None
    assert probe.stdout.readline() == "ready\n"
    return probe


def _worst(probe: subprocess.Popen[str]) -> float:
    return float(probe.communicate("end\n")[0])


def _seconds(work: Callable[..., object], *words: object) -> float:
    started = time.perf_counter()
    work(*words)
    return time.perf_counter() - started


def _shown(seconds: float) -> str:
    milliseconds = seconds * 1000
    return f"{milliseconds:.2f} ms" if milliseconds < 10 else f"{milliseconds:,.0f} ms"


def _ratio(theirs: float, ours: float) -> str:
    return f"{_shown(theirs)} ({theirs / ours:.0f})"
