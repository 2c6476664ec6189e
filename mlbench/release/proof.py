"""The proof that an exported model answers as its original, made in a process of its own.

onnxruntime is native code that runs a graph which a converter wrote: where that crashes, hangs or
eats memory, a child is lost and not the loop.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlbench.domain.errors import ExportError
from mlbench.domain.plain import from_plain, to_plain
from mlbench.domain.release import Parity
from mlbench.release.limited import Limits, run_limited
from mlbench.release.metadata import Provenance
from mlbench.system.files import read_json, remove, write_json

PROOF_NAME = "proof.json"
HELD_OUT, RAW, ONE_BY_ONE = "held-out", "raw", "one by one"
"""The kinds of rows that every proof tells of, as checks are named."""

ORIGIN_NAME = "origin.json"
_PROGRAM = "mlbench.release.proving"


@dataclass(frozen=True, slots=True)
class Proof:
    """Parity and latency of one exported model; latency in milliseconds for one row.

    `graph` is the digest of its graph, where it was stamped. `timings` are as a Candidate's.
    """

    parity: Parity
    latency: Mapping[str, float]
    graph: str = ""
    timings: Mapping[str, float] = field(default_factory=dict)


def prove_in_child(
    folder: Path,
    *,
    log: Path,
    origin: Provenance | None = None,
    timeout: float = 600.0,
    stop: threading.Event | None = None,
) -> Proof:
    """Prove what an exporter wrote into `folder`; ExportError, one clause, where that ends badly.

    Before, where the model comes from is written into it, if `origin` says. A model that answers
    differently gives a Proof whose parity did not pass, and no error. What the child says goes to
    `log`.
    """
    if origin is not None:
        write_json(folder / ORIGIN_NAME, to_plain(origin))
    ending = run_limited(
        [sys.executable, "-P", "-m", _PROGRAM, str(folder)],
        cwd=folder,
        env=_variables(),
        log=log,
        mark=folder.resolve(),
        limits=Limits.of_machine(timeout),
        stop=stop,
    )
    found = read_json(folder / PROOF_NAME)
    remove(folder / PROOF_NAME)
    remove(folder / ORIGIN_NAME)
    if not isinstance(found, dict):
        raise ExportError(f"the proof of the exported model {ending.said}; its output is in {log}")
    if "unreadable" in found:
        raise ExportError(
            f"the exporter wrote a model that can't be read ({found['unreadable']}); "
            f"its output is in {log}"
        )
    if "problem" in found:
        raise ExportError(str(found["problem"]))
    return from_plain(Proof, found)


def verdict_of(parity: Parity) -> str:
    """Why a parity fails, in one clause: the kind of rows, by how much, and the worst row."""
    failed = [check for check in parity.checks if check.passed is False]
    first = next((check for check in failed if check.name == parity.worst_check), None)
    if first is None:
        return "it answers as the original does"
    others = ", ".join(f'"{check.name}"' for check in failed if check is not first)
    also = f" (as do the rows {others})" if others else ""
    worst = f", {first.worst}" if first.worst else ""
    return f'on the rows "{first.name}"{also} {first.why}{worst}'


def _variables() -> dict[str, str]:
    """The user's environment without PYTHONPATH, whose modules may be named like ours.

    Run from a source tree, mlbench is not on the path otherwise.
    """
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    home = Path(__file__).resolve().parents[2]
    if home.name in ("site-packages", "dist-packages"):
        return variables
    return {**variables, "PYTHONPATH": str(home)}
