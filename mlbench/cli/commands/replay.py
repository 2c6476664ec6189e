"""`mlbench replay`: logged requests, asked again of a candidate or version."""

from __future__ import annotations

import argparse
from pathlib import Path

from mlbench.cli.output import print_json, print_table
from mlbench.domain.errors import UsageError
from mlbench.domain.phrases import plural
from mlbench.domain.plain import to_plain
from mlbench.domain.serving import Replayed
from mlbench.engine.queries import Queries
from mlbench.engine.replaying import replay

_USUAL = 1000
_SHOWN = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument(
        "model", metavar="MODEL[@VERSION or @RUN]", help="what to ask, as promote names it"
    )
    parser.add_argument(
        "--last", type=int, default=_USUAL, metavar="N", help=f"so many requests (default {_USUAL})"
    )
    parser.add_argument(
        "--env", metavar="ENV", help="whose requests (default production, else any that has some)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(options: argparse.Namespace) -> int:
    """Ask again, and print what is answered otherwise."""
    if options.last < 1:
        raise UsageError("--last: must be 1 or more")
    model, _, which = options.model.partition("@")
    found = replay(
        Queries.of(Path(options.folder)),
        model or None,
        which or None,
        last=options.last,
        environment=options.env,
    )
    if options.json:
        print_json(to_plain(found))
    else:
        _print(found)
    return 0


def _print(found: Replayed) -> None:
    print(f"{found.model} {_version(found)}, asked what {found.environment} was asked last:")
    print(f"  {found.compared} of {found.asked} requests compared, {plural(found.rows, 'row')}")
    if found.compared:
        _print_compared(found)
    for count, words in (
        (found.refused, "refused"),
        (found.failed, "failed"),
        (found.unreadable, "not in the log as a whole"),
    ):
        if count:
            print(f"  {count} {words}")
    for reason, count in found.reasons.items():
        print(f"    {count} × {reason}")
    if found.flips:
        rows = [(flip.id, str(flip.row), flip.before, flip.after) for flip in found.flips[:_SHOWN]]
        print()
        print_table(("id", "row", "was", "is"), rows)
    if found.flipped > _SHOWN:
        print(f"{found.flipped - _SHOWN} more flips; --json has the first {len(found.flips)}")


def _print_compared(found: Replayed) -> None:
    share = f" ({found.flipped / found.rows:.2%})" if found.rows else ""
    print(f"  {plural(found.flipped, 'flip')}{share}")
    worst = f", by {found.worst_id}" if found.worst_id else ""
    print(f"  scores differ by {found.max_abs_error:.3g} at most{worst}", end="")
    print(f", by {found.mean_abs_error:.3g} on average")
    print(f"  p50 {_ms(found.median_before)} then, {_ms(found.median_after)} here", end="")
    print(f"; p99 {_ms(found.p99_before)} then, {_ms(found.p99_after)} here")


def _version(found: Replayed) -> str:
    return f"v{found.version}" if found.version.isdecimal() else f"({found.version})"


def _ms(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds * 1000:.2f} ms"
