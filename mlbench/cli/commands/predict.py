"""`mlbench predict`: ask a served model."""

from __future__ import annotations

import argparse
from pathlib import Path

from mlbench.cli.output import narrate, print_json
from mlbench.engine.sandbox import Answer, Sandbox
from mlbench.engine.session import find_layout


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("environment", metavar="ENV", help="which server to ask")
    parser.add_argument("model", nargs="?", metavar="MODEL", help="of several, this one")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--rows", metavar="FILE", help="rows to ask about: .csv, .json or .npz")
    source.add_argument(
        "--row", type=int, default=0, metavar="N", help="held-out row N (default 0)"
    )
    parser.add_argument("--json", action="store_true", help="the server's whole response")


def run(options: argparse.Namespace) -> int:
    """Send a real inference request and print the answer."""
    answer = Sandbox(find_layout(Path(options.folder))).ask(
        options.environment,
        options.model,
        rows=Path(options.rows) if options.rows else None,
        row=options.row,
    )
    if options.json:
        print_json(answer.response)
        return 0
    narrate(f"{answer.model} v{answer.version} at {answer.address}")
    for value in answer.output("label") or answer.output("prediction") or []:
        print(value)
    narrate(_beside(answer))
    return 0


def _beside(answer: Answer) -> str:
    if answer.row is None:
        return ""
    row = answer.row
    return (
        f"held-out row {row.index}: the original model says {row.answer}, the truth is {row.truth}"
    )
