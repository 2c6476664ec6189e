"""`mlbench show`: everything about one run."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlbench.cli.commands.runs import as_plain
from mlbench.cli.output import coloured, number, print_json, seconds
from mlbench.domain.outcomes import StageOutcome
from mlbench.domain.plain import to_plain
from mlbench.domain.runs import Run, TestResult
from mlbench.engine.queries import Queries

_MOST_LINES = 6


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("name", metavar="RUN", help="id, prefix, friendly name, @last, @best …")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(options: argparse.Namespace) -> int:
    """Print a run with its stages, parameters and metrics."""
    queries = Queries.of(Path(options.folder))
    found = queries.run(options.name)
    folder = queries.run_folder(found)
    tests = {
        name: queries.tests(queries.stage_folder(found, name))
        for name, stage in found.stages.items()
        if stage.tests is not None or stage.outcome is StageOutcome.FAILED
    }
    tests = {name: results for name, results in tests.items() if results}
    if options.json:
        details = {"stages": to_plain(found.stages), "tests": to_plain(tests)}
        print_json(as_plain(found) | details | {"folder": str(folder)})
    else:
        _print(found, folder, tests)
    return 0


def _print(found: Run, folder: Path, tests: Mapping[str, Sequence[TestResult]]) -> None:
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
        for result in tests.get(name, ()):
            if result.outcome.is_bad:
                _print_test(result)
    _print_flat("metrics", {name: number(value) for name, value in found.metrics.items()})
    _print_flat("params", {name: str(value) for name, value in found.params.items()})
    print(f"folder  {folder}")


def _print_test(result: TestResult) -> None:
    sign = coloured(result.outcome.glyph, result.outcome.colour)
    print(f"      {sign} {result.id}  {seconds(result.seconds)}")
    for line in result.message.splitlines()[:_MOST_LINES]:
        print(f"          {line}")


def _print_flat(title: str, values: dict[str, str]) -> None:
    if values:
        print(title)
        width = max(len(name) for name in values)
        for name, value in values.items():
            print(f"  {name:<{width}}  {value}")
