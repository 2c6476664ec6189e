"""`mlbench run`: bring stages up to date."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlbench.cli.commands.status import print_plan
from mlbench.cli.output import narrate, print_json
from mlbench.cli.phrases import phrase
from mlbench.domain.commands import RunStages, origin_of
from mlbench.domain.errors import GateRefusedError, UsageError, nearest
from mlbench.domain.events import (
    CandidateKept,
    Event,
    ExportStarted,
    Notice,
    RunFinished,
    RunStarted,
)
from mlbench.domain.graph import with_ancestors
from mlbench.domain.plan import Plan
from mlbench.domain.wire import event_to_plain
from mlbench.engine.idle import told_without_loop
from mlbench.engine.queries import Queries


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("stages", nargs="*", metavar="STAGE", help="these and what they need")
    parser.add_argument("--force", action="store_true", help="run them also where nothing changed")
    parser.add_argument("--dry-run", action="store_true", help="only say what would run, and why")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="run in a snapshot with this parameter; the project stays as it is",
    )
    parser.add_argument("--jobs", type=int, metavar="N", help="so many stages at once")
    parser.add_argument(
        "--locked", action="store_true", help="hold inputs and results to mlbench.lock"
    )
    parser.add_argument("--check", action="store_true", help="end with status 3 if a gate fails")
    parser.add_argument("--json", action="store_true", help="one JSON object an event")


def run(options: argparse.Namespace) -> int:
    """Run here, or ask the holder of this folder's loop, and follow to the end."""
    if options.jobs is not None and options.jobs < 1:
        raise UsageError("--jobs: must be 1 or more")
    if options.set and options.locked:
        raise UsageError("--set and --locked exclude each other: a lock holds parameters too")
    params = _set_params(options) if options.set else {}
    check_results = _held_to_lock(options) if options.locked else None
    if options.dry_run:
        print_plan(_planned(options, params), options.json)
        return 0
    stages = tuple(options.stages)
    origin, jobs = origin_of(os.environ), options.jobs
    command = RunStages(stages, force=options.force, origin=origin, jobs=jobs, params=params)
    printer = _Printer(options.json)
    status = 0
    if not told_without_loop(Path(options.folder), command, printer):
        status = _follow(Path(options.folder), command, printer)
    if check_results is not None and status == 0:
        check_results()
    if options.check and printer.finished is not None:
        _check(printer.finished)
    return status


def _follow(folder: Path, command: RunStages, printer: _Printer) -> int:
    """Have it carried out by the holder of the loop, be it this process; gives the exit status."""
    # Late: where nothing is to be done nobody waits for the import of all that does it.
    from mlbench.cli.follow import carry_out, session

    with session(folder) as line:
        printer.is_alone = line.holds_loop
        return carry_out(line, command, printer).exit_status


def _set_params(options: argparse.Namespace) -> dict[str, Any]:
    # Few runs set parameters, and none else should wait for this import.
    from mlbench.engine.settings import read_settings

    return read_settings(Queries.of(Path(options.folder)).layout, options.set)


def _planned(options: argparse.Namespace, params: dict[str, Any]) -> Plan:
    """How the wanted stages stand, or would with these parameters."""
    stages = tuple(options.stages)
    if not params:
        return _narrowed(Queries.of(Path(options.folder)).status(), stages)
    from mlbench.engine.settings import plan_with

    return plan_with(Queries.of(Path(options.folder)).layout, stages, params)


def _held_to_lock(options: argparse.Namespace) -> Callable[[], None]:
    """Hold what the run is to start from to the lock; gives the check of what it has given."""
    # Few runs are locked, and none else should wait for this import.
    from mlbench.engine.locking import Locking

    locking = Locking(Queries.of(Path(options.folder)).layout)
    stages = locking.wanted(options.stages)
    locking.check_inputs(stages)
    return lambda: locking.check_results(stages)


class _Printer:
    """Prints the events of the run that was asked for, and of no other."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        # With the loop in this process there is nobody else whose notices these could be.
        self.is_alone = True
        self._runs: set[str | None] = set()
        self.finished: RunFinished | None = None

    def __call__(self, event: Event, command: str) -> None:
        if isinstance(event, (RunStarted, RunFinished)) and command in event.requests:
            self._runs.add(event.run)
        if isinstance(event, RunFinished) and event.run in self._runs:
            self.finished = event
        is_notice = self.is_alone and isinstance(event, (Notice, ExportStarted, CandidateKept))
        if not is_notice and getattr(event, "run", "") not in self._runs:
            return
        if self._as_json:
            print_json(event_to_plain(event))
            return
        for line in phrase(event):
            if isinstance(event, RunFinished):
                print(line)
            else:
                narrate(line)


def _narrowed(plan: Plan, stages: tuple[str, ...]) -> Plan:
    if not stages:
        return plan
    for name in stages:
        if name not in plan.needs:
            raise UsageError(f'there is no stage "{name}"{nearest(name, plan.needs)}')
    needs = {name: frozenset(before) for name, before in plan.needs.items()}
    wanted = with_ancestors(stages, needs)
    return replace(plan, stages=tuple(status for status in plan.stages if status.name in wanted))


def _check(finished: RunFinished) -> None:
    refusing = [gate for gate in finished.gates if gate.refuses]
    if refusing:
        raise GateRefusedError(
            "; ".join(f"gate {gate.gate} of {gate.model} failed: {gate.why}" for gate in refusing)
        )
