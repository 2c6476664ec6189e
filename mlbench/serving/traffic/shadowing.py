"""`python -m mlbench.serving.traffic.shadowing`: the process that answers copies when it may.

It runs only where nothing else wants the processor, and ends with its supervisor, whose pipe its
standard input is.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from pathlib import Path

from mlbench.project.layout import Layout


def _stand_back() -> None:
    """Run on idle processors alone; where the system has no such class, after all others.

    Linux may share processors among sessions first (sched_autogroup): then it is the session,
    this process's own, that must come last, or it would run at the workers' expense.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text("19", encoding="ascii")
    os.nice(19)
    if hasattr(os, "sched_setscheduler"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def main() -> int:
    """Compare until the supervisor is gone."""
    parser = argparse.ArgumentParser(prog="mlbench.serving.traffic.shadowing", description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--environment", required=True)
    parser.add_argument("--as-others", action="store_true", help="take processors like others")
    given = parser.parse_args()
    if not given.as_others:
        _stand_back()
    # Only now: to load them takes half a second of a processor.
    from mlbench.serving.running.limits import limit_memory
    from mlbench.serving.traffic.receiving import Shadowing

    limit_memory(os.cpu_count() or 1)
    Shadowing(Layout(given.root.resolve()), given.environment, rests=not given.as_others).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
