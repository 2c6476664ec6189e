"""Run an exported model on every kind of rows and compare: `python -m mlbench.release.proving DIR`.

DIR is what an exporter wrote (model.onnx, answers.npz, probes/*.npz, report.json). Where
origin.json says where the model comes from, that is written into it before: parsed, a graph takes
several times its size in memory, which the loop's own process should not. proof.json is written
there, with the proof or, where onnxruntime can't load the model, the `problem`; where it is no
ONNX at all, `unreadable` names the error.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mlbench.domain.plain import from_plain, to_plain
from mlbench.domain.release import ParityCheck, Signature
from mlbench.release.answers import Answers, Array
from mlbench.release.exported import SAYS_OUTSIDE, ExportedModel
from mlbench.release.folders import ANSWERS_NAME, MODEL_NAME
from mlbench.release.metadata import Provenance, stamp
from mlbench.release.parity import combine, compare
from mlbench.release.proof import HELD_OUT, ONE_BY_ONE, ORIGIN_NAME, PROOF_NAME, RAW, Proof
from mlbench.release.scores import Truth, scored
from mlbench.release.worst import Shown
from mlbench.system.files import read_json, write_json

SINGLE_ROWS = 32
_COMPARED_ROWS = 8
_LONGEST_REASON = 300
_PROBES = ("missing", "unseen", "thresholds")
_STEPPED, _BLANKED = "thresholds", "missing"
_LOST_REMEDY = (
    "a served model sees float32, which can't hold these rows as they are stored: "
    "scale them or subtract an offset in a stage before training, or train on float32"
)
_EDGE_REMEDY = (
    "a served model sees float32, and that row lies so near to where the model splits that the "
    "rounding decides: train on float32 rows, such as X.astype(np.float32), and hold out such rows"
)
_TEXT_REMEDY = (
    "a missing text is served as an empty one, since tensors of text have no other word for it: "
    "let the pipeline itself fill it in (SimpleImputer), not the code before it"
)
_LOST = 1e-5  # of a column's spread
_NO_ORIGINAL = "there is no original to compare with"

Arrays = Mapping[str, Array]


def prove(folder: Path) -> Proof:
    """Parity over every kind of rows in `folder`, the metrics of both models, and the latency.

    Raises whatever onnxruntime does where it can't load the model.
    """
    report = read_json(folder / "report.json") or {}
    signature = from_plain(Signature, report.get("signature") or {"inputs": [], "outputs": []})
    model = ExportedModel(folder / MODEL_NAME)
    held_out = read_arrays(folder / ANSWERS_NAME)
    feeds, original = _tensors(held_out, "in:"), _answers_in(held_out, "")
    departs = model.departs_from(signature) if signature.inputs else ""
    if departs:
        return Proof(combine([_failed(HELD_OUT, feeds, departs)], {}, {}), {})
    try:
        exported = model.answers(feeds, original)
        latency = model.latency({name: tensor[:1] for name, tensor in feeds.items()})
    except Exception as error:  # onnxruntime's errors share no other class
        return Proof(combine([_failed(HELD_OUT, feeds, _fails(error))], {}, {}), {})
    classes = held_out.get("classes", np.empty(0))
    shown = Shown(feeds, signature.columns, classes)
    checks = [
        *_held_out_checks(model, held_out, exported, shown),
        *_probe_checks(model, folder, report.get("groups") or {}, shown),
    ]
    truth = Truth(held_out.get("y"), classes)
    metrics = scored(truth, original), scored(truth, _labelled(exported, classes))
    parity = combine(checks, *metrics)
    return Proof(parity, latency, timings=_timings(model, feeds) if parity.passed else {})


def read_arrays(path: Path) -> dict[str, Array]:
    """The arrays of an .npz; ValueError for one that would have to be unpickled."""
    with np.load(path, allow_pickle=False) as saved:
        return {name: saved[name] for name in saved.files}


def main() -> int:
    """Prove what lies in the folder that the call names, and write how that went."""
    folder = Path(sys.argv[1])
    write_json(folder / PROOF_NAME, _stamped_and_proven(folder))
    return 0


def _stamped_and_proven(folder: Path) -> dict[str, Any]:
    origin, graph = read_json(folder / ORIGIN_NAME), ""
    if isinstance(origin, dict):
        try:
            graph = stamp(folder / MODEL_NAME, from_plain(Provenance, origin))
        except Exception as error:  # protobuf's own
            traceback.print_exc()
            return {"unreadable": type(error).__name__}
    try:
        return {**to_plain(prove(folder)), "graph": graph}
    except Exception as error:
        traceback.print_exc()
        return {"problem": _unloadable(error)}


def _timings(model: ExportedModel, feeds: Arrays) -> dict[str, float]:
    """Of batches only where each row of every output is the model's answer to that row alone."""
    some = {name: rows[:_COMPARED_ROWS] for name, rows in feeds.items()}
    return model.timings(feeds, alone=not model.answers_alone(some))


