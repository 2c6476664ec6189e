"""What the trace costs a Python stage that reads 20,000 small files, alone and in a Pool."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

import mlbench
from benchmarks.common import ENVIRONMENT, WORK, Figure, milliseconds, run
from mlbench.pipeline.seen import read_seen

ROUNDS = 21
FILES = 20_000
_ONPATH = Path(mlbench.__file__).parent / "inside" / "onpath"
_READ = """\
def read(number):
    with open(f"files/sample-{number:05d}.txt", encoding="utf-8") as file:
        return len(file.read())
"""
_PROGRAMS = {
    "main process": f"{_READ}\nprint(sum(map(read, range({FILES}))))\n",
    "two Pool children": f"""\
import multiprocessing
{_READ}
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(sum(pool.imap_unordered(read, range({FILES}), 500)))
""",
}


def measure() -> Figure:
    """Each program with the hook and without it in turn; every file read must be in the trace."""
    folder = _files()
    rows = []
    for name, program in _PROGRAMS.items():
        (folder / "stage.py").write_text(program, encoding="utf-8")
        bare, traced = _in_pairs(folder)
        share = median(b / a for a, b in zip(bare, traced, strict=True)) - 1
        rows.append([name, milliseconds(bare), milliseconds(traced), f"{share:+.1%}"])
    return Figure(
        [f"reads {FILES:,} files of 1 kB in the", "without", "with the trace", "median of pairs"],
        rows,
        f"Whole processes, {ROUNDS} pairs in turn; each trace was read back and had every file. "
        "The aims are +10% in the main process and +20% in Pool children.",
    )


def _in_pairs(folder: Path) -> tuple[list[float], list[float]]:
    """Seconds without and with the hook, side by side; the first pair warms and doesn't count."""
    stage = folder / "stage"
    traced_environment = {
        **ENVIRONMENT,
        "PYTHONPATH": str(_ONPATH),
        "MLBENCH_STAGE_DIR": str(stage),
        "MLBENCH_PARAMS_FILES": str(folder / "params.toml"),
    }
    bare: list[float] = []
    traced: list[float] = []
    for turn in range(ROUNDS + 1):
        shutil.rmtree(stage, ignore_errors=True)
        stage.mkdir()
        # Who goes first changes, for the first finds the processor as others left it.
        for environment, seconds in ((ENVIRONMENT, bare), (traced_environment, traced))[
            :: -1 if turn % 2 else 1
        ]:
            seconds.append(_seconds(folder, environment))
        seen = read_seen(stage)
        assert seen.traced
        assert sum(path.startswith(f"{folder}/files/") for path in seen.reads) == FILES
    return bare[1:], traced[1:]


def _seconds(folder: Path, environment: Mapping[str, str]) -> float:
    started = time.perf_counter()
    run([sys.executable, "stage.py"], folder, environment)
    return time.perf_counter() - started


def _files() -> Path:
    folder = WORK / "trace"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "files").mkdir(parents=True)
    for number in range(FILES):
        path = folder / "files" / f"sample-{number:05d}.txt"
        path.write_text("0.125 " * 170, encoding="utf-8")
    return folder
