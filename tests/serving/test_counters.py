from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlbench.domain.tally import BATCH_BOUNDS, LATENCY_BOUNDS, Tally
from mlbench.serving.counter_file import RING
from mlbench.serving.counters import Counters, TallyReader, forget, forget_old, read_tallies
from tests.support import REPOSITORY, until

quick = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
endings = st.tuples(
    st.integers(0, 3), st.sampled_from([200, 400, 404, 500, 503, 504]), st.floats(1e-5, 40.0)
)
calls = st.tuples(st.integers(0, 3), st.integers(1, 5000), st.floats(0, 1), st.floats(0, 1))


def only(folder: Path) -> Tally:
    (tally,) = read_tallies(folder)
    return tally


@quick
@given(st.lists(endings, max_size=60), st.lists(calls, max_size=30))
def test_a_tally_is_the_sum_over_all_workers(
    tmp_path: Path,
    ended: list[tuple[int, int, float]],
    called: list[tuple[int, int, float, float]],
) -> None:
    folder = Path(mkdtemp(dir=tmp_path))
    workers = [Counters(folder, "m", "1", index) for index in range(4)]
    for index, status, took in ended:
        workers[index].ended(status, took)
    for index, rows, waited, computed in called:
        workers[index].called(rows, waited, computed)
    tally = only(folder)
    good = [took for _, status, took in ended if status == 200]
    assert tally.answered == len(good) == sum(tally.latencies)
    assert tally.refused == sum(status in (400, 404) for _, status, _ in ended)
    assert tally.failed == sum(status >= 500 for _, status, _ in ended)
    assert tally.expired == sum(status == 504 for _, status, _ in ended)
    assert tally.turned_away == sum(status == 503 for _, status, _ in ended)
    assert tally.ended == len(ended)
    assert tally.took == pytest.approx(sum(good))
    assert tally.calls == len(called) == sum(tally.batches)
    assert tally.rows == sum(rows for _, rows, _, _ in called)
    assert tally.waited == pytest.approx(sum(waited for _, _, waited, _ in called))
    assert tally.computed == pytest.approx(sum(computed for *_, computed in called))
    for place, bound in enumerate(LATENCY_BOUNDS):
        assert sum(tally.latencies[: place + 1]) == sum(took <= bound for took in good)
    for place, bound in enumerate(BATCH_BOUNDS):
        assert sum(tally.batches[: place + 1]) == sum(rows <= bound for _, rows, _, _ in called)


@quick
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 900)), max_size=12))
def test_predictions_are_the_newest_of_all_workers_without_a_gap(
    tmp_path: Path, bursts: list[tuple[int, int]]
) -> None:
    folder = Path(mkdtemp(dir=tmp_path))
    workers = [Counters(folder, "m", "1", index) for index in range(3)]
    told: list[float] = []
    for index, count in bursts:
        values = [float(len(told) + place) for place in range(count)]
        workers[index].predicted(values)
        told += values
    tally = only(folder) if bursts else Tally("m", "1")
    assert tally.predicted == len(told)
    found = set(tally.predictions)
    # What one worker told at one moment may stand before or after what another told then.
    assert found == set(told[len(told) - len(found) :]) or not found
    assert len(found) >= min(len(told), RING)


def test_predictions_since_a_tally_are_those_that_came_since_whoever_gave_them(
    tmp_path: Path,
) -> None:
    first, second = (Counters(tmp_path, "m", "1", index) for index in (0, 1))
    first.predicted([1.0] * 500)
    second.predicted([2.0] * 500)
    earlier = only(tmp_path)
    second.predicted([3.0] * 40)
    assert only(tmp_path).since(earlier).predictions == (3.0,) * 40


def test_a_prediction_that_is_no_finite_number_is_left_out(tmp_path: Path) -> None:
    counters = Counters(tmp_path, "m", "1", 0)
    counters.predicted([1.0, float("nan"), float("inf"), 2.0])
    assert only(tmp_path).predictions == (1.0, 2.0)


