"""`mlbench diff`: what differs between runs."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from mlbench.cli.output import coloured, narrate, print_json, print_table
from mlbench.domain.comparison import METRICS, ComparedRow, Comparison
from mlbench.domain.phrases import number
from mlbench.domain.plain import to_plain
from mlbench.domain.runs import Run, Scalar
from mlbench.engine.comparing import compare_runs
from mlbench.engine.queries import Queries

_LONGEST = 40
_LINE_COLOURS = {"+++": "strong", "---": "strong", "@@": "info", "+": "ok", "-": "fail"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("one", metavar="RUN", help="id, prefix, friendly name, @last, @best …")
    parser.add_argument("others", metavar="OTHER", nargs="+", help="what it is compared with")
    parser.add_argument("--all", action="store_true", help="what is equal too")
    parser.add_argument("--no-code", action="store_true", help="leave the diff of the code out")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(options: argparse.Namespace) -> int:
    """Print runs side by side, differences alone unless all is asked for, then the code's diff."""
    found = compare_runs(Queries.of(Path(options.folder)), [options.one, *options.others])
    rows = found.rows if options.all else found.differences
    if options.json:
        print_json(_as_plain(found, rows))
        return 0
    if rows:
        _print_rows(found.runs, rows)
    else:
        names = " and ".join(run.name for run in found.runs)
        narrate(f"{names} have the same params, metrics, code, data, packages and environment")
    if not options.no_code:
        _print_code(found)
    for remark in found.remarks:
        narrate(remark)
    return 0


def _print_rows(runs: Sequence[Run], rows: Sequence[ComparedRow]) -> None:
    heads = ("", "name", *(run.name for run in runs), "change", "noise")
    print_table(heads, [_cells(row) for row in rows])


def _cells(row: ComparedRow) -> tuple[str, ...]:
    change = f"{row.change:+.4g}" if row.change else ""
    return (row.kind, row.name, *shortened(list(map(_shown, row.values))), change, noise_words(row))


def noise_words(row: ComparedRow) -> str:
    """What equal runs say of a metric's change: nothing where there are none."""
    if row.kind != METRICS or not row.change or row.noise is None:
        return ""
    runs = row.noise.degrees + 1
    if row.is_beyond_noise:
        return f"beyond ±{row.noise.least_change:.2g} of {runs} equal runs"
    return f"within ±{row.noise.least_change:.2g} of {runs} equal runs"


def _print_code(found: Comparison) -> None:
    names = {run.id: run.name for run in found.runs}
    for run_id, diff in found.code.items():
        if diff:
            print(coloured(f"\ncode {found.runs[0].name} → {names[run_id]}", "strong"))
        for line in diff.splitlines():
            sign = next((sign for sign in _LINE_COLOURS if line.startswith(sign)), None)
            print(coloured(line, _LINE_COLOURS[sign]) if sign else line)


def _as_plain(found: Comparison, rows: Sequence[ComparedRow]) -> Mapping[str, Any]:
    return {
        "runs": [{"id": run.id, "name": run.name} for run in found.runs],
        "rows": [
            to_plain(row) | {"differs": row.differs, "beyond_noise": row.is_beyond_noise}
            for row in rows
        ],
        "code": dict(found.code),
        "remarks": list(found.remarks),
    }


def _shown(value: Scalar) -> str:
    if isinstance(value, float):
        return number(value)
    return "" if value is None else " ".join(str(value).split())


def shortened(texts: Sequence[str]) -> list[str]:
    """Texts cut to what a column holds, and so that those that differ still look different."""
    cut = [_cut(text, 0) for text in texts]
    if len(set(cut)) == len(set(texts)):
        return cut
    letters = zip(*filter(None, texts), strict=False)
    shared = len(list(takewhile(lambda here: len(set(here)) == 1, letters)))
    return [_cut(text, max(0, shared - _LONGEST // 4)) for text in texts]


def _cut(text: str, start: int) -> str:
    lead, rest = ("…", text[start + 1 :]) if start and text else ("", text)
    return (
        f"{lead}{rest}" if len(lead + rest) <= _LONGEST else f"{lead}{rest}"[: _LONGEST - 1] + "…"
    )
