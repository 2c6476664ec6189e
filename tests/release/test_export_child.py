"""What an export must not do to the machine: one that hangs, crashes or eats memory is ended."""

from __future__ import annotations

import dataclasses
import sys
import textwrap
import threading
from collections.abc import Callable

import pytest

from mlbench.release.limited import Limits
from mlbench.system.proctable import start_time
from tests.release.export_bench import Bench

EXPORTERS = """
    import os, signal, subprocess, sys, time

    def start(log):
        command = [sys.executable, "-c", "import time; time.sleep(600)"]
        child = subprocess.Popen(command, start_new_session=True)
        print("grandchild", child.pid, flush=True)

    def hang(path, sample):
        start(path)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)

    def crash(path, sample):
        start(path)
        os.kill(os.getpid(), signal.SIGSEGV)

    def eat(path, sample):
        eaten = []
        while True:
            eaten.append(bytearray(50_000_000))

    def leave(path, sample):
        os._exit(7)

    def fail(path, sample):
        raise ValueError("only trees of depth 3 or less; prune it")

    def tidy(path, sample):
        for place in (path, sample):
            assert os.path.isfile(place), place
            open(place, "wb").close()
        raise ValueError(os.path.basename(path) + " and " + os.path.basename(sample))
"""


@pytest.fixture
def own(classifier: Bench) -> Callable[[str], Bench]:
    """A bench whose project has an exporter of its own, by name."""
    (classifier.root / "own.py").write_text(textwrap.dedent(EXPORTERS))

    def choose(name: str) -> Bench:
        classifier.model = dataclasses.replace(classifier.model, exporter=f"own:{name}")
        return classifier

    return choose


def grandchildren_of(bench: Bench) -> list[int]:
    """The processes that an exporter started apart, by its log."""
    lines = bench.log.read_text().splitlines()
    return [int(line.split()[1]) for line in lines if line.startswith("grandchild")]


def test_an_export_that_hangs_is_ended_with_all_it_started(own: Callable[[str], Bench]) -> None:
    bench = own("hang")
    bench.stop = threading.Event()
    threading.Thread(target=stop_when_started, args=(bench, bench.stop), daemon=True).start()
    assert "the export gave no report: it was stopped; its output is in" in bench.refusal()
    [pid] = grandchildren_of(bench)
    assert start_time(pid) is None


def stop_when_started(bench: Bench, stop: threading.Event) -> None:
    """Set `stop` once the exporter has started its grandchild."""
    while not bench.log.exists() or not grandchildren_of(bench):
        stop.wait(0.01)
    stop.set()


def test_an_export_has_its_time(own: Callable[[str], Bench]) -> None:
    bench = own("hang")
    bench.limits = Limits(0.2)
    assert "the export gave no report: it took longer than 0.2 s" in bench.refusal()


def test_an_export_that_crashes_is_told_by_its_signal(own: Callable[[str], Bench]) -> None:
    bench = own("crash")
    said = bench.refusal()
    assert "the export gave no report: it crashed with SIGSEGV; its output is in" in said
    [pid] = grandchildren_of(bench)
    assert start_time(pid) is None


@pytest.mark.skipif(sys.platform != "linux", reason="macOS does not hold to the limit of memory")
def test_an_export_that_eats_memory_is_told_what_it_may_have(own: Callable[[str], Bench]) -> None:
    bench = own("eat")
    bench.limits = Limits(60.0, memory=700_000_000)
    said = bench.refusal()
    assert "the export needs more memory than it may have" in said.lower()
    assert f"it may have 700 MB, and its output is in {bench.log}" in said


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("leave", "it ended with exit status 7; its output is in"),
        ("fail", "The exporter own:fail failed: ValueError: only trees of depth 3 or less; prune"),
        ("absent", "The exporter own:absent is not there; correct `exporter` in mlbench.toml"),
        ("tidy", "model.joblib and test.npz"),
    ],
)
def test_an_exporter_of_the_project_has_its_own_sentence(
    own: Callable[[str], Bench], name: str, words: str
) -> None:
    bench = own(name)
    before = (bench.root / "source").read_bytes(), (bench.root / "rows").read_bytes()
    said = bench.refusal()
    assert words in said
    assert "given" not in said
    assert before == ((bench.root / "source").read_bytes(), (bench.root / "rows").read_bytes())
