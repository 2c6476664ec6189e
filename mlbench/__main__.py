"""Picks the face that the command line asks for, and imports it late."""

from __future__ import annotations

import gc
import sys

# Python's own 700 makes a command of a tenth of a second spend a tenth of that on looking for
# garbage among what it has just imported.
_OBJECTS_BETWEEN_COLLECTIONS = 50_000


def main() -> int:
    """`mlbench` alone opens the workbench, everything else is a command."""
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    from mlbench.cli.main import OpenWorkbench, run

    ending = run(sys.argv[1:])
    if isinstance(ending, OpenWorkbench):
        from mlbench.tui.app import run as open_workbench

        return open_workbench(ending.folder)
    return ending


if __name__ == "__main__":
    sys.exit(main())
