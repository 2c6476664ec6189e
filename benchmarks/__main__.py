"""`python -m benchmarks [FIGURE…]`: measure, print, and write the figures into README.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from benchmarks import (
    batching,
    curves,
    history,
    imports,
    infer,
    log,
    parsers,
    pipeline,
    reaction,
    shadow,
    status,
    store,
    sweep,
    trace,
)
from benchmarks.common import Figure, write_figure

FIGURES: dict[str, Callable[[], Figure]] = {
    "status": status.measure,
    "import": imports.measure,
    "pipeline": pipeline.measure,
    "reaction": reaction.measure,
    "trace": trace.measure,
    "log": log.measure,
    "curves": curves.measure,
    "store": store.measure,
    "history": history.measure,
    "parsers": parsers.measure,
    "infer": infer.measure,
    "rows": infer.measure_rows,
    "promotion": infer.measure_promotion,
    "batching": batching.measure,
    "shadow": shadow.measure,
    "sweep": sweep.measure,
}


def main() -> int:
    """Measure the figures that are named, or all, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=", ".join(FIGURES))
    chosen = parser.parse_args().figures or list(FIGURES)
    unknown = [name for name in chosen if name not in FIGURES]
    if unknown:
        parser.error(f"no such figure: {', '.join(unknown)}; there are: {', '.join(FIGURES)}")
    for name in chosen:
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        print(write_figure(name, FIGURES[name]()), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
