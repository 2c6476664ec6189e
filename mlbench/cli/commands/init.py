"""`mlbench init`: write an mlbench.toml from what is in the folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from mlbench.cli.output import narrate, print_json
from mlbench.engine.session import start_project


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(options: argparse.Namespace) -> int:
    """Write the configuration, never over one that is there."""
    path, stages = start_project(Path(options.folder).resolve())
    if options.json:
        print_json({"path": str(path), "stages": stages})
        return 0
    found = f"with the stages {', '.join(stages)}" if stages else "without stages yet"
    narrate(f"wrote {path.name} {found}; name what they read and write, then `mlbench run`")
    return 0
