"""`mlbench export`: export a run's models by hand, and give them versions."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from mlbench.cli.commands.models import as_plain
from mlbench.cli.follow import carry_out, session
from mlbench.cli.output import narrate, print_json
from mlbench.cli.phrases import phrase
from mlbench.domain.commands import ExportRun
from mlbench.domain.events import CandidateKept, Event, ExportStarted
from mlbench.engine.queries import ModelRow, Queries


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("name", metavar="RUN", help="id, prefix, friendly name, @last, @best …")
    parser.add_argument("model", nargs="?", metavar="MODEL", help="of several, this one")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(options: argparse.Namespace) -> int:
    """Export what a run gave, whatever its gates say."""
    queries = Queries.of(Path(options.folder))
    found = queries.run(options.name)

    def on_event(event: Event, _command: str) -> None:
        is_progress = isinstance(event, ExportStarted | CandidateKept) and event.run == found.id
        for line in phrase(event) if is_progress and not options.json else ():
            narrate(line)

    with session(Path(options.folder)) as line:
        done = carry_out(line, ExportRun(found.id, options.model), on_event)
    rows = _versions_of(queries.models(), found.id, options.model)
    if options.json:
        print_json([as_plain(row) for row in rows])
        return done.exit_status
    narrate(done.message)
    for row in rows:
        print(row.path)
    return done.exit_status


def _versions_of(rows: Sequence[ModelRow], run: str, model: str | None) -> list[ModelRow]:
    """The versions that hold what a run gave; the same file may have come from a run before."""
    meant = [row for row in rows if model in (None, row.candidate.model)]
    given = {row.candidate.digest for row in meant if row.candidate.run == run}
    found: dict[str, ModelRow] = {}
    for row in meant:
        if row.candidate.version and row.candidate.digest in given:
            # The highest comes first: one before it was damaged, else it would have no other.
            found.setdefault(row.candidate.model, row)
    return list(found.values())
