"""Step logs under kill -9, forks, threads and readers."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from mlbench.inside import stepwriter
from mlbench.inside.steplog import RECORD, RECORDS_SUFFIX
from mlbench.inside.stepwriter import StepWriter
from mlbench.tracking.steps import StepReader
from tests.inside.conftest import Finish, Start
from tests.series import series_in, series_of


def _logs(stage: Path) -> list[Path]:
    return sorted(stage.glob(f"*{RECORDS_SUFFIX}"))


def test_kill_9_loses_no_point_that_was_acknowledged(start: Start, stage: Path) -> None:
    script = """
        import itertools, mlbench
        for epoch in itertools.count():
            mlbench.log(loss=epoch * 0.5, step=epoch)
            print(epoch, flush=True)
    """
    process = start(script, stage)
    assert process.stdout is not None
    acknowledged = [next(process.stdout) for _ in range(5000)]
    process.kill()
    acknowledged += process.stdout.readlines()
    whole = [line for line in acknowledged if line.endswith("\n")]
    series = series_in(stage)["loss"]
    assert len(series.steps) >= len(whole)
    assert series.steps.tolist() == list(range(len(series.steps)))
    assert series.values.tolist() == [step * 0.5 for step in series.steps]


def test_a_reader_beside_a_busy_writer_sees_whole_records_only(
    start: Start, stage: Path, tmp_path: Path
) -> None:
    stop = tmp_path / "stop"
    script = f"""
        import itertools, os, mlbench
        for epoch in itertools.count():
            mlbench.log(loss=epoch * 0.5 + 1, step=epoch)
            if epoch == 100:
                print("started", flush=True)
            if epoch % 20 == 0 and os.path.exists({str(stop)!r}):
                break
        print(epoch + 1)
    """
    reader = StepReader(stage)
    process = start(script, stage)
    assert process.stdout is not None
    process.stdout.readline()
    seen: set[int] = set()
    while len(seen) < 30:
        seen.add(len(series_of(reader)["loss"].steps))
    stop.touch()
    written = int(process.stdout.readline())
    series = series_of(reader)["loss"]
    assert series.steps.tolist() == list(range(written))
    assert series.values.tolist() == [step * 0.5 + 1 for step in range(written)]


def test_a_fork_writes_its_own_log_and_counts_on(finish: Finish, stage: Path) -> None:
    script = """
        import os, mlbench
        mlbench.log(loss=0)
        child = os.fork()
        for _ in range(3000):
            mlbench.log(loss=1 if child else 2)
        if child:
            os.waitpid(child, 0)
        else:
            os._exit(0)
    """
    finish(script, stage)
    assert len(_logs(stage)) == 2
    series = series_in(stage)["loss"]
    values = series.values.tolist()
    assert values.count(1.0) == values.count(2.0) == 3000
    assert series.steps.tolist() == [0, *(step for step in range(1, 3001) for _ in range(2))]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_multiprocessing_write_their_own_logs(
    finish: Finish, stage: Path, tmp_path: Path, method: str
) -> None:
    (tmp_path / "train.py").write_text(
        "import multiprocessing, mlbench\n"
        "def work(worker):\n"
        "    for _ in range(100):\n"
        "        mlbench.log({f'loss/{worker}': worker})\n"
        "if __name__ == '__main__':\n"
        "    mlbench.log(main=1)\n"
        f"    context = multiprocessing.get_context({method!r})\n"
        "    workers = [context.Process(target=work, args=(n,)) for n in range(2)]\n"
        "    for worker in workers: worker.start()\n"
        "    for worker in workers: worker.join()\n"
    )
    finish("import runpy; runpy.run_path('train.py', run_name='__main__')", stage)
    assert len(_logs(stage)) == 3
    counts = {name: len(series.steps) for name, series in series_in(stage).items()}
    assert counts == {"main": 1, "loss/0": 100, "loss/1": 100}


def test_a_fork_while_another_thread_logs_does_not_hang(finish: Finish, stage: Path) -> None:
    script = """
        import os, threading, mlbench
        done = threading.Event()

        def work():
            while not done.is_set():
                mlbench.log(busy=1)

        thread = threading.Thread(target=work)
        thread.start()
        for _ in range(20):
            child = os.fork()
            if not child:
                mlbench.log(child=1)
                os._exit(0)
            os.waitpid(child, 0)
        done.set()
        thread.join()
    """
    finish(script, stage)
    assert len(series_in(stage)["child"].steps) == 20


def test_threads_lose_and_mix_nothing(finish: Finish, stage: Path) -> None:
    script = """
        import sys, threading, mlbench
        sys.setswitchinterval(1e-6)

        def work(thread):
            for epoch in range(5000):
                mlbench.log({f"loss/{thread}": epoch}, step=epoch)
                mlbench.log(shared=1)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    """
    finish(script, stage)
    read = series_in(stage)
    assert read.pop("shared").steps.tolist() == list(range(20_000))
    expected = list(map(float, range(5000)))
    assert {name: series.values.tolist() for name, series in read.items()} == {
        f"loss/{thread}": expected for thread in range(4)
    }


def test_without_posix_fallocate_zeros_are_written(
    stage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    writer = StepWriter(str(stage))
    for step in range(5000):
        writer.add("loss", 0.5, step, 1.0)
    (log,) = _logs(stage)
    disk = log.stat()
    writer.close()
    assert disk.st_blocks * 512 >= disk.st_size > 5000 * 32
    assert series_in(stage)["loss"].steps.tolist() == list(range(5000))


def test_a_closed_writer_starts_new_files_and_counts_on(stage: Path) -> None:
    writer = StepWriter(str(stage))
    writer.add("loss", 0.5, None, 1.0)
    writer.close()
    writer.add("loss", 0.25, None, 2.0)
    writer.close()
    assert len(_logs(stage)) == 2
    assert series_in(stage)["loss"].steps.tolist() == [0, 1]


def test_a_signal_handler_may_close_in_the_middle_of_a_point(finish: Finish, stage: Path) -> None:
    script = """
        import signal
        from mlbench.inside.place import here
        import mlbench

        closed = 0

        def on_alarm(number, frame):
            global closed
            here.close()
            closed += 1

        signal.signal(signal.SIGALRM, on_alarm)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        steps = 0
        while closed < 200:
            mlbench.log(loss=steps)
            steps += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(steps)
    """
    steps = int(finish(script, stage).stdout)
    assert len(_logs(stage)) > 10
    assert series_in(stage)["loss"].steps.tolist() == list(range(steps))


def test_a_process_that_ends_leaves_no_room_reserved(finish: Finish, stage: Path) -> None:
    finish("import mlbench; [mlbench.log(loss=1) for _ in range(3)]", stage)
    (log,) = _logs(stage)
    assert log.stat().st_size == 3 * RECORD.size


def test_a_child_that_lets_go_leaves_the_file_of_its_parent_alone(
    finish: Finish, stage: Path
) -> None:
    script = """
        import os, sys, mlbench
        mlbench.log(loss=0)
        child = os.fork()
        if not child:
            sys.exit()
        os.waitpid(child, 0)
        for step in range(1, 5000):
            mlbench.log(loss=step)
    """
    finish(script, stage)
    assert series_in(stage)["loss"].values.tolist() == list(range(5000))


def test_the_disk_is_taken_in_growing_chunks(stage: Path) -> None:
    writer = StepWriter(str(stage))
    writer.add("loss", 0.5, None, 1.0)
    (log,) = _logs(stage)
    assert log.stat().st_size == stepwriter.SMALLEST_CHUNK
    usage = subprocess.run(["du", "-k", log], capture_output=True, text=True, check=True)
    writer.close()
    assert int(usage.stdout.split()[0]) >= stepwriter.SMALLEST_CHUNK // 1024
