"""`mlbench import mlflow PATH`: bring in the runs of another tracker."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from mlbench.cli.output import narrate, print_json
from mlbench.domain.errors import UsageError
from mlbench.domain.imports import ImportReport
from mlbench.engine.importing import import_mlflow
from mlbench.engine.queries import Queries

_MOST_NAMED = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("tracker", metavar="mlflow", help="whose runs they are")
    parser.add_argument(
        "path", metavar="PATH", help="a folder mlruns, a file mlflow.db, or sqlite:///PATH"
    )
    parser.add_argument("--deleted", action="store_true", help="also runs that were deleted there")
    parser.add_argument(
        "--no-artifacts", action="store_true", help="leave artifacts and models where they are"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(options: argparse.Namespace) -> int:
    """Take in what isn't here yet; say how much that was, and what was left out and why."""
    if options.tracker != "mlflow":
        raise UsageError(
            f'import: "{options.tracker}" is not read; `mlbench import mlflow PATH` is'
        )
    layout = Queries.of(Path(options.folder)).layout
    report = import_mlflow(
        layout,
        _placed(options.path, options.folder),
        deleted=options.deleted,
        artifacts=not options.no_artifacts,
    )
    if options.json:
        print_json(as_plain(report))
    else:
        _print(report)
    return 0


def as_plain(report: ImportReport) -> dict[str, object]:
    """What `import --json` gives."""
    return {
        "imported": report.imported,
        "known": report.known,
        "deleted": report.deleted,
        "running": report.going,
        "left_out": list(report.left_out),
    }


def _placed(path: str, folder: str) -> str:
    """The path as it is meant: relative to the folder of -C; addresses stay as they are."""
    return path if "://" in path else os.path.join(folder, path)


def _print(report: ImportReport) -> None:
    rest = (
        (report.known, "here already"),
        (report.deleted, "deleted there (--deleted brings them in)"),
        (report.going, "still running there"),
    )
    runs = "1 run" if report.imported == 1 else f"{report.imported} runs"
    print("; ".join([f"{runs} came in", *(f"{count} {what}" for count, what in rest if count)]))
    for sentence in report.left_out[:_MOST_NAMED]:
        narrate(f"left out: {sentence}")
    if len(report.left_out) > _MOST_NAMED:
        narrate(f"left out: {len(report.left_out) - _MOST_NAMED} things more; --json names them")
