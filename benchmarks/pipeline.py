"""Pipelines of 300 and 3,000 stages beside DVC, Snakemake and ninja, and a 1 GB dep."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import peers
from benchmarks.chains import commit, fresh_chains
from benchmarks.common import ENVIRONMENT, MLBENCH, WORK, Command, Figure, in_turn, run

JOBS = 2
FIRST_ROUNDS = 3
IDLE_ROUNDS = 7
HASH_ROUNDS = 3
_CHAINS, _MANY_CHAINS = 30, 300
_BIG_BYTES = 1 << 30
_CHUNK_BYTES = 1 << 24
_BIG_YAML = (
    "stages:\n  big:\n    cmd: wc -c data.bin > size\n    deps: [data.bin]\n    outs: [size]\n"
)
# Whole processes, by column of the table.
_COLUMNS = ("mlbench", "Snakemake", "DVC", "ninja")


@dataclass(frozen=True)
class Peer:
    """A program, the call that brings a project up to date, and the folder of its own project."""

    words: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]

    def seconds(self) -> float:
        """How long one call takes; SystemExit where it fails."""
        started = time.perf_counter()
        run(self.words, self.folder, self.environment)
        return time.perf_counter() - started

    def command(self, *words: str) -> Command:
        """The call that is timed where nothing is to be done, or another one in its place."""
        return Command(words or self.words, self.folder, self.environment)


def measure() -> Figure:
    """First runs, then looks that find nothing to do in turn, then a big file's hash."""
    built = {name: make(name.lower(), _CHAINS) for name, make in PEERS.items()}
    first = _first_runs(built)
    many = _mlbench("mlbench-3000", _MANY_CHAINS)
    many.seconds()
    runs, statuses, thousands = _idle(built, many)
    rows = [
        _row("300 stages, first run", first, min(first["DVC"] / 30, first["Snakemake"])),
        *(
            _row(f"300 stages, nothing to do: `mlbench {what}`", times, _idle_limit(times))
            for what, times in (("run", runs), ("status", statuses))
        ),
        _row("3,000 stages, nothing to do: `mlbench run`", thousands, 12 * runs["mlbench"]),
        _hash_row(),
    ]
    versions = ", ".join(
        f"{name} {peers.version(built[name].words[0], WORK)}" for name in _COLUMNS[1:]
    )
    return Figure(
        ["whole process", *_COLUMNS, "aim"],
        rows,
        "Medians; in brackets, how many times mlbench's. The aims: a first run within a 30th of "
        "DVC's and Snakemake's own; nothing to do, within a 20th of DVC's and a sixth of "
        "Snakemake's; ten times the stages, twelve times the time; the hash, an eighth. "
        f"First runs: {FIRST_ROUNDS} in turn, of DVC one, which knows no parallel jobs; the "
        f"others use {JOBS}. Nothing to do: {IDLE_ROUNDS} rounds in turn, `dvc repro` and "
        "`snakemake` beside both of mlbench's. The hash: `mlbench status` of a new "
        "project beside `dvc add`, which copies the file into its cache, too. "
        f"{versions}.",
    )


def _mlbench(name: str, chains: int) -> Peer:
    words = (MLBENCH, "run", "--jobs", str(JOBS))
    return Peer(words, fresh_chains(f"chains-{name}", chains), ENVIRONMENT)


def _snakemake(name: str, chains: int) -> Peer:
    words = (peers.snakemake(), "--cores", str(JOBS))
    return Peer(words, fresh_chains(f"chains-{name}", chains), ENVIRONMENT)


def _dvc(name: str, chains: int) -> Peer:
    folder = fresh_chains(f"chains-{name}", chains)
    peers.start_dvc(folder)
    return Peer((peers.dvc(), "repro"), folder, peers.DVC_ENVIRONMENT)


def _ninja(name: str, chains: int) -> Peer:
    words = (peers.ninja(), f"-j{JOBS}")
    return Peer(words, fresh_chains(f"chains-{name}", chains), ENVIRONMENT)


