"""What Optuna has to tell of a study, by another process: importances, pages of figures."""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlbench.domain.errors import SweepError, UsageError
from mlbench.domain.plain import from_plain
from mlbench.domain.study_analysis import Importances
from mlbench.domain.sweeps import Study
from mlbench.engine.study_files import StudyFiles

_PROGRAM = "mlbench.sweeps"
_SECONDS = 120.0
_KEPT = 32
_LONGEST_REASON = 300
_ONE_THREAD: Mapping[str, str] = {
    f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB")
}
_known: OrderedDict[tuple[str, int, int], Importances] = OrderedDict()


def importances(files: StudyFiles, study: Study, objective: int = 0) -> Importances:
    """How much each parameter matters for one objective; quick where the journal has not grown.

    Takes a second or more else, so not on a face's own thread. SweepError where the journal can't
    be read or it takes too long.
    """
    metrics = [each.metric for each in study.sweep.objectives]
    size = _size(files.journal)
    if size == 0:
        return Importances(metrics[objective], because="no trial has begun yet")
    key = (str(files.journal), size, objective)
    found = _known.get(key)
    if found is None:
        words = ["importances", str(files.journal.absolute()), f"--objective={objective}"]
        found = _known[key] = from_plain(Importances, _told(words, metrics, study))
        while len(_known) > _KEPT:
            _known.popitem(last=False)
    return found


def write_html(files: StudyFiles, study: Study, folder: Path) -> tuple[Path, ...]:
    """Write Optuna's own figures as pages into `folder`, which may be new; index.html comes first.

    UsageError where plotly is missing or the folder can't be written, SweepError where the journal
    can't be read or it takes too long.
    """
    if importlib.util.find_spec("plotly") is None:
        line = f"{shlex.quote(sys.executable)} -m pip install 'mlbench[figures]'"
        raise UsageError(f"figures as HTML need plotly beside mlbench: {line}")
    if _size(files.journal) == 0:
        raise UsageError(f"{study.name} has no trials yet, so there are no figures")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: no figures can be written there: {error.strerror}") from None
    metrics = [each.metric for each in study.sweep.objectives]
    words = ["figures", str(files.journal.absolute()), str(folder.absolute())]
    return tuple(map(Path, _told(words, metrics, study)))


def _told(words: Sequence[str], metrics: Sequence[str], study: Study) -> Any:
    """The document that the child prints; SweepError saying why there is none."""
    # In one word: a name may begin with a dash.
    named = [f"--metric={metric}" for metric in metrics]
    command = [sys.executable, "-P", "-m", _PROGRAM, *words, *named]
    about = f"{study.name} ({study.id})"
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={**os.environ, **_ONE_THREAD},
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SweepError(
            f"{about}: looking at its trials took longer than {_SECONDS:g} s"
        ) from None
    try:
        told = json.loads(done.stdout)
    except ValueError:
        raise SweepError(f"{about}: looking at its trials failed: {_said(done)}") from None
    if isinstance(told, dict) and "problem" in told:
        raise SweepError(f"{about}: its journal can't be looked at: {told['problem']}")
    return told


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    """The last line of what a child said before it failed, or how it ended."""
    lines = done.stderr.decode("utf-8", "replace").split("\n")
    said = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return said[:_LONGEST_REASON] or f"its process ended with {done.returncode}"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
