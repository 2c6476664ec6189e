"""Timing in turn, copies of the sample, and the tables in README.md."""

from __future__ import annotations

import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

FOLDER = Path(__file__).parent
WORK = FOLDER / "work"
MLBENCH = str(Path(sys.executable).with_name("mlbench"))
README = FOLDER / "README.md"
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    # Python's own switches would change what is measured; an active environment, whose it is.
    if name != "VIRTUAL_ENV" and not name.startswith("PYTHON")
}


@dataclass(frozen=True)
class Figure:
    """A table of what was measured, and a sentence on how."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str


@dataclass(frozen=True)
class Command:
    """One program whose whole life is timed."""

    words: Sequence[str]
    folder: Path
    environment: Mapping[str, str]


def in_turn(commands: Mapping[str, Command], rounds: int) -> dict[str, list[float]]:
    """Seconds of each command as a whole process, one after the other (A B C A B C …).

    The first round warms file caches and does not count. SystemExit where one fails.
    """
    times: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(rounds + 1):
        for name, command in commands.items():
            started = time.perf_counter()
            run(command.words, command.folder, command.environment)
            if turn:
                times[name].append(time.perf_counter() - started)
    return times


def run(words: Sequence[str], folder: Path, environment: Mapping[str, str] = ENVIRONMENT) -> str:
    """What a program printed; SystemExit with its errors where it fails."""
    done = subprocess.run(
        words, cwd=folder, env=dict(environment), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} in {folder} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def fresh_sample(name: str) -> Path:
    """A new copy of the sample project, as a git repository, with nothing run yet."""
    from mlbench.engine.session import make_sample

    folder = WORK / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    make_sample(folder)
    return folder


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def milliseconds(seconds: Sequence[float]) -> str:
    """The median, with the range behind it."""
    low, high = min(seconds) * 1000, max(seconds) * 1000
    return f"{median(seconds) * 1000:.0f} ms ({low:.0f}–{high:.0f})"


def machine() -> str:
    """The machine in one line: processor, cores, memory, system, Python, date."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    parts = (
        _processor(),
        f"{os.cpu_count()} cores",
        f"{memory:.0f} GB",
        f"{platform.system()} {platform.release()}",
        f"Python {platform.python_version()}",
        time.strftime("%Y-%m-%d"),
    )
    return ", ".join(parts)


def write_figure(name: str, figure: Figure) -> str:
    """Put a figure between its markers in README.md; gives what stands there then."""
    lines = [
        _row(figure.heads),
        _row(["---"] + ["---:"] * (len(figure.heads) - 1)),
        *map(_row, figure.rows),
        "",
        figure.note,
        "",
        f"Measured on: {machine()}.",
    ]
    body = "\n".join(lines)
    begin, end = f"<!-- {name}: written by the command -->", f"<!-- {name}: end -->"
    between = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    text = README.read_text(encoding="utf-8")
    text, count = between.subn(lambda _: f"{begin}\n{body}\n{end}", text)
    if count != 1:
        raise SystemExit(f"{README}: has no markers for {name}; add {begin} and {end}")
    README.write_text(text, encoding="utf-8")
    return body


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _processor() -> str:
    """The processor's own name where Linux or macOS tells it."""
    try:
        found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        asked = subprocess.run(
            ["sysctl", "-n", "machdep.cpu.brand_string"],
            capture_output=True,
            text=True,
            check=False,
        )
        return asked.stdout.strip() or platform.machine()
    return found[1].strip() if found else platform.machine()
