"""What can be asked of a study that is there: stop, try this next, show, write its best down."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mlbench.cli.output import coloured, confirmed, narrate, print_json
from mlbench.cli.sweep_lines import summary_lines
from mlbench.cli.sweep_voices import trial_to_plain
from mlbench.domain.errors import SweepError, UsageError
from mlbench.domain.plain import to_plain
from mlbench.domain.spaces import in_words
from mlbench.domain.sweeps import StopSweep, StudyView, Trial
from mlbench.engine.queries import Queries
from mlbench.engine.study_files import StudyFiles
from mlbench.engine.sweeping.queries import find_study, studies, view_of


def find(queries: Queries, name: str | None) -> tuple[StudyFiles, StudyView]:
    """The study that is meant; without a name the only one that runs, else the only one."""
    files = find_study(queries.layout, name if name is not None else _only(queries))
    view = view_of(files)
    if view is None:
        raise SweepError(f"{files.folder}: nobody can say any more what this study is")
    return files, view


def stop(queries: Queries, name: str | None, *, at_once: bool) -> int:
    """Have a study begin no more trials, or none go on either."""
    files, view = find(queries, name)
    if not files.is_running:
        narrate(f"{view.study.name} is not running")
        return 0
    files.send(StopSweep(at_once=at_once))
    what = "its trials are stopped" if at_once else "the trials that run are waited for"
    narrate(f"{view.study.name} begins no more trials; {what}")
    return 0


def enqueue(queries: Queries, name: str | None, texts: Sequence[str]) -> int:
    """Have these values tried next."""
    # Late: few come here, and it reads what is typed with a parser of its own.
    from mlbench.engine.sweeping import starting
    from mlbench.engine.sweeping.enqueuing import read_trial

    files, view = find(queries, name)
    params = read_trial(view.study.sweep, texts)
    starting.enqueue(queries.layout, files.id, params)
    told = " ".join(f"{key}={in_words(value)}" for key, value in params.items())
    if files.is_running:
        narrate(f"{view.study.name} tries {told} next")
    else:
        go_on = f"`mlbench sweep {view.study.name}` tries it first"
        narrate(f"{view.study.name} is not running; {told} is kept, and {go_on}")
    return 0


def show(queries: Queries, name: str | None, options: argparse.Namespace) -> int:
    """What the trials tell, here or as pages."""
    # Late: both load much that following a sweep does not need.
    from mlbench.engine.sweeping.analysis import importances, write_html

    files, view = find(queries, name)
    if options.html is not None:
        pages = write_html(files, view.study, Path(options.html))
        print(pages[0])
        return 0
    known = None
    try:
        known = importances(files, view.study)
    except SweepError as error:
        narrate(str(error))
    if options.json:
        trials = [trial_to_plain(trial) for trial in view.trials]
        plain = {"study": view.study.id, "sweep": to_plain(view.study.sweep), "trials": trials}
        print_json({**plain, "best": list(view.best), "importances": to_plain(known)})
        return 0
    from mlbench.cli.sweep_analysis import print_analysis

    print_analysis(view, known, sys.stdout)
    return 0


def apply(queries: Queries, name: str | None, options: argparse.Namespace) -> int:
    """Write a trial's parameters into the params files, after showing what that changes."""
    from mlbench.engine.sweeping import applying

    _, view = find(queries, name)
    trial = _chosen(view, None if options.apply < 0 else options.apply)
    diff = applying.preview(queries.layout, view.study, trial)
    if diff and not options.json:
        print("".join(map(_painted, diff.splitlines(keepends=True))), end="", flush=True)
    is_wanted = bool(diff) and (
        options.yes or confirmed(f"write the params of trial {trial.number}?")
    )
    written = applying.apply(queries.layout, view.study, trial) if is_wanted else ()
    if options.json:
        plain = {"study": view.study.id, "trial": trial.number, "params": to_plain(trial.params)}
        print_json({**plain, "diff": diff, "applied": is_wanted})
    elif not diff:
        narrate(f"the params have the values of trial {trial.number} already")
    else:
        have = "has" if len(written) == 1 else "have"
        said = f"{' and '.join(written)} {have} the params of trial {trial.number}"
        narrate(said if is_wanted else "nothing was written")
    return 0


def _only(queries: Queries) -> str:
    known = studies(queries.layout)
    for some in ([view for view in known if view.is_running], known):
        if len(some) == 1:
            return some[0].study.id
    there = ", ".join(dict.fromkeys(view.study.name for view in known))
    raise UsageError(f"say which sweep; there is {there}" if there else "there is no study yet")


def _chosen(view: StudyView, number: int | None) -> Trial:
    board = {trial.number: trial for trial in view.trials}
    if number is not None:
        if number not in board:
            raise UsageError(f"{view.study.name} has no trial {number}; --show tells which it has")
        return board[number]
    if not view.best:
        raise UsageError(f"{view.study.name} has no trial that is complete within its constraints")
    if len(view.study.sweep.objectives) > 1:
        narrate("\n".join(summary_lines(view.study, board, view.best)[1:-1]))
        raise UsageError(
            f"{view.study.name} has several objectives: say which trial, --apply TRIAL"
        )
    return board[view.best[0]]


def _painted(line: str) -> str:
    colours = {"+": "ok", "-": "fail", "@": "quiet"}
    text, colour = line.rstrip("\n"), colours.get(line[:1])
    return (coloured(text, colour) if colour else text) + "\n"
