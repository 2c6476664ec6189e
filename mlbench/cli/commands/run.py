"""`mlbench run`: bring stages up to date."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from mlbench.cli.commands.status import print_plan
from mlbench.cli.follow import carry_out, session
from mlbench.cli.output import narrate, print_json
from mlbench.cli.phrases import phrase
from mlbench.domain.commands import RunStages
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
from mlbench.domain.plain import event_to_plain
from mlbench.domain.plan import Plan
from mlbench.engine.queries import Queries


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("stages", nargs="*", metavar="STAGE", help="these and what they need")
    parser.add_argument("--force", action="store_true", help="run them also where nothing changed")
    parser.add_argument("--dry-run", action="store_true", help="only say what would run, and why")
    parser.add_argument("--jobs", type=int, metavar="N", help="so many stages at once")
    parser.add_argument("--check", action="store_true", help="end with status 3 if a gate fails")
    parser.add_argument("--json", action="store_true", help="one JSON object an event")


def run(options: argparse.Namespace) -> int:
    """Run here, or ask the holder of this folder's loop, and follow to the end."""
    if options.jobs is not None and options.jobs < 1:
        raise UsageError("--jobs: must be 1 or more")
    if options.dry_run:
        plan = Queries.of(Path(options.folder)).status()
        print_plan(_narrowed(plan, tuple(options.stages)), options.json)
        return 0
    command = RunStages(tuple(options.stages), force=options.force, jobs=options.jobs)
    with session(Path(options.folder)) as line:
        printer = _Printer(options.json, line.holds_loop)
        done = carry_out(line, command, printer)
    if options.check and printer.finished is not None:
        _check(printer.finished)
    return done.exit_status


class _Printer:
    """Prints the events of the run that was asked for, and of no other."""

    def __init__(self, as_json: bool, is_alone: bool) -> None:
        self._as_json = as_json
        # With the loop in this process there is nobody else whose notices these could be.
        self._is_alone = is_alone
        self._runs: set[str | None] = set()
        self.finished: RunFinished | None = None

    def __call__(self, event: Event, command: str) -> None:
        if isinstance(event, (RunStarted, RunFinished)) and command in event.requests:
            self._runs.add(event.run)
        if isinstance(event, RunFinished) and event.run in self._runs:
            self.finished = event
        is_notice = self._is_alone and isinstance(event, (Notice, ExportStarted, CandidateKept))
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