def test_versions_are_told_apart_whatever_they_are_called(tmp_path: Path) -> None:
    names = [("a/b", "1"), ("a@b", "2"), ("ü x", "10")]
    for model, version in names:
        Counters(tmp_path, model, version, 0).ended(200, 0.001)
    assert {(item.model, item.version) for item in read_tallies(tmp_path)} == set(names)


KILLED = """\
import sys
from pathlib import Path
from mlbench.serving.counters import Counters
counters = Counters(Path(sys.argv[1]), "m", "1", 1)
counters.queued(5); counters.in_flight(3)
while True:
    counters.ended(200, 0.001)
"""


def test_what_a_killed_worker_counted_stays_and_the_next_goes_on_from_it(tmp_path: Path) -> None:
    Counters(tmp_path, "m", "1", 0).ended(200, 0.001)
    words = [sys.executable, "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(words, cwd=REPOSITORY) as worker:
        until(lambda: only(tmp_path).answered > 1000)
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
    left = only(tmp_path)
    assert left.answered > 1000
    assert (left.queued, left.in_flight) == (5, 3)
    again = Counters(tmp_path, "m", "1", 1)
    again.ended(200, 0.001)
    now = only(tmp_path)
    assert now.answered == left.answered + 1
    # Nothing of the dead one waits any more.
    assert (now.queued, now.in_flight) == (0, 0)


def test_a_reader_beside_a_worker_never_sees_a_number_fall_back(tmp_path: Path) -> None:
    counters = Counters(tmp_path, "m", "1", 0)
    is_enough = threading.Event()

    def count() -> None:
        while not is_enough.is_set():
            counters.ended(200, 0.001)
            counters.called(3, 0.0, 0.001)
            counters.predicted([1.0])

    worker = threading.Thread(target=count)
    worker.start()
    try:
        reader, before = TallyReader(tmp_path), Tally("m", "1")
        for _ in range(300):
            (now,) = reader.read()
            assert before.answered <= now.answered
            assert before.took <= now.took
            assert before.rows <= now.rows
            before = now
    finally:
        is_enough.set()
        worker.join()


def test_a_reader_sees_what_changed_and_what_went(tmp_path: Path) -> None:
    reader = TallyReader(tmp_path / "counters")
    assert reader.read() == ()
    counters = Counters(tmp_path / "counters", "m", "1", 0)
    counters.ended(200, 0.001)
    (first,) = reader.read()
    assert reader.read()[0] is first
    counters.predicted([4.0])
    assert reader.read()[0].predictions == (4.0,)
    forget(tmp_path / "counters")
    assert reader.read() == ()


def test_long_gone_versions_are_let_go_and_what_is_in_memory_stays(tmp_path: Path) -> None:
    for version in range(1, 31):
        Counters(tmp_path, "m@", str(version), 0)
    Counters(tmp_path, "other", "1", 0)
    forget_old(tmp_path, {("m@", 2), ("m@", 29)}, most=3)
    left = {(tally.model, int(tally.version)) for tally in read_tallies(tmp_path)}
    assert left == {("other", 1), *(("m@", version) for version in (2, 27, 28, 29, 30))}


def test_a_file_that_cannot_be_had_costs_the_figures_alone(tmp_path: Path) -> None:
    (tmp_path / "counters").write_text("a file, where a folder should be")
    counters = Counters(tmp_path / "counters", "m", "1", 0)
    assert counters.lost == "File exists"
    counters.ended(200, 0.001)
    counters.predicted([1.0])
    assert read_tallies(tmp_path / "counters") == ()


def test_who_needs_no_predictions_gets_none(tmp_path: Path) -> None:
    Counters(tmp_path, "m", "1", 0).predicted([1.0])
    (tally,) = TallyReader(tmp_path, predictions=False).read()
    assert (tally.predicted, tally.predictions) == (1, ())


def test_a_file_of_something_else_is_no_tally(tmp_path: Path) -> None:
    (tmp_path / "m@1").write_bytes(b"short")
    (tmp_path / "notes.txt").write_text("hello")
    assert read_tallies(tmp_path) == ()
