"""Children with limits: real ones that hang, eat memory, fork, crash and write too much."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from mlbench.release.limited import Ending, Limits, run_limited
from mlbench.system.proctable import MARK, of_stage, start_time

MB = 1_000_000


@dataclass(frozen=True)
class Child:
    """Runs a Python script as a limited child."""

    root: Path

    @property
    def log(self) -> Path:
        return self.root / "logs" / "child.log"

    @property
    def mark(self) -> Path:
        return self.root / "mark"

    def run(
        self, script: str, limits: Limits | None = None, stop: threading.Event | None = None
    ) -> Ending:
        """Run the script; nothing of it lives on afterwards."""
        path = self.root / "script.py"
        path.write_text(textwrap.dedent(script))
        ending = run_limited(
            [sys.executable, str(path)],
            cwd=self.root,
            env=os.environ,
            log=self.log,
            mark=self.mark,
            limits=limits or Limits(30.0),
            stop=stop,
        )
        assert of_stage(str(self.mark), None, None) == []
        return ending

    def await_words(self, count: int, heard: threading.Event) -> None:
        """Set `heard` once so many words are in the log."""
        while not self.log.exists() or len(self.log.read_text().split()) < count:
            heard.wait(0.01)
        heard.set()


@pytest.fixture
def child(tmp_path: Path) -> Child:
    return Child(tmp_path)


def test_a_child_that_ends_well_says_so_and_is_logged(child: Child) -> None:
    ending = child.run("import sys; print('out'); print('err', file=sys.stderr)")
    assert ending == Ending(0)
    assert sorted(child.log.read_text().split()) == ["err", "out"]


def test_an_exit_status_is_told(child: Child) -> None:
    ending = child.run("raise SystemExit(3)")
    assert ending.said == "ended with exit status 3"


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("SIGSEGV", "crashed with SIGSEGV"),
        ("SIGABRT", "crashed with SIGABRT"),
        ("SIGKILL", "was killed, as the system does when memory runs out"),
    ],
)
def test_a_death_by_signal_is_told(child: Child, number: str, said: str) -> None:
    ending = child.run(f"import os, signal; os.kill(os.getpid(), signal.{number})")
    assert ending.code < 0
    assert ending.said == said


def test_a_child_that_hangs_is_killed(child: Child) -> None:
    script = """
        import signal, time
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        time.sleep(600)
    """
    ending = child.run(script, Limits(0.3))
    assert ending.said == "took longer than 0.3 s"


def test_a_child_is_stopped_when_asked(child: Child) -> None:
    stop = threading.Event()
    stop.set()
    assert child.run("import time; time.sleep(600)", stop=stop).said == "was stopped"


@pytest.mark.parametrize("apart", [False, True], ids=["same session", "own session"])
@pytest.mark.parametrize("ends", [True, False], ids=["ends", "hangs"])
def test_grandchildren_do_not_outlive_it(child: Child, apart: bool, ends: bool) -> None:
    if apart and not Path("/proc/self/environ").exists():
        pytest.skip("only Linux shows the environment of a process")
    script = f"""
        import subprocess, sys, time
        started = [
            subprocess.Popen(
                [sys.executable, "-c", "print('up', flush=True); import time; time.sleep(600)"],
                start_new_session={apart}, stdout=subprocess.PIPE,
            )
            for _ in range(2)
        ]
        print(*(each.pid for each in started if each.stdout.readline()), flush=True)
        {"" if ends else "time.sleep(600)"}
    """
    stop = threading.Event()
    if not ends:
        threading.Thread(target=child.await_words, args=(2, stop), daemon=True).start()
    ending = child.run(script, stop=stop)
    assert ending.why == ("" if ends else "was stopped")
    grandchildren = [int(word) for word in child.log.read_text().split()]
    assert len(grandchildren) == 2
    assert [start_time(pid) for pid in grandchildren] == [None, None]


def test_a_child_does_not_outlive_whoever_started_it(child: Child) -> None:
    script = child.root / "script.py"
    started = [
        sys.executable,
        "-c",
        "import os, time; print(os.getpid(), flush=True); time.sleep(600)",
    ]
    script.write_text(
        "import os, subprocess, time; print(os.getpid(), flush=True); "
        f"subprocess.Popen({started!r}); time.sleep(600)"
    )
    starting = f"""
        import os, sys
        from pathlib import Path
        from mlbench.release.limited import Limits, run_limited
        run_limited([sys.executable, {str(script)!r}], cwd=Path("/"), env=os.environ,
                    log=Path({str(child.log)!r}), mark=Path({str(child.mark)!r}), limits=Limits())
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(starting)])
    heard = threading.Event()
    child.await_words(2, heard)
    pids = [int(word) for word in child.log.read_text().split()]
    parent.kill()
    parent.wait()
    while any(start_time(pid) for pid in pids):
        threading.Event().wait(0.01)
    assert of_stage(str(child.mark), None, None) == []


@pytest.mark.skipif(sys.platform != "linux", reason="macOS does not hold to the limit of memory")
def test_a_child_that_eats_memory_runs_out_of_its_own(child: Child) -> None:
    script = """
        eaten = []
        try:
            while True:
                eaten.append(bytearray(10_000_000))
        except MemoryError:
            print(len(eaten))
            raise
    """
    ending = child.run(script, Limits(30.0, memory=200 * MB))
    assert ending.said == "ended with exit status 1"
    assert 5 <= int(child.log.read_text().split()[0]) <= 20


def test_a_file_has_a_largest_size(child: Child) -> None:
    script = """
        try:
            open("large", "wb").write(bytes(3_000_000))
        except OSError as error:
            raise SystemExit(error.errno == 27 and 7)
    """
    assert child.run(script, Limits(30.0, file_size=MB)).code == 7
    assert (child.root / "large").stat().st_size <= MB


def test_processor_time_has_an_end(child: Child) -> None:
    ending = child.run("while True: pass", Limits(30.0, cpu_seconds=1))
    assert ending.said == "used more than its share of processor time"


def test_no_core_is_dumped(child: Child) -> None:
    script = "import resource; print(resource.getrlimit(resource.RLIMIT_CORE))"
    child.run(script)
    assert child.log.read_text() == "(0, 0)\n"


def test_the_mark_is_its_own(child: Child) -> None:
    child.run(f"import os; print(os.environ[{MARK!r}])")
    assert child.log.read_text().strip() == str(child.mark)


@pytest.mark.parametrize(
    ("program", "error"),
    [
        ("./no/such/python", FileNotFoundError),
        ("no-such-python", FileNotFoundError),
        ("./", PermissionError),
    ],
)
def test_what_cannot_be_started_is_told(child: Child, program: str, error: type[OSError]) -> None:
    with pytest.raises(error):
        run_limited(
            [program],
            cwd=child.root,
            env=os.environ,
            log=child.log,
            mark=child.mark,
            limits=Limits(),
        )


def test_the_machine_sets_the_limits() -> None:
    limits = Limits.of_machine(60.0)
    assert limits.memory > 100 * MB
    assert limits.cpu_seconds >= 60
