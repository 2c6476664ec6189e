"""`mlbench canary`: give a version a growing share of the requests, which decides on it."""

from __future__ import annotations

import argparse
from pathlib import Path

from mlbench.cli.commands.promote import add_overruling, release
from mlbench.cli.output import narrate
from mlbench.cli.phrases import phrase
from mlbench.cli.trials import look, show_one
from mlbench.domain.commands import EndTrial, StartCanary
from mlbench.domain.errors import UsageError
from mlbench.domain.events import Event, Notice
from mlbench.engine.session import find_layout


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument(
        "model", nargs="?", metavar="MODEL[@VERSION or @RUN]", help="what to give requests"
    )
    parser.add_argument("environment", nargs="?", metavar="ENV", help="where")
    parser.add_argument("--status", action="store_true", help="how it stands, and nothing else")
    parser.add_argument("--stop", action="store_true", help="end it; the live version gets all")
    parser.add_argument(
        "--settle", metavar="ENV", help="write down what the canaries there came to; servers do it"
    )
    add_overruling(parser)


def run(options: argparse.Namespace) -> int:
    """Begin a canary; show how it stands where it runs; end it; or write down its verdict."""
    if options.settle is not None:
        return _settle(options)
    if not options.model or not options.environment:
        raise UsageError("say which model, and where: `mlbench canary MODEL[@VERSION] ENV`")
    model, _, which = options.model.partition("@")
    if options.stop:
        ending = EndTrial("canary", options.environment, model or None, options.reason)
        return release(options, ending)
    if options.status or _runs(options, model or None, which):
        return show_one(options, model or None, "canary")
    command = StartCanary(
        options.environment,
        model or None,
        which or None,
        allow_dirty=options.allow_dirty,
        force=options.force,
        reason=options.reason,
    )
    return release(options, command)


def _runs(options: argparse.Namespace, model: str | None, which: str) -> bool:
    """Whether just this is on its way already."""
    try:
        _, now = look(options, model)
    except UsageError:
        # What is wrong is said by whoever would begin one.
        return False
    return now.traffic.canary is not None and which in ("", str(now.traffic.canary))


def _settle(options: argparse.Namespace) -> int:
    from mlbench.engine.settling import settle_environment

    def tell(event: Event) -> None:
        if isinstance(event, Notice):
            narrate("\n".join(phrase(event)))

    said = settle_environment(find_layout(Path(options.folder)), options.settle, tell)
    narrate("\n".join(said) or f"{options.settle}: there is nothing to settle")
    return 0
