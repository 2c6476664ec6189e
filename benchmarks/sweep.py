"""A sweep over the sample beside DVC's queue of experiments and a bare Optuna loop.

`python -m benchmarks.sweep TRIALS` measures with so many trials, and only prints.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import mean, median

from benchmarks import peers
from benchmarks.chains import commit
from benchmarks.common import ENVIRONMENT, FOLDER, MLBENCH, WORK, Figure, fresh_sample, run
from benchmarks.optuna_alone import ALPHA, LEARNING_RATE
from mlbench.domain.outcomes import TrialState
from mlbench.domain.sweeps import Trial
from mlbench.engine.study_files import all_studies
from mlbench.project.layout import Layout

TRIALS = 50
COMMANDS_ALONE = 10
_SEED = 7
_NAME = "bench"
_OVERHEAD_LIMIT, _PARALLEL_LIMIT = 0.1, 0.65
# All sides alike: two jobs share two cores.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_SWEEP = f"""
[sweeps.{_NAME}]
stage = "evaluate"
objective = "maximize accuracy"
trials = {{trials}}
jobs = {{jobs}}
sampler = {{{{ name = "RandomSampler", seed = {_SEED} }}}}
[sweeps.{_NAME}.space]
"train.alpha" = {{{{ low = {ALPHA[0]}, high = {ALPHA[1]}, log = true }}}}
"train.learning_rate" = {{{{ low = {LEARNING_RATE[0]}, high = {LEARNING_RATE[1]}, log = true }}}}
"""
# Without runs that train.py would begin by itself: nobody counts them in.
_STAGES_ALONE = {**peers.DVC_ENVIRONMENT, **_ONE_THREAD, "MLBENCH_LOGGING": "off"}

_COUNTING = """
import time
open(f"{count}/{{time.time_ns()}}", "x").close()
"""

Params = Mapping[str, float]


@dataclass(frozen=True)
class Side:
    """What one program took for all its trials; `over` is beyond the stages' own time, by trial.

    `prepared` says how often the stage ran that no trial touches.
    """

    seconds: float
    trials: int
    prepared: int
    over: Sequence[float] = ()
    params: Sequence[Params] = ()

    @property
    def each(self) -> float:
        """Seconds a trial."""
        return self.seconds / self.trials


def measure(trials: int = TRIALS) -> Figure:
    """Each side on 1 job and on 2, on fresh copies of the sample with nothing run before."""
    bare = [_optuna(trials, jobs) for jobs in (1, 2)]
    ours = [_mlbench(trials, jobs) for jobs in (1, 2)]
    assert list(ours[0].params) == list(bare[0].params), (ours[0].params, bare[0].params)
    alone = _commands_alone(bare[0].params[:COMMANDS_ALONE])
    queued = _dvc(bare[0].params)
    ratio = ours[1].seconds / ours[0].seconds
    over = median(ours[0].over)
    return Figure(
        [
            f"{trials} trials of the sample",
            "a trial on 1 job",
            "a trial on 2 jobs",
            "2 jobs by 1",
            "over the stages' own time, median (mean)",
            "`prepare` ran",
        ],
        [
            _row("`mlbench sweep`", ours[0], ours[1]),
            _row("the stages' commands alone", alone, None),
            _row("`dvc exp run --queue`, `--run-all`", None, queued),
            _row("bare Optuna, one process", bare[0], bare[1]),
        ],
        "Whole programs, one after the other, from nothing to the end of the last trial, with one "
        "BLAS thread each; the same parameters on all sides. What lies over the stages' own time: "
        "from a trial's start to that of the next in its slot, with asking, snapshot, record and "
        "telling, less what the trial's stages took, on 1 job and on 2; the aim is "
        f"{_OVERHEAD_LIMIT * 1000:.0f} ms, {_kept(over, _OVERHEAD_LIMIT)}. 2 jobs are to take at "
        f"most {_PARALLEL_LIMIT} of 1, {_kept(ratio, _PARALLEL_LIMIT)}. The commands alone: "
        f"`python train.py; python evaluate.py`, {alone.trials} times after "
        "`prepare.py`. DVC: queued one by one, then all run with `-j 2` in folders of its own; "
        f"DVC {peers.version(peers.dvc(), WORK)}. Bare Optuna imports the stages' functions once "
        "and calls them, and writes nothing; its 2 jobs are threads.",
    )


def _mlbench(trials: int, jobs: int) -> Side:
    """One study, by the command line; its board says what became of each trial."""
    folder, count = _project(f"sweep-{jobs}")
    config = folder / "mlbench.toml"
    text = config.read_text(encoding="utf-8") + _SWEEP.format(trials=trials, jobs=jobs)
    config.write_text(text, encoding="utf-8")
    commit(folder)
    began = time.perf_counter()
    run([MLBENCH, "sweep", _NAME, "--json"], folder, {**ENVIRONMENT, **_ONE_THREAD})
    seconds = time.perf_counter() - began
    found = sorted(all_studies(Layout(folder))[0].trials().items())
    board = [trial for _, trial in found]
    states = {trial.state for trial in board}
    assert (states, len(board)) == ({TrialState.COMPLETE}, trials), (states, len(board))
    return Side(
        seconds,
        trials,
        _times(count),
        over_own_time(board),
        [dict(trial.params) for trial in board],
    )


def over_own_time(trials: Iterable[Trial]) -> list[float]:
    """By trial, seconds from its start to the next one's in its slot, less its stages' own.

    The last of a slot goes to its own end.
    """
    slots: dict[int, list[Trial]] = defaultdict(list)
    for trial in sorted(trials, key=lambda trial: trial.started):
        slots[trial.slot].append(trial)
    found = []
    for row in slots.values():
        ends = [after.started for _, after in pairwise(row)] + [row[-1].ended]
        for trial, end in zip(row, ends, strict=True):
            busy = datetime.fromisoformat(end) - datetime.fromisoformat(trial.started)
            found.append(busy.total_seconds() - trial.seconds)
    return found


def _commands_alone(tried: Sequence[Params]) -> Side:
    """The stages' own commands, one process after the other, with nothing around them."""
    folder, count = _project("sweep-alone")
    env = _STAGES_ALONE
    plain = (folder / "params.toml").read_text(encoding="utf-8")
    run([sys.executable, "prepare.py"], folder, env)
    began = time.perf_counter()
    for params in tried:
        (folder / "params.toml").write_text(_with(plain, params), encoding="utf-8")
        for script in ("train.py", "evaluate.py"):
            run([sys.executable, script], folder, env)
    return Side(time.perf_counter() - began, len(tried), _times(count))