PEERS: dict[str, Callable[[str, int], Peer]] = {
    "mlbench": _mlbench,
    "Snakemake": _snakemake,
    "DVC": _dvc,
    "ninja": _ninja,
}


def _first_runs(built: Mapping[str, Peer]) -> dict[str, float]:
    """Medians in turn, each on a fresh project; DVC, which takes minutes, goes once."""
    times: dict[str, list[float]] = {name: [] for name in built}
    for turn in range(FIRST_ROUNDS):
        for name, peer in built.items():
            if turn == 0 or name != "DVC":
                fresh = peer if turn == 0 else PEERS[name](name.lower(), _CHAINS)
                times[name].append(fresh.seconds())
    return {name: median(seconds) for name, seconds in times.items()}


def _idle(built: Mapping[str, Peer], many: Peer) -> list[dict[str, float]]:
    """Medians in turn: `mlbench run`, `mlbench status`, and `mlbench run` of 3,000 stages."""
    commands = {name: peer.command() for name, peer in built.items()}
    commands["status"] = built["mlbench"].command(MLBENCH, "status")
    commands["many"] = many.command()
    times = {name: median(seconds) for name, seconds in in_turn(commands, IDLE_ROUNDS).items()}
    theirs = {name: times[name] for name in _COLUMNS[1:]}
    return [
        {"mlbench": times["mlbench"], **theirs},
        {"mlbench": times["status"], **theirs},
        {"mlbench": times["many"]},
    ]


def _idle_limit(times: Mapping[str, float]) -> float:
    return min(times["DVC"] / 20, times["Snakemake"] / 6)


def _hash_row() -> list[str]:
    times = _hash_times()
    return _row("a 1 GB dep, first hash", times, times["DVC"] / 8)


def _hash_times() -> dict[str, float]:
    """Medians in turn, each time with nothing known about the file."""
    ours, theirs = _big_project("hash-mlbench"), _big_project("hash-dvc")
    (theirs / "dvc.yaml").unlink()
    peers.start_dvc(theirs)
    add = Peer((peers.dvc(), "add", "--quiet", "data.bin"), theirs, peers.DVC_ENVIRONMENT)
    status = Peer((MLBENCH, "status"), ours, ENVIRONMENT)
    times: dict[str, list[float]] = {"mlbench": [], "DVC": []}
    for _ in range(HASH_ROUNDS):
        shutil.rmtree(ours / ".mlbench", ignore_errors=True)
        times["mlbench"].append(status.seconds())
        for forgotten in (theirs / ".dvc" / "cache", theirs / ".dvc" / "tmp", _DVC_STATE):
            shutil.rmtree(forgotten, ignore_errors=True)
        (theirs / "data.bin.dvc").unlink(missing_ok=True)
        times["DVC"].append(add.seconds())
    for folder in (ours, theirs):
        shutil.rmtree(folder)
    return {name: median(seconds) for name, seconds in times.items()}


_DVC_STATE = Path(peers.DVC_ENVIRONMENT["DVC_SITE_CACHE_DIR"])


def _big_project(name: str) -> Path:
    """A git repository with one stage, which reads 1 GB of random bytes."""
    folder = WORK / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / ".gitignore").write_text("/data.bin\n/size\n", encoding="utf-8")
    (folder / "dvc.yaml").write_text(_BIG_YAML, encoding="utf-8")
    commit(folder)
    chunk = os.urandom(_CHUNK_BYTES)
    with (folder / "data.bin").open("wb") as file:
        for _ in range(_BIG_BYTES // _CHUNK_BYTES):
            file.write(chunk)
    return folder


def _row(what: str, times: Mapping[str, float], limit: float) -> list[str]:
    """One row: each program's time, and whether mlbench's keeps within the limit."""
    ours = times["mlbench"]
    theirs = [
        f"{_shown(times[name])} ({times[name] / ours:.2g})" if name in times else ""
        for name in _COLUMNS[1:]
    ]
    kept = "met" if ours <= limit else "missed"
    return [what, _shown(ours), *theirs, f"{_shown(limit)}, {kept}"]


def _shown(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
