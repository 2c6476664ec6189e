from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlbench.domain.serving import ServerSettings
from mlbench.serving.requests.log import RequestLog
from mlbench.serving.requests.reader import known_ids, newest, newest_kept
from mlbench.serving.requests.segments import segments
from tests.serving.requests.kept import kept
from tests.small_disk import small_disk
from tests.support import REPOSITORY, until


class Told:
    """What the log told of itself."""

    def __init__(self) -> None:
        self.kept: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.sentences: list[str] = []

    def count(self, model: str, version: str, kept: int, dropped: int) -> None:
        self.kept[f"{model}@{version}"] += kept
        self.dropped[f"{model}@{version}"] += dropped


@contextmanager
def logging(
    folder: Path, told: Told | None = None, worker: int = 0, **settings: Any
) -> Iterator[RequestLog]:
    told = told or Told()
    log = RequestLog(
        folder,
        worker,
        ServerSettings(**{"workers": 2, **settings}),
        told.count,
        told.sentences.append,
    )
    try:
        yield log
    finally:
        log.close()


def ids(folder: Path) -> list[str]:
    return [entry.id for entry in newest_kept(folder)]


def test_what_is_kept_is_read_newest_first_also_by_others_while_it_is_written(
    tmp_path: Path,
) -> None:
    told = Told()
    with logging(tmp_path / "log", told) as log:
        for number in range(30):
            log.keep(kept(number))
        until(lambda: len(ids(tmp_path / "log")) == 30)
        assert ids(tmp_path / "log") == [f"id-{number}" for number in range(29, -1, -1)]
    assert told.kept == {"m@1": 30}
    assert not told.dropped.total()


@pytest.mark.parametrize(
    ("body", "known"),
    [
        (b'{"id": "mine", "inputs": 3}', "mine"),
        (b'{"id": 7}', ""),
        (b'["id"]', ""),
        (b'{"id": "torn', ""),
        (b"[" * 60_000, ""),
        (b'{"id": "long", "x": "' + b"a" * 70_000 + b'"}', ""),
        (b"", ""),
    ],
)
def test_a_refused_request_stands_by_the_id_that_its_client_gave(
    tmp_path: Path, body: bytes, known: str
) -> None:
    with logging(tmp_path) as log:
        log.keep(replace(kept(1), id="", status=400, body=body, header_length=None))
    assert ids(tmp_path) == [known]


def test_where_inputs_are_not_logged_no_refusal_quotes_them_either(tmp_path: Path) -> None:
    reply = b'{"error": "row 1, column \\"name\\": \\"Jane Doe\\" is no number"}'
    refused = replace(kept(1), id="", status=400, body=b'{"id": "a", "x": "Jane Doe"}', reply=reply)
    with logging(tmp_path, log_inputs=False) as log:
        log.keep(replace(refused, header_length=None, reply_header_length=None))
    assert all(b"Jane" not in path.read_bytes() for path in segments(tmp_path))
    [found] = newest(tmp_path, 1)
    assert (found.id, found.inputs, found.outputs) == ("a", None, None)
    assert found.error == "why is not logged here, for it may quote inputs (log_inputs)"


def test_closing_writes_what_waits(tmp_path: Path) -> None:
    with logging(tmp_path) as log:
        log.keep(kept(1))
    assert ids(tmp_path) == ["id-1"]


def test_the_newest_of_several_workers_come_in_the_order_of_their_time(tmp_path: Path) -> None:
    for worker in (0, 1, 2):
        with logging(tmp_path, worker=worker) as log:
            for number in range(worker, 60, 3):
                log.keep(kept(number, at_ns=1_000_000_000 + number))
    assert [request.id for request in newest(tmp_path, 7)] == [f"id-{n}" for n in range(59, 52, -1)]
    assert ids(tmp_path) == [f"id-{number}" for number in range(59, -1, -1)]


def test_requests_of_one_model_or_version_are_found_among_others(tmp_path: Path) -> None:
    with logging(tmp_path) as log:
        for number in range(20):
            log.keep(kept(number, model=f"m{number % 2}", version=str(number % 3)))
    assert [request.id for request in newest(tmp_path, 2, "m1", "2")] == ["id-17", "id-11"]


def test_a_share_is_chosen_by_id_so_that_a_retry_is_treated_alike(tmp_path: Path) -> None:
    with logging(tmp_path, log_requests=0.25) as log:
        for _ in range(2):
            for number in range(2000):
                log.keep(kept(number))
    found = Counter(ids(tmp_path))
    assert set(found.values()) == {2}
    assert 400 < len(found) < 600


def test_a_share_of_nothing_makes_no_file(tmp_path: Path) -> None:
    with logging(tmp_path / "log", log_requests=0.0) as log:
        log.keep(kept())
    assert not (tmp_path / "log").exists()


def test_settings_change_while_it_is_written(tmp_path: Path) -> None:
    with logging(tmp_path, log_requests=0.0) as log:
        log.keep(kept(1))
        log.use(ServerSettings())
        log.keep(kept(2))
        until(lambda: ids(tmp_path) == ["id-2"])
        log.use(ServerSettings(log_inputs=False))
        log.keep(kept(3))
        until(lambda: len(ids(tmp_path)) == 2)
        log.use(ServerSettings(log_requests=0.0))
        log.keep(kept(4))
    assert [(entry.id, entry.without_body) for entry in newest_kept(tmp_path)] == [
        ("id-3", True),
        ("id-2", False),
    ]