def _with(text: str, params: Params) -> str:
    """A params file of the sample's with other values of `[train]`."""
    lines = text.splitlines(keepends=True)
    for name, value in params.items():
        key = name.partition(".")[2]
        lines = [f"{key} = {value!r}\n" if line.startswith(f"{key} =") else line for line in lines]
    return "".join(lines)


def _dvc(tried: Sequence[Params]) -> Side:
    """All queued one by one, then run on two jobs."""
    folder, count = _project("sweep-dvc")
    (folder / "dvc.yaml").write_text(peers.SAMPLE_AS_DVC_YAML, encoding="utf-8")
    peers.start_dvc(folder)
    commit(folder)
    # Its workers are started by name; the stages' interpreter stays the first that is found.
    paths = [_STAGES_ALONE["PATH"], str(Path(peers.dvc()).parent)]
    env = {**_STAGES_ALONE, "PATH": os.pathsep.join(paths)}
    began = time.perf_counter()
    for params in tried:
        changes = [
            word
            for name, value in params.items()
            for word in ("-S", f"params.toml:{name}={value!r}")
        ]
        run([peers.dvc(), "exp", "run", "--queue", *changes], folder, env)
    said = run([peers.dvc(), "exp", "run", "--run-all", "-j", "2"], folder, env)
    seconds = time.perf_counter() - began
    shown = run([peers.dvc(), "exp", "show", "--json"], folder, env)
    done = sum(len(entry.get("experiments") or []) for entry in json.loads(shown))
    assert done == len(tried), (done, said)
    return Side(seconds, len(tried), _times(count))


def _optuna(trials: int, jobs: int) -> Side:
    folder, _ = _project(f"sweep-optuna-{jobs}")
    words = [sys.executable, "-m", "benchmarks.optuna_alone", str(folder), str(trials), str(jobs)]
    began = time.perf_counter()
    said = run([*words, str(_SEED)], FOLDER.parent, {**ENVIRONMENT, **_ONE_THREAD})
    seconds = time.perf_counter() - began
    return Side(seconds, trials, 1, params=json.loads(said)["trials"])


def _project(name: str) -> tuple[Path, Path]:
    """A copy of the sample, and a folder in which its `prepare` leaves a file each time it runs."""
    folder, count = fresh_sample(name), WORK / f"{name}.prepared"
    shutil.rmtree(count, ignore_errors=True)
    count.mkdir()
    script = folder / "prepare.py"
    # A new file, for one that is appended to is an input, too.
    code = script.read_text(encoding="utf-8") + _COUNTING.format(count=os.fspath(count))
    script.write_text(code, encoding="utf-8")
    return folder, count


def _times(count: Path) -> int:
    return len(list(count.iterdir()))


def _row(what: str, one: Side | None, two: Side | None) -> list[str]:
    sides = (one, two)
    over = [side.over for side in sides if side is not None and side.over]
    prepared = {str(side.prepared) for side in sides if side is not None}
    return [
        what,
        *(f"{side.each:.2f} s" if side else "" for side in sides),
        f"{two.each / one.each:.2f}" if one and two else "",
        ", ".join(f"{median(each) * 1000:.0f} ms ({mean(each) * 1000:.0f})" for each in over),
        ", ".join(sorted(prepared)),
    ]


def _kept(value: float, limit: float) -> str:
    return "met" if value <= limit else "missed"


if __name__ == "__main__":
    figure = measure(int(sys.argv[1]))
    for line in (figure.heads, *figure.rows, [figure.note]):
        print(" | ".join(line))
