"""`mlbench doctor`: check the installation and the project's health."""

from __future__ import annotations

import argparse
from pathlib import Path

from mlbench.cli.output import coloured, print_json
from mlbench.domain.plain import to_plain
from mlbench.engine.health import examine
from mlbench.engine.session import find_layout

_SIGNS = {"ok": "✓", "warn": "!", "fail": "✗"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("--fix", action="store_true", help="repair what can be repaired")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(options: argparse.Namespace) -> int:
    """Print what is well and what is not; status 1 if something is broken."""
    findings = examine(find_layout(Path(options.folder)), fix=options.fix)
    if options.json:
        print_json([to_plain(finding) for finding in findings])
    else:
        for finding in findings:
            sign = coloured(_SIGNS[finding.level], finding.level)
            print(f"{sign} {finding.what:<14} {finding.detail}")
            if finding.remedy:
                print(f"  {'':<14} {finding.remedy}")
    return 1 if any(finding.level == "fail" for finding in findings) else 0
