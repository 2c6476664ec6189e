"""What a stage and the machine use, measured beside real stages."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.system.proctable import HAS_PROC, start_time
from mlbench.system.sampling import PREFIX, _seconds, pause_after, rows_of_proc, rows_of_ps
from tests.support import until
from tests.system.conftest import Pipe

Script = Callable[[str], str]

pytestmark = pytest.mark.skipif(not HAS_PROC, reason="looks at /proc")

# Works until there is a sample of it, and of a child of its own.
_WORK = f"""
import glob, os, subprocess, sys
folder = os.environ["MLBENCH_STAGE_DIR"]
ballast = b"x" * 60_000_000
child = subprocess.Popen([sys.executable, "-S", "-E", "-c", "input()"], stdin=subprocess.PIPE)
def samples():
    return sum(open(path).read().count("\\n") for path in glob.glob(folder + "/{PREFIX}*"))
while samples() < 1:
    sum(range(100_000))
child.communicate()
"""


def _samples(folder: Path) -> list[dict[str, Any]]:
    lines = [line for path in folder.glob(f"{PREFIX}*") for line in path.read_text().splitlines()]
    return [json.loads(line) for line in lines]


def _sampler(folder: Path) -> int:
    (path,) = folder.glob(f"{PREFIX}*")
    return int(path.stem.removeprefix(PREFIX))


def test_a_stage_is_measured_with_its_children_and_the_machine(
    start: Any, script: Script, tmp_path: Path
) -> None:
    ending = start(script(_WORK)).wait()
    assert ending.succeeded, (tmp_path / "stage" / "log").read_text()
    first = _samples(tmp_path / "stage")[0]
    assert first["memory"] > 60_000_000
    # Half a core at the very least, however busy the machine.
    assert 5 < first["cpu"] < 150 * (os.cpu_count() or 1)
    assert first["processes"] == 2
    assert 0 < first["machine/cpu"] <= 100
    assert first["machine/memory"] > 60_000_000
    until(lambda: start_time(_sampler(tmp_path / "stage")) is None)


def test_a_short_stage_is_not_measured_at_all(start: Any, tmp_path: Path) -> None:
    assert start("true").wait().succeeded
    assert not list((tmp_path / "stage").glob(f"{PREFIX}*"))


_UNTIL_SAMPLED = f"""
import glob, os, signal, time
pipe = open("pipe", "w", buffering=1)
while not glob.glob(os.environ["MLBENCH_STAGE_DIR"] + "/{PREFIX}*"):
    time.sleep(0.02)
print("sampled", file=pipe)
while True:
    signal.pause()
"""


def test_a_stage_that_is_measured_is_stopped_like_any_other(
    start: Any, script: Script, tmp_path: Path, pipe: Pipe
) -> None:
    stage = start(script(_UNTIL_SAMPLED), grace=(1000.0, 1000.0))
    assert pipe.line() == "sampled"
    stage.stop()
    ending = stage.wait()
    assert (ending.stopped, ending.code) == (True, -signal.SIGINT)
    until(lambda: start_time(_sampler(tmp_path / "stage")) is None)


def test_nothing_measures_on_when_the_supervisor_was_killed(
    start: Any, script: Script, tmp_path: Path, pipe: Pipe
) -> None:
    stage = start(script(_UNTIL_SAMPLED), grace=(0.0, 0.0))
    assert pipe.line() == "sampled"
    sampler = _sampler(tmp_path / "stage")
    os.kill(stage.pid, signal.SIGKILL)
    # The lock is free at once: what measures does not hold it.
    assert stage.wait().code == -signal.SIGKILL
    until(lambda: start_time(sampler) is None)


def test_when_to_measure_is_not_taken_for_the_timeout(start: Any) -> None:
    ending = start("sleep 100", timeout=1.5).wait()
    assert ending.timed_out
    assert ending.seconds >= 1.5


@given(cost=st.floats(0, 0.05), hours=st.integers(1, 24 * 60))
def test_samples_stay_few_and_cheap_however_long_a_stage_runs(cost: float, hours: int) -> None:
    elapsed, samples = 0.0, 0
    while elapsed < hours * 3600:
        pause = pause_after(elapsed, cost)
        assert pause >= 1.0
        assert cost <= pause / 300
        elapsed, samples = elapsed + pause, samples + 1
    # Of some 200 bytes each.
    assert samples < 5000


def test_processor_time_of_children_that_ended_is_not_lost() -> None:
    work = "sum(range(8_000_000))"
    script = (
        "import os, sys; from mlbench.system.sampling import Usage\n"
        "import subprocess\n"
        "root = os.getpid()\n"
        "read, write = os.pipe(); back, answer = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    usage = Usage(root); usage.sample(); os.write(write, b'x'); os.read(back, 1)\n"
        "    print(usage.sample()['cpu'] > 1); os._exit(0)\n"
        "os.read(read, 1)\n"
        f"subprocess.run([sys.executable, '-c', '{work}'])\n"
        "os.write(answer, b'x'); os.wait()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "True\n"


def test_ps_tells_what_proc_tells() -> None:
    by_ps = {row[0]: row for row in rows_of_ps()}[os.getpid()]
    by_proc = {row[0]: row for row in rows_of_proc()}[os.getpid()]
    assert by_ps[1] == by_proc[1] == os.getppid()
    assert by_ps[4] == pytest.approx(by_proc[4], rel=0.2)


@pytest.mark.parametrize(
    ("used", "seconds"),
    [("00:07", 7), ("1:02.50", 62.5), ("01:00:01", 3601), ("2-01:00:00", 176400)],
)
def test_the_times_that_ps_prints(used: str, seconds: float) -> None:
    assert _seconds(used) == seconds


_NVML = """
typedef struct { unsigned int gpu, memory; } use;
typedef struct { unsigned long long total, free, used; } memory;
static int cards[2] = {0, 1};
int nvmlInit_v2(void) { return %d; }
int nvmlDeviceGetCount_v2(unsigned int *count) { *count = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int at, void **card) { *card = &cards[at]; return 0; }
int nvmlDeviceGetUtilizationRates(void *card, use *out) {
    if (*(int *)card) return 3;
    out->gpu = 87; out->memory = 5; return 0;
}
int nvmlDeviceGetMemoryInfo(void *card, memory *out) {
    out->used = 30000000000ULL + *(int *)card; return 0;
}
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
@pytest.mark.parametrize("status", [0, 18])
def test_graphics_cards_by_their_drivers_library(tmp_path: Path, status: int) -> None:
    source = tmp_path / "nvml.c"
    source.write_text(_NVML % status)
    library = tmp_path / "libnvidia-ml.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    script = "import json; from mlbench.system.nvml import Gpus; print(json.dumps(Gpus().sample()))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "LD_LIBRARY_PATH": str(tmp_path)},
        capture_output=True,
        check=True,
    )
    found = {
        "gpu/0/utilization": 87,
        "gpu/0/memory": 30_000_000_000,
        "gpu/1/memory": 30_000_000_001,
    }
    assert json.loads(done.stdout) == ({} if status else found)
