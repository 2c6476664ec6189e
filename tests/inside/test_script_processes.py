"""What a script starts logs into its run, and doesn't keep it alive."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlbench.domain.outcomes import RunOutcome
from tests.inside.conftest import Ended, Start
from tests.inside.script_runs import ALONE, runs_in, the_run


@pytest.fixture
def orphans(tmp_path: Path) -> Iterator[Path]:
    """A file for the ids of processes that outlive their script; they are ended afterwards."""
    file = tmp_path / "orphans"
    file.touch()
    yield file
    for pid in file.read_text().split():
        os.kill(int(pid), signal.SIGKILL)


@pytest.mark.parametrize("how", ["fork", "subprocess", "spawn"])
@pytest.mark.parametrize("last", ["", "os.kill(os.getpid(), 9)"])
def test_a_child_that_lives_on_does_not_keep_it_running(
    start: Start, tmp_path: Path, orphans: Path, how: str, last: str
) -> None:
    (tmp_path / "lasting.py").write_text(
        "import os, sys, time\n"
        "def last(say=True):\n"
        f"    open({str(orphans)!r}, 'a').write(f'{{os.getpid()}}\\n')\n"
        "    os.close(1), os.close(2)\n"
        "    time.sleep(60)\n"
        "if __name__ == '__main__': last()\n"
    )
    begin = {
        "fork": "os.fork() or last()",
        "subprocess": "subprocess.Popen([sys.executable, 'lasting.py'])",
        "spawn": "multiprocessing.get_context('spawn').Process(target=last).start()",
    }[how]
    (tmp_path / "train.py").write_text(
        f"{ALONE}\nimport multiprocessing, os, subprocess, sys, time\nfrom lasting import last\n"
        "if __name__ == '__main__':\n"
        "    mlbench.log(loss=1)\n"
        f"    {begin}\n"
        f"    while not os.path.getsize({str(orphans)!r}): time.sleep(0.01)\n"
        f"    {last or 'os._exit(0)'}\n"
    )
    process = start("import runpy; runpy.run_path('train.py', run_name='__main__')", None)
    process.wait(timeout=60)
    assert orphans.read_text()
    outcome = RunOutcome.FAILED if last else RunOutcome.PASSED
    assert the_run(tmp_path).outcome is outcome


def test_what_it_starts_logs_into_the_same_run(ended: Ended, tmp_path: Path) -> None:
    script = """
import os, subprocess, sys
mlbench.log(main=1)
child = os.fork()
if not child:
    mlbench.log(forked=1)
    sys.exit(1)
os.waitpid(child, 0)
subprocess.run([sys.executable, "-c", "import mlbench; mlbench.log(started=1)"], check=True)
mlbench.log(main=2)
"""
    assert ended(script) == (0, "")
    run = the_run(tmp_path)
    assert run.outcome is RunOutcome.PASSED
    assert run.metrics == {"main": 2.0, "forked": 1.0, "started": 1.0}


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_a_main_process_that_logs_nothing_share_a_run(
    start: Start, tmp_path: Path, method: str
) -> None:
    (tmp_path / "train.py").write_text(
        f"{ALONE}\nimport multiprocessing\n"
        "def work(barrier, rank):\n"
        "    barrier.wait()\n"
        "    mlbench.log({f'loss/{rank}': rank})\n"
        "    barrier.wait()\n"
        "if __name__ == '__main__':\n"
        f"    context = multiprocessing.get_context({method!r})\n"
        "    barrier = context.Barrier(3)\n"
        "    ranks = [context.Process(target=work, args=(barrier, n)) for n in range(3)]\n"
        "    for rank in ranks: rank.start()\n"
        "    for rank in ranks: rank.join()\n"
    )
    process = start("import runpy; runpy.run_path('train.py', run_name='__main__')", None)
    assert process.communicate(timeout=60)[1] == ""
    run = the_run(tmp_path)
    assert run.outcome is RunOutcome.PASSED
    assert run.metrics == {"loss/0": 0.0, "loss/1": 1.0, "loss/2": 2.0}


@pytest.mark.parametrize("explicit", [False, True])
def test_ranks_of_torchrun_share_a_run_and_a_restart_has_its_own(
    start: Start, tmp_path: Path, explicit: bool
) -> None:
    call = "with mlbench.run('ddp'): " if explicit else ""
    (tmp_path / "rank.py").write_text(
        f"{ALONE}\nimport os, sys\n"
        "name = 'loss/' + os.environ['LOCAL_RANK']\n"
        f"{call}mlbench.log({{name: 1}}); print(flush=True); input()\n"
    )
    script = """
import os, subprocess, sys
for restart in "01":
    ranks = []
    for rank in "012":
        told = dict(LOCAL_RANK=rank, TORCHELASTIC_RUN_ID="none",
                    TORCHELASTIC_RESTART_COUNT=restart)
        ranks.append(subprocess.Popen([sys.executable, "rank.py"], env={**os.environ, **told},
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    for rank in ranks: rank.stdout.readline()
    for rank in ranks: rank.communicate("go\\n")
    assert not any(rank.returncode for rank in ranks)
"""
    process = start(script, None)
    assert process.communicate(timeout=60)[1] == ""
    runs = runs_in(tmp_path)
    assert [run.outcome for run in runs] == [RunOutcome.PASSED] * 2
    assert [sorted(run.metrics) for run in runs] == [["loss/0", "loss/1", "loss/2"]] * 2


def test_threads_begin_one_run(ended: Ended, tmp_path: Path) -> None:
    script = """
import sys, threading
sys.setswitchinterval(1e-6)
barrier = threading.Barrier(8)
def work(number):
    barrier.wait()
    mlbench.log({f"loss/{number}": number})
threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    assert ended(script) == (0, "")
    assert len(the_run(tmp_path).metrics) == 8
