"""What takes Optuna, or plotly, to tell of a study, for processes that should not load them.

`python -m mlbench.sweeps importances JOURNAL [--objective K] [--metric NAME]` prints the
Importances as a JSON document, `python -m mlbench.sweeps figures JOURNAL FOLDER --metric NAME …`
writes pages and prints the list of their paths. Where the journal or the folder won't do, the
document is `{"problem": "…"}` and the exit status 1.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

# What trials leave of the cores is enough for it.
_NICENESS = 10


def main(words: list[str]) -> int:
    """Do what the call says."""
    options = _parser().parse_args(words)
    os.nice(_NICENESS)
    try:
        told = _told(options)
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        # As Optuna says that a journal is none.
        told = {"problem": " ".join(str(error).split()) or type(error).__name__}
    print(json.dumps(told))
    return 1 if isinstance(told, dict) and "problem" in told else 0


def _told(options: argparse.Namespace) -> Any:
    from mlbench.domain.plain import to_plain
    from mlbench.sweeps.importances import importances
    from mlbench.sweeps.reading import read_study

    study = read_study(options.journal)
    metrics = _metrics(options.metric, len(study.directions))
    if options.what == "importances":
        if not 0 <= options.objective < len(metrics):
            raise ValueError(f"there is no objective {options.objective}")
        return to_plain(importances(study, options.objective, metrics[options.objective]))
    from mlbench.sweeps.figures import write_figures

    return [str(path) for path in write_figures(study, options.folder, metrics)]


def _metrics(given: list[str], count: int) -> list[str]:
    """A name for each objective, as far as they were given."""
    return [given[at] if at < len(given) else f"objective {at + 1}" for at in range(count)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mlbench.sweeps")
    doing = parser.add_subparsers(dest="what", required=True)
    for name in ("importances", "figures"):
        each = doing.add_parser(name)
        each.add_argument("journal", type=Path)
        if name == "figures":
            each.add_argument("folder", type=Path)
        else:
            each.add_argument("--objective", type=int, default=0)
        each.add_argument("--metric", action="append", default=[])
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
