"""`mlbench status`: how each stage stands, with every reason."""

from __future__ import annotations

import argparse
from pathlib import Path

from mlbench.cli.output import coloured, print_json
from mlbench.domain.plain import to_plain
from mlbench.domain.plan import Plan
from mlbench.engine.queries import Queries


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(options: argparse.Namespace) -> int:
    """Look at the tree and print; never starts anything."""
    print_plan(Queries.of(Path(options.folder)).status(), options.json)
    return 0


def print_plan(plan: Plan, as_json: bool) -> None:
    """Every stage with its reasons, as text or as one JSON document."""
    if as_json:
        stages = [
            {
                "name": status.name,
                "state": status.state.word,
                "reasons": to_plain(status.reasons),
                "usual_seconds": status.usual_seconds,
                "traced": status.traced,
            }
            for status in plan.stages
        ]
        print_json({"stages": stages})
        return
    width = max((len(status.name) for status in plan.stages), default=0)
    for status in plan.stages:
        sign = coloured(status.state.glyph, status.state.colour)
        # None where it never ran; then nobody knows yet.
        untraced = f"  {coloured('not traced', 'quiet')}" if status.traced is False else ""
        print(f"{sign} {status.name:<{width}}  {status.state.word}{untraced}")
        for reason in status.reasons:
            print(f"    {reason.kind.word:<9}{reason.what}  {coloured(reason.detail, 'quiet')}")
    if not plan.stages:
        print("there are no stages yet; add [stages.NAME] with a cmd to mlbench.toml")
