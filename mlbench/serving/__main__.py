"""`python -m mlbench.serving ENV --root PROJECT`: one environment's server, in the foreground."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mlbench.domain.errors import MlbenchError
from mlbench.project.layout import Layout
from mlbench.serving.logging_lines import log
from mlbench.serving.server import serve
from mlbench.serving.supervisor.desks import Desk


def main() -> int:
    """Serve until told to stop; a refusal is one sentence on standard error and in the log."""
    parser = argparse.ArgumentParser(prog="mlbench.serving", description=__doc__)
    parser.add_argument("environment")
    parser.add_argument("--root", type=Path, default=Path(), help="the project's folder")
    parser.add_argument("--port", type=int, help="instead of the deployment's; 0 for any free one")
    parser.add_argument("--host", help="the address to listen on, instead of the deployment's")
    given = parser.parse_args()
    layout = Layout(given.root.resolve())
    try:
        serve(layout, given.environment, given.port, given.host, make_desks=_desks)
    except MlbenchError as error:
        log("refused", error=type(error).__name__, message=str(error))
        # Where both go into the log, which is JSON lines, it stands there already.
        if sys.stderr.isatty() or not os.path.sameopenfile(1, 2):
            print(error, file=sys.stderr, flush=True)
        return error.exit_status
    return 0


def _desks(layout: Layout, environment: str) -> Sequence[Desk]:
    # Late: the workers start meanwhile.
    from mlbench.serving.traffic.canary_desk import CanaryDesk
    from mlbench.serving.traffic.shadow_desk import ShadowDesk

    return CanaryDesk(layout, environment), ShadowDesk(layout, environment)


if __name__ == "__main__":
    # Not sys.exit: nothing is left that the interpreter would have to wait for.
    os._exit(main())
