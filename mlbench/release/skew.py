"""Training–serving skew: what a server answers beside what the training code's own predict said.

The rows go out as they are stored, before anything rounds them, and the answers come back as a
client gets them: so a cast, a column out of place or a lost class shows here, whoever made it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlbench.domain.phrases import plural
from mlbench.domain.release import GateResult, Signature
from mlbench.release.answers import Answers, Array
from mlbench.release.outputs import answers_in
from mlbench.release.parity import TOLERANCE, compare
from mlbench.release.worst import Shown

GATE = "served answers agree"
MOST_ROWS = 512
_MOST_ELEMENTS = 100_000
_FED, _STORED, _OF_STORED = "in:", "raw:", "_raw"


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """Held-out rows by input, as stored, and the training code's own answers to them.

    `left_out` counts rows that JSON can't hold, for it has no word for NaN.
    """

    inputs: Mapping[str, Array]
    original: Answers
    left_out: int = 0

    @property
    def rows(self) -> int:
        """How many there are."""
        return min((len(array) for array in self.inputs.values()), default=0)

    def batches(self) -> Iterator[dict[str, Array]]:
        """The rows in pieces that make small requests."""
        width = sum(array[:1].size for array in self.inputs.values())
        size = max(1, _MOST_ELEMENTS // max(width, 1))
        for start in range(0, self.rows, size):
            yield {name: array[start : start + size] for name, array in self.inputs.items()}


def held_out(answers: Path, signature: Signature) -> HeldOut | None:
    """The rows of an `answers.npz`; None where it lacks an input of the signature.

    OSError or ValueError where the file can't be read.
    """
    with answers.open("rb") as file, np.load(file, allow_pickle=False) as saved:
        found = {name: saved[name] for name in saved.files}
    inputs = {}
    for spec in signature.inputs:
        stored = found.get(f"{_STORED}{spec.name}") if spec.datatype.startswith("FP") else None
        given = found.get(f"{_FED}{spec.name}") if stored is None else stored
        if given is None:
            return None
        inputs[spec.name] = given
    is_stored = any(name.startswith(_STORED) for name in found)
    suffix = _OF_STORED if is_stored and f"scores{_OF_STORED}" in found else ""
    label, scores = found.get(f"label{suffix}"), found.get(f"scores{suffix}")
    return _that_json_holds(inputs, label, scores)


def _that_json_holds(
    inputs: Mapping[str, Array], label: Array | None, scores: Array | None
) -> HeldOut:
    rows = min((len(array) for array in inputs.values()), default=0)
    good = np.ones(rows, dtype=bool)
    for array in inputs.values():
        if array.dtype.kind == "f":
            good &= np.isfinite(array).reshape(rows, -1).all(axis=1)
    kept = np.flatnonzero(good)[:MOST_ROWS]
    original = Answers(
        None if label is None else label[kept], None if scores is None else scores[kept]
    )
    taken = {name: array[kept] for name, array in inputs.items()}
    return HeldOut(taken, original, int(rows - good.sum()))


def served_answers(
    responses: Sequence[Mapping[str, Any]], signature: Signature, asked: HeldOut
) -> Answers:
    """What responses of the protocol answer to these rows, in order, as far as there is its like.

    ValueError where a response lacks an output of the signature, or rows.
    """
    outputs = {spec.name: _joined(responses, spec.name) for spec in signature.outputs}
    for name, output in outputs.items():
        if len(output) != asked.rows:
            raise ValueError(f'its output "{name}" has {len(output)} rows for {asked.rows}')
    answers = answers_in(outputs, asked.rows, asked.original)
    label, wanted = answers.label, asked.original.label
    if label is None or wanted is None:
        return Answers(None, answers.scores)
    if label.size != wanted.size:
        raise ValueError(f"it gives {label.size} labels for {wanted.size}")
    return Answers(label.reshape(wanted.shape), answers.scores)


def _joined(responses: Sequence[Mapping[str, Any]], name: str) -> Array:
    parts = []
    for response in responses:
        given = {output["name"]: output for output in response["outputs"]}
        if name not in given:
            raise ValueError(f'its answer lacks the output "{name}"')
        output = given[name]
        kind = np.float64 if output["datatype"].startswith("FP") else None
        parts.append(np.asarray(output["data"], dtype=kind).reshape(output["shape"]))
    return np.concatenate(parts)


def judge_served(model: str, signature: Signature, asked: HeldOut, served: Answers) -> GateResult:
    """Whether the server's answers are the training code's own, as a gate.

    The value is the largest relative error, within parity's tolerance; labels may flip only within
    its margin. Without an original there is nothing to compare with, and that is said.
    """
    rows = f"{plural(asked.rows, 'held-out row')} over HTTP"
    without = f"; {asked.left_out} with NaN left out, which JSON can't hold"
    rows += without if asked.left_out else ""
    if asked.original.rows is None:
        why = f"answers {rows}; there is no original to compare with"
        return GateResult(GATE, model, "error", True, why=why)
    shown = Shown(asked.inputs, signature.columns, signature.classes)
    check = compare(GATE, asked.original, served, shown)
    why = rows if check.passed else f"{rows}: {check.why}; {check.worst}"
    error = check.max_rel_error
    value = error if np.isfinite(error) else None
    margin = None if value is None else TOLERANCE - value
    return GateResult(GATE, model, "error", check.passed, value, TOLERANCE, margin, why)


def not_judged(model: str, why: str) -> GateResult:
    """The gate where it does not apply."""
    return GateResult(GATE, model, "error", None, why=why)
