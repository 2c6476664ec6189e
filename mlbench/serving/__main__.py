"""`python -m mlbench.serving ENV --root PROJECT`: one environment's server, in the foreground."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from mlbench.domain.errors import MlbenchError
from mlbench.project.layout import Layout
from mlbench.serving.server import log, serve


def main() -> int:
    """Serve until told to stop; a refusal is one sentence on standard error and in the log."""
    parser = argparse.ArgumentParser(prog="mlbench.serving", description=__doc__)
    parser.add_argument("environment")
    parser.add_argument("--root", type=Path, default=Path(), help="the project's folder")
    parser.add_argument("--port", type=int, help="instead of the deployment's; 0 for any free one")
    arguments = parser.parse_args()
    try:
        serve(Layout(arguments.root.resolve()), arguments.environment, arguments.port)
    except MlbenchError as error:
        log("refused", error=type(error).__name__, message=str(error))
        print(error, file=sys.stderr, flush=True)
        return error.exit_status
    return 0


if __name__ == "__main__":
    # Not sys.exit: the interpreter would wait for threads that still compute or load, and the
    # time for those is over.
    os._exit(main())
