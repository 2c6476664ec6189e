"""`mlbench lock`: write down what each stage was built from and gave."""

from __future__ import annotations

import argparse
from pathlib import Path

from mlbench.cli.output import narrate, print_json
from mlbench.engine.locking import Locking
from mlbench.engine.session import find_layout


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(options: argparse.Namespace) -> int:
    """Write mlbench.lock at the project's top; refused where a stage is not fresh."""
    layout = find_layout(Path(options.folder))
    count, is_new = Locking(layout).write()
    if options.json:
        print_json({"path": str(layout.lock), "stages": count, "changed": is_new})
    else:
        done = "written" if is_new else "as it was"
        narrate(f"{layout.lock.name}: {done}, {count} stage{'' if count == 1 else 's'}")
    return 0
