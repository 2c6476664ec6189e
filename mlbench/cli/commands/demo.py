"""`mlbench demo`: the sample in the workbench, or without a terminal the same loop in print."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from mlbench.cli.headless_demo import HeadlessDemo
from mlbench.cli.main import Ending, OpenWorkbench
from mlbench.cli.output import narrate
from mlbench.engine.session import make_sample


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("directory", nargs="?", metavar="DIR", help="where to copy it to")
    parser.add_argument("--headless", action="store_true", help="no screen even in a terminal")


def run(options: argparse.Namespace) -> Ending:
    """Copy the sample, then open the workbench on it; headless where there is no terminal."""
    target = Path(options.directory or tempfile.mkdtemp(prefix="mlbench-demo-")).resolve()
    make_sample(target)
    narrate(f"the sample project is in {target}")
    has_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if has_terminal and not options.headless:
        return OpenWorkbench(target)
    HeadlessDemo(target).run()
    return 0
