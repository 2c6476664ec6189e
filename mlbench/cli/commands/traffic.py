"""`mlbench traffic`: which versions share the requests for a model, seen or set."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from mlbench.cli.commands.promote import add_overruling, release
from mlbench.cli.output import narrate, print_json
from mlbench.cli.trials import look, look_at_all, show
from mlbench.domain.commands import SetTraffic
from mlbench.domain.errors import UsageError
from mlbench.domain.plain import to_plain


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("environment", metavar="ENV", help="where")
    parser.add_argument("model", nargs="?", metavar="MODEL", help="of several, this one")
    parser.add_argument(
        "weights", nargs="*", metavar="VERSION=WEIGHT", help="shares or percents: 3=80 4=20"
    )
    parser.add_argument("--reset", action="store_true", help="the live version gets all again")
    add_overruling(parser)


def run(options: argparse.Namespace) -> int:
    """Set the shares of versions, or print them as they are."""
    weights = list(options.weights)
    if options.model and "=" in options.model:
        options.model, weights = None, [options.model, *weights]
    if not weights and not options.reset:
        return _show(options)
    if weights and options.reset:
        raise UsageError("--reset gives all requests to the live version; name no weights with it")
    shares = _weights(weights)
    command = SetTraffic(
        options.environment,
        options.model or look(options, None)[1].model,
        shares,
        allow_dirty=options.allow_dirty,
        force=options.force,
        reason=options.reason,
    )
    return release(options, command)


def _weights(texts: Sequence[str]) -> dict[str, float]:
    """`3=80`, `v3=80%` and `3=0.8` by version; UsageError for what is none, or named twice."""
    found: dict[str, float] = {}
    for text in texts:
        version, _, weight = text.partition("=")
        version = version.removeprefix("v").removeprefix("@")
        if not version.isdecimal():
            raise UsageError(f"{text}: write a version and its share, as in 3=80")
        number = str(int(version))
        if number in found:
            raise UsageError(f"{text}: version {number} has a share already")
        try:
            found[number] = float(weight.removesuffix("%"))
        except ValueError:
            raise UsageError(f"{text}: {weight or 'nothing'} is no share; write 3=80") from None
    return found


def _show(options: argparse.Namespace) -> int:
    environment, status, known = look_at_all(options)
    found = [one for one in known if options.model in (None, one.model)]
    if options.model and not found:
        raise UsageError(f"{environment.name} serves no {options.model}")
    if options.json:
        print_json([to_plain(one) for one in found])
        return 0
    state = "is down; by the ledger it serves" if status.pid is None else f"at {status.address}"
    narrate(f"{environment.name} {state}")
    for one in found:
        show(environment, one)
    if not found:
        narrate("nothing yet")
    return 0
