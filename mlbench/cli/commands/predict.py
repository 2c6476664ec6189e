"""`mlbench predict`: ask a served model."""

from __future__ import annotations

import argparse
from pathlib import Path

from mlbench.cli.output import narrate, print_json
from mlbench.domain.request_snippets import as_curl, as_python
from mlbench.engine.sandbox import Answer, Sandbox
from mlbench.engine.session import find_layout

_FORMS = {"curl": as_curl, "python": as_python}


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("environment", metavar="ENV", help="which server to ask")
    parser.add_argument("model", nargs="?", metavar="MODEL", help="of several, this one")
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--rows", metavar="FILE", help="rows to ask about: .csv, .json, .npz or .parquet"
    )
    source.add_argument(
        "--row", type=int, default=0, metavar="N", help="held-out row N (default 0)"
    )
    # `options.version` is the program's own.
    parser.add_argument(
        "--version", dest="number", type=int, metavar="N", help="ask this version, if in memory"
    )
    parser.add_argument("--json", action="store_true", help="the server's whole response")
    parser.add_argument(
        "--as",
        dest="form",
        choices=sorted(_FORMS),
        help="print the request instead of sending it: a curl command, a Python program",
    )


def run(options: argparse.Namespace) -> int:
    """Send a real inference request and print the answer, or print the request."""
    sandbox = Sandbox(find_layout(Path(options.folder)))
    request = sandbox.request(
        options.environment,
        options.model,
        rows=Path(options.rows) if options.rows else None,
        row=options.row,
        version=options.number,
    )
    if options.form:
        phrase = _FORMS[options.form]
        print(phrase(request.address, request.path, request.body, request.token).rstrip("\n"))
        return 0
    answer = sandbox.ask(request)
    if options.json:
        print_json(answer.response)
        return 0
    narrate(f"{answer.model} v{answer.version} at {answer.address}")
    for line in answer.lines():
        print(line)
    if told := _beside(answer):
        narrate(told)
    return 0


def _beside(answer: Answer) -> str:
    """What is known of the held-out row that was asked about; nothing for the rows of a file."""
    row = answer.row
    if row is None:
        return ""
    known = []
    if row.answer is not None:
        known.append(f"the original model says {row.answer}")
    if row.truth is not None:
        known.append(f"the truth is {row.truth}")
    return f"held-out row {row.index}: {', '.join(known) or 'its truth is not known'}"
