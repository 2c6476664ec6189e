"""`mlbench feedback`: labels that came after their requests."""

from __future__ import annotations

import argparse
from pathlib import Path

from mlbench.cli.output import narrate, print_json
from mlbench.domain.errors import UsageError
from mlbench.domain.plain import to_plain
from mlbench.engine.queries import Queries
from mlbench.engine.request_queries import keep_labels, label_of, labels_in


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("environment", metavar="ENV", help="which was asked")
    parser.add_argument("model", metavar="MODEL", help="which answered")
    parser.add_argument(
        "file", nargs="?", metavar="FILE.csv", help="labels by request: columns id and label"
    )
    parser.add_argument("--id", metavar="ID", help="the id of one request")
    parser.add_argument("--label", metavar="LABEL", help="what is true of it")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(options: argparse.Namespace) -> int:
    """Keep labels, durably; the last for an id counts."""
    is_single = options.id is not None and options.label is not None
    is_half = (options.id is None) != (options.label is None)
    if is_half or is_single == (options.file is not None):
        raise UsageError("name a CSV file with the columns id and label, or give --id and --label")
    queries = Queries.of(Path(options.folder))
    if is_single:
        labels: tuple[tuple[str, object], ...] = ((options.id, label_of(options.label)),)
    else:
        labels = labels_in(Path(options.file))
    kept = keep_labels(queries, options.environment, options.model, labels)
    if options.json:
        print_json(to_plain(kept))
        return 0
    unknown = f"; {kept.unknown} of ids that its log has not, or no more" if kept.unknown else ""
    labels_word = "label" if kept.labels == 1 else "labels"
    narrate(
        f"{kept.labels} {labels_word} kept for {options.model} in {options.environment}{unknown}"
    )
    return 0
