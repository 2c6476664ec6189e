"""`mlbench show`: everything about one run."""

from __future__ import annotations

import argparse
from pathlib import Path

from mlbench.cli.commands.runs import as_plain
from mlbench.cli.output import coloured, number, print_json, seconds
from mlbench.domain.plain import to_plain
from mlbench.domain.runs import Run
from mlbench.engine.queries import Queries


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("name", metavar="RUN", help="id, prefix, friendly name, @last, @best …")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(options: argparse.Namespace) -> int:
    """Print a run with its stages, parameters and metrics."""
    queries = Queries.of(Path(options.folder))
    found = queries.run(options.name)
    folder = queries.run_folder(found)
    if options.json:
        stages = {"stages": to_plain(found.stages), "folder": str(folder)}
        print_json(as_plain(found) | stages)
    else:
        _print(found, folder)
    return 0


def _print(found: Run, folder: Path) -> None:
    outcome = found.outcome
    sign = coloured(outcome.glyph, outcome.colour) if outcome else "…"
    word = outcome.word if outcome else "running"
    print(f"{sign} {coloured(found.name, 'strong')}  {found.id}  {word}")
    dirty = f", {found.code.changed_files} files differ" if found.code.dirty else ""
    commit = f"{found.code.commit[:12]}{dirty}" if found.code.commit else "no git commit"
    print(f"  {found.started}  {seconds(found.seconds)}  {found.origin} by {found.by}  {commit}")
    print("stages")
    for name, stage in found.stages.items():
        elsewhere = f"  (ran in {stage.ran_in})" if stage.ran_in not in (None, found.id) else ""
        took = seconds(stage.seconds) if stage.seconds >= 0.01 else ""
        glyph = coloured(stage.outcome.glyph, stage.outcome.colour)
        print(f"  {glyph} {name:<16} {stage.outcome.word:<10} {took}{elsewhere}")
    _print_flat("metrics", {name: number(value) for name, value in found.metrics.items()})
    _print_flat("params", {name: str(value) for name, value in found.params.items()})
    print(f"folder  {folder}")


def _print_flat(title: str, values: dict[str, str]) -> None:
    if values:
        print(title)
        width = max(len(name) for name in values)
        for name, value in values.items():
            print(f"  {name:<{width}}  {value}")