def _held_out_checks(
    model: ExportedModel, held_out: Arrays, exported: Answers, shown: Shown
) -> Iterator[ParityCheck]:
    """The held-out rows at once, as stored, and one by one."""
    original = _answers_in(held_out, "")
    singles = replace(
        shown, inputs={name: rows[:SINGLE_ROWS] for name, rows in shown.inputs.items()}
    )
    if original.rows is None:
        yield _unlike_itself(
            compare(HELD_OUT, exported, model.answers(shown.inputs, original), shown)
        )
        yield ParityCheck(RAW, None, why=_NO_ORIGINAL)
        alone = _checked(ONE_BY_ONE, _head(exported), model.one_by_one, singles)
        # Its worst row would show answers of an original, which there is none of.
        yield replace(alone, worst="") if alone.passed else alone
        return
    yield compare(HELD_OUT, original, exported, shown)
    raw = _answers_in(held_out, "_raw")
    if raw.rows is None:
        yield ParityCheck(RAW, None, why="the rows as stored are those that the model is fed")
    else:
        check = compare(RAW, raw, exported, replace(shown, stored=_tensors(held_out, "raw:")))
        remedy = _raw_remedy(_tensors(held_out, "raw:"), shown.inputs, check.worst_row)
        yield check if check.passed else replace(check, why=f"{check.why}; {remedy}")
    yield _checked(ONE_BY_ONE, _head(original), model.one_by_one, singles)


def _labelled(answers: Answers, classes: Array) -> Answers:
    """With the class of the best score as the label, where a graph has scores alone."""
    scores = answers.scores
    if answers.label is not None or scores is None or not 1 < scores.shape[1] == len(classes):
        return answers
    return Answers(classes[scores.argmax(axis=1)], scores)


def _raw_remedy(stored: Arrays, fed: Arrays, row: int) -> str:
    """What to do where rows differ from what is fed, by whether the cast lost much of that row."""
    for name, rows in stored.items():
        spread = np.nanstd(rows, axis=0) if len(rows) > 1 else np.ones(rows.shape[1:])
        change = np.abs(rows[row] - fed[name][row].astype(np.float64))
        if (np.nan_to_num(change) > _LOST * np.nan_to_num(spread)).any():
            return _LOST_REMEDY
    return _EDGE_REMEDY


def _unlike_itself(check: ParityCheck) -> ParityCheck:
    """Without an original, a model run twice must at least give the same answers, to the bit."""
    if check.max_abs_error == 0 and check.label_flips == 0:
        return ParityCheck(HELD_OUT, None, rows=check.rows, why=_NO_ORIGINAL)
    why = f"{_NO_ORIGINAL}, and the model's own answers to the same rows differ from run to run"
    return replace(check, passed=False, why=why)


def _probe_checks(
    model: ExportedModel, folder: Path, groups: Mapping[str, Any], shown: Shown
) -> Iterator[ParityCheck]:
    """Rows that the exporter made to find faults; one kind at a time is in memory."""
    for name in _PROBES:
        path = folder / "probes" / f"{name}.npz"
        told = groups.get(name) or {}
        if not path.exists():
            why = told.get("why") or "the exporter made no such rows"
            yield ParityCheck(name, None, why=why)
            continue
        probes = read_arrays(path)
        feeds, original = _tensors(probes, "in:"), _answers_in(probes, "")
        made = replace(shown, inputs=feeds)
        check = _checked(name, original, model.answers, made, steps=name == _STEPPED)
        if name == _BLANKED and not check.passed and any(map(_is_text, feeds.values())):
            check = replace(check, why=f"{check.why}; {_TEXT_REMEDY}")
        yield check if check.why else replace(check, why=told.get("about", ""))


def _checked(
    name: str,
    original: Answers,
    ask: Callable[[Arrays, Answers], Answers],
    shown: Shown,
    *,
    steps: bool = False,
) -> ParityCheck:
    """A comparison, or that the exported model failed where the original answered."""
    try:
        exported = ask(shown.inputs, original)
    except Exception as error:  # onnxruntime's errors share no other class
        return _failed(name, shown.inputs, _fails(error))
    return compare(name, original, exported, shown, steps=steps)


def _failed(name: str, feeds: Arrays, why: str) -> ParityCheck:
    return ParityCheck(name, False, rows=len(next(iter(feeds.values()))), why=why)


def _fails(error: Exception) -> str:
    return f"the exported model fails on them: {_one_line(error)}"


def _unloadable(error: Exception) -> str:
    """Why there is no proof, with what to do: the exporter's onnx may be newer than onnxruntime."""
    import onnxruntime

    reason = _one_line(error)
    if any(words in reason.lower() for words in SAYS_OUTSIDE):
        return "the exported model keeps tensors outside its file; export it as one file"
    return (
        f"onnxruntime {onnxruntime.__version__} can't load the exported model: {reason}; upgrade "
        "onnxruntime beside mlbench, or install an older onnx for the project's interpreter"
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:_LONGEST_REASON] or type(error).__name__


def _is_text(array: Array) -> bool:
    return array.dtype.kind == "U"


def _tensors(arrays: Arrays, prefix: str) -> dict[str, Array]:
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def _answers_in(arrays: Arrays, suffix: str) -> Answers:
    scores = arrays.get(f"scores{suffix}")
    flat = None if scores is None else scores.reshape(len(scores), -1).astype(np.float64)
    return Answers(arrays.get(f"label{suffix}"), flat)


def _head(answers: Answers) -> Answers:
    """The answers to the first rows, those that are asked one by one."""
    label, scores = answers.label, answers.scores
    return Answers(
        None if label is None else label[:SINGLE_ROWS],
        None if scores is None else scores[:SINGLE_ROWS],
    )


if __name__ == "__main__":
    sys.exit(main())
