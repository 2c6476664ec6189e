"""Picks the face that the command line asks for, and imports it late."""

from __future__ import annotations

import sys


def main() -> int:
    """`mlbench` alone opens the workbench, everything else is a command."""
    from mlbench.cli.main import OpenWorkbench, run

    ending = run(sys.argv[1:])
    if isinstance(ending, OpenWorkbench):
        from mlbench.tui.app import run as open_workbench

        return open_workbench(ending.folder)
    return ending


if __name__ == "__main__":
    sys.exit(main())
