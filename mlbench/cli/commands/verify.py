"""`mlbench verify`: build stages again in a snapshot and compare with what is recorded."""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path
from typing import Any

from mlbench.cli.output import coloured, narrate, print_json
from mlbench.domain.phrases import number, took
from mlbench.domain.plain import to_plain
from mlbench.engine.session import find_layout
from mlbench.engine.verdicts import METRICS_TOLERANCE, TOLERANCE, Limits, StageCheck
from mlbench.engine.verify import verify

_MOST_SHOWN = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("stages", nargs="*", metavar="STAGE", help="these alone; default: all")
    parser.add_argument(
        "--tolerance",
        type=_part,
        metavar="X",
        default=TOLERANCE,
        help="how far numbers may be apart, relative to the larger (default 1e-6)",
    )
    parser.add_argument(
        "--metrics-tolerance",
        type=_part,
        metavar="X",
        default=METRICS_TOLERANCE,
        help="the same for the metrics of a stage with deterministic = false (default 0.05)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(options: argparse.Namespace) -> int:
    """Build, compare and say what differs; ends with 1 where something does."""
    layout = find_layout(Path(options.folder))
    limits = Limits(options.tolerance, options.metrics_tolerance)
    checks = []
    for check in verify(layout, tuple(options.stages), limits):
        checks.append(check)
        if not options.json:
            _print(check)
    passed = all(check.verdict.holds for check in checks)
    if options.json:
        print_json({"passed": passed, "stages": [_plain(check) for check in checks]})
    elif not checks:
        narrate("there are no stages yet; add [stages.NAME] with a cmd to mlbench.toml")
    return 0 if passed else 1


def _part(text: str) -> float:
    """A tolerance; ValueError for what is no number from 0 on."""
    value = float(text)
    if not (math.isfinite(value) and value >= 0):
        raise ValueError
    return value


# What argparse calls the type where a word is none.
_part.__name__ = "tolerance"


def _plain(check: StageCheck) -> dict[str, Any]:
    kept = None if check.kept is None else str(check.kept)
    return {**to_plain(check), "kept": kept}


def _print(check: StageCheck) -> None:
    verdict = check.verdict
    sign = coloured(verdict.glyph, verdict.colour)
    print(f"{sign} {check.name}  {verdict.word}  {took(check.seconds)}".rstrip(), flush=True)
    if check.message:
        print(f"    {coloured(check.message, verdict.colour)}", flush=True)
    for difference in check.differences[:_MOST_SHOWN]:
        place = f"{difference.path}  {difference.where}".rstrip()
        print(f"    {place}: {difference.expected} recorded, {difference.found} built again")
    if len(check.differences) > _MOST_SHOWN:
        print(f"    and {len(check.differences) - _MOST_SHOWN} more files; --json names them all")
    for pair in check.metrics:
        print(f"    {pair.name}  {number(pair.recorded)} recorded, {number(pair.rebuilt)}")
    if check.kept is not None:
        kept = os.path.relpath(check.kept)
        narrate(coloured(f"    kept in {kept}", "quiet"))