def test_old_segments_go_and_the_bound_holds_over_all_workers(tmp_path: Path) -> None:
    told = Told()
    bound = 400_000
    with (
        logging(tmp_path, told, 0, log_bytes=bound) as first,
        logging(tmp_path, told, 1, log_bytes=bound) as second,
    ):
        for number in range(40):
            (first, second)[number % 2].keep(kept(number, body=b"x" * 50_000))
            until(lambda: sum(told.kept.values()) == number + 1)  # noqa: B023
            sizes = [path.stat().st_size for path in segments(tmp_path)]
            assert sum(sizes) <= bound
    found = ids(tmp_path)
    assert found == [f"id-{number}" for number in range(39, 39 - len(found), -1)]
    assert len(found) >= 3


def test_what_is_older_than_the_log_may_be_goes_and_what_is_written_stays(tmp_path: Path) -> None:
    with logging(tmp_path) as log:
        log.keep(kept(1))
    (old,) = segments(tmp_path)
    os.utime(old, (time.time() - 8 * 86_400,) * 2)
    with logging(tmp_path, log_seconds=7 * 86_400.0) as log:
        log.keep(kept(2))
        until(lambda: ids(tmp_path) == ["id-2"])


def test_a_torn_tail_costs_what_was_torn_and_no_more(tmp_path: Path) -> None:
    for number in range(3):
        with logging(tmp_path, worker=number % 2) as log:
            for place in range(4):
                log.keep(kept(number * 4 + place))
                until(lambda: f"id-{number * 4 + place}" in ids(tmp_path))  # noqa: B023
    newest_segment = segments(tmp_path)[-1]
    whole = newest_segment.read_bytes()
    for length in (len(whole) - 1, len(whole) - 30, len(whole) // 2, 3):
        newest_segment.write_bytes(whole[:length])
        found = ids(tmp_path)
        assert set(found) >= {f"id-{number}" for number in range(8)}
        assert found == sorted(found, key=lambda id_: -int(id_[3:]))
        assert len(found) < 12


KILLED = """\
import sys, time
from pathlib import Path
from mlbench.domain.serving import ServerSettings
from mlbench.serving.requests.log import RequestLog
from tests.serving.requests.kept import kept
log = RequestLog(Path(sys.argv[1]), 0, ServerSettings())
number = 0
while True:
    log.keep(kept(number))
    print(number, time.time_ns(), flush=True)
    number += 1
    time.sleep(0.001)
"""


def test_kill_9_costs_the_last_moments_alone(tmp_path: Path) -> None:
    words = [sys.executable, "-c", KILLED, str(tmp_path / "log")]
    with subprocess.Popen(words, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as worker:
        until(lambda: len(ids(tmp_path / "log")) > 100)
        killed = time.time_ns()
        os.kill(worker.pid, signal.SIGKILL)
        assert worker.stdout is not None
        put = [line.split() for line in worker.stdout.read().splitlines() if " " in line]
    found = known_ids(tmp_path / "log")
    # Half a second rather than its fifth: this machine may have had other things to do.
    long_ago = [number for number, at in put if killed - int(at) > 500_000_000]
    assert {f"id-{number}" for number in long_ago} <= found
    # Another worker in its place begins a segment of its own.
    with logging(tmp_path / "log") as log:
        log.keep(kept(1_000_000))
    assert "id-1000000" in known_ids(tmp_path / "log")
    assert found <= known_ids(tmp_path / "log")


@pytest.mark.parametrize("problem", ["a file where the folder should be", "no right to write"])
def test_a_log_that_can_not_be_written_counts_what_it_drops_and_says_so_once(
    tmp_path: Path, problem: str
) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "log" if problem.startswith("a file") else Path("/proc/log")
    told = Told()
    with logging(folder, told) as log:
        log.keep(kept(1))
        until(lambda: told.dropped["m@1"] == 1)
        log.keep(kept(2))
        until(lambda: told.dropped["m@1"] == 2)
    assert len(told.sentences) == 1
    assert told.sentences[0].startswith("requests are not logged: ")


def test_more_than_can_wait_is_dropped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlbench.serving.requests.log._MOST_BYTES", 10_000)
    told = Told()
    with logging(tmp_path, told) as log:
        for number in range(1000):
            log.keep(kept(number))
    assert sum(told.kept.values()) + sum(told.dropped.values()) == 1000
    assert told.dropped["m@1"] > 0
    assert len(ids(tmp_path)) == told.kept["m@1"]


def test_a_full_disk_drops_requests_and_spoils_nothing(tmp_path: Path) -> None:
    with small_disk("512k") as disk:
        filler = disk / "filler"
        filler.write_bytes(b"x" * 300_000)
        told = Told()
        with logging(disk / "log", told) as log:

            def keep(number: int) -> None:
                log.keep(kept(number, body=b"y" * 50_000))
                until(lambda: told.kept["m@1"] + told.dropped["m@1"] == number + 1)

            for number in range(8):
                keep(number)
            count = told.kept["m@1"]
            assert 0 < count < 8
            assert told.sentences == ["requests are not logged: No space left on device"]
            filler.unlink()
            keep(8)
            assert ids(disk / "log") == ["id-8", *(f"id-{n}" for n in range(count - 1, -1, -1))]


def test_long_bodies_are_left_out_while_there_is_too_much_to_write(tmp_path: Path) -> None:
    many = 90
    with logging(tmp_path, log_bytes=1 << 30) as log:
        for number in range(many):
            # Taken before the next is put: what waits is bounded, too.
            log._write([kept(number, body=b"x" * 900_000)], 900_000)
        log._write([kept(many)], 400)
    found = list(newest_kept(tmp_path))
    assert len(found) == many + 1
    cut = [entry for entry in found if entry.is_body_cut]
    assert 0 < len(cut) < many
    assert all(entry.body == b"" for entry in cut)
    assert found[0].body != b""
