"""`mlbench gates`: a run against today's gates, and gates against past promotions."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlbench.cli.output import coloured, narrate, print_json, print_table
from mlbench.domain.errors import UsageError
from mlbench.domain.events import Event, Notice
from mlbench.domain.names import friendly_name
from mlbench.domain.phrases import number
from mlbench.domain.plain import to_plain
from mlbench.domain.release import GateResult
from mlbench.engine.gate_queries import JudgedModel, gates_replayed, gates_today
from mlbench.engine.gate_replay import Replayed
from mlbench.engine.queries import Queries

_SIGNS = {True: "✓", False: "✗", None: "–"}
_HEADS = ("", "gate", "value", "threshold", "margin", "noise", "why")


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("model", nargs="?", metavar="MODEL", help="this alone; default: all")
    parser.add_argument("--run", metavar="RUN", help="this run; default: the newest that passed")
    parser.add_argument("--check", action="store_true", help="end with 3 where a gate refuses")
    parser.add_argument(
        "--replay",
        nargs="?",
        const="",
        metavar="GATE",
        help="judge the past promotions by this gate, or by the model's own",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(options: argparse.Namespace) -> int:
    """Judge and print; ends with 3 where a gate refuses and --check asks for it."""
    queries = Queries.of(Path(options.folder))
    if options.replay is not None:
        if options.run or options.check:
            raise UsageError("--replay judges past promotions; leave out --run and --check")
        return _replay(options, gates_replayed(queries, options.model, options.replay))
    judged = gates_today(queries, options.model, options.run, _tell)
    refused = any(gate.refuses for one in judged for gate in one.gates)
    if options.json:
        print_json([_as_plain(one) for one in judged])
    else:
        for one in judged:
            _print(one)
    return 3 if refused and options.check else 0


def _tell(event: Event) -> None:
    if isinstance(event, Notice):
        narrate(event.message)


def _as_plain(one: JudgedModel) -> dict[str, Any]:
    return {
        "model": one.model,
        "run": one.run.id,
        "version": one.version,
        "passed": not any(gate.refuses for gate in one.gates),
        "gates": to_plain(one.gates),
    }


def _print(one: JudgedModel) -> None:
    version = "" if one.version is None else f" v{one.version}"
    narrate(f"{one.model}{version} of run {one.run.name}")
    if one.gates:
        print_table(_HEADS, [_cells(gate) for gate in one.gates])
    else:
        narrate(f"it has no gates; add them to models.{one.model}.gates in mlbench.toml")


def _cells(gate: GateResult) -> tuple[str, ...]:
    return (_sign(gate), gate.gate, *map(_figure, (gate.value, gate.threshold)), *_margins(gate))


def _sign(gate: GateResult) -> str:
    """✗ for what refuses, ! for what only warns."""
    return "!" if gate.passed is False and not gate.refuses else _SIGNS[gate.passed]


def _margins(gate: GateResult) -> tuple[str, str, str]:
    noise = "" if gate.noise is None else f"±{number(gate.noise)}"
    margin = (
        "" if gate.margin is None else f"{'+' if gate.margin >= 0 else ''}{number(gate.margin)}"
    )
    return margin, noise, gate.why


def _figure(value: float | None) -> str:
    return "" if value is None else number(value)


def _replay(options: argparse.Namespace, replayed: Sequence[Replayed]) -> int:
    if options.json:
        print_json(
            [
                {
                    "sequence": one.entry.sequence,
                    "at": one.entry.at,
                    "environment": one.entry.environment,
                    "model": one.entry.model,
                    "version": one.entry.version,
                    "run": one.entry.run,
                    "gone": bool(one.gone),
                    "stopped": one.is_stopped,
                    "gates": to_plain(one.results),
                }
                for one in replayed
            ]
        )
        return 0
    if not replayed:
        narrate("nothing was promoted yet")
        return 0
    rows = [row for one in replayed for row in _rows(one)]
    print_table(("#", "at (UTC)", "environment", "model", "run", *_HEADS), rows)
    stopped = sum(one.is_stopped for one in replayed)
    narrate(_summary(stopped, len(replayed), [one.gone for one in replayed if one.gone]))
    return 0


def _rows(one: Replayed) -> list[tuple[str, ...]]:
    entry = one.entry
    place = (
        str(entry.sequence),
        entry.at[:19].replace("T", " "),
        entry.environment,
        f"{entry.model} v{entry.version}",
        friendly_name(entry.run),
    )
    if one.gone:
        return [(*place, _SIGNS[None], "", "", "", "", "", "its run is on record no more")]
    return [(*place, *_cells(gate)) for gate in one.results]


def _summary(stopped: int, count: int, gone: Sequence[str]) -> str:
    told = f"would have stopped {stopped} of {count} promotion{'' if count == 1 else 's'}"
    told = coloured(told, "fail" if stopped else "ok")
    if gone:
        told += f"; not judged, for their runs are on record no more: {', '.join(gone)}"
    return told
