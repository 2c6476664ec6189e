"""What an export leaves behind: the graph, the original's answers, the rows made to find faults."""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any

import probes
from framework import Answers, Converted, Rows, as_served, as_stored, is_frame
from refusal import Refusal, class_name, one_line, require


def write_model(folder: str, model: Any) -> None:
    """Write a graph as model.onnx, always the same bytes for the same graph."""
    with open(os.path.join(folder, "model.onnx"), "wb") as file:
        file.write(model.SerializeToString(deterministic=True))


def write_answers(
    folder: str, source: ModuleType, model: Any, converted: Converted, rows: Rows
) -> None:
    """Write answers.npz: the held-out rows as they are fed and as stored, and the answers.

    `in:<tensor>` is fed to the graph. `label` (n) and `scores` (n x k, float64) are the original's
    answers on the rows as a server gets them; `label_raw` and `scores_raw` those on the rows as
    stored, with `raw:<tensor>` (float64), where a server gets something else: a tree may branch
    differently. `y` is the truth, `classes` are those of the scores.
    """
    served = serve(source, rows, rows.X)
    given = {f"in:{name}": array for name, array in converted.inputs(served).items()}
    given["classes"] = plain(converted.classes)
    if rows.y is not None:
        given["y"] = plain(rows.y)
    answers = original_answers(source, model, served)
    if answers is not None:
        given.update(named(answers, "", converted.classes))
        raw = raw_inputs(rows.X, list(converted.inputs(served)))
        if raw and not (rows.double and served is rows.X):
            given.update({f"raw:{name}": array for name, array in raw.items()})
            stored = original_answers(source, model, rows.X)
            given.update(named(stored, "_raw", converted.classes))
    require("numpy").savez(os.path.join(folder, "answers.npz"), **given)


def write_probes(
    folder: str, source: ModuleType, model: Any, converted: Converted, rows: Rows
) -> dict[str, dict[str, str]]:
    """Write probes/<group>.npz for each kind of made rows; the kinds with what is left out."""
    np = require("numpy")
    os.makedirs(os.path.join(folder, "probes"), exist_ok=True)
    groups: dict[str, dict[str, str]] = {}
    some = serve(source, rows, rows.X[: probes.BASE_ROWS])
    made = {
        "missing": probes.missing(some),
        "unseen": probes.unseen(some, rows.X),
        "thresholds": source.threshold_rows(model, rows),
    }
    for group, probe in made.items():
        if probe is None or probe.X is None:
            groups[group] = {"why": probe.why if probe else "the model has no trees"}
            continue
        try:
            answers = source.answers(model, probe.X)
            fed = converted.inputs(probe.X)
        except Exception as error:  # each framework has its own
            groups[group] = {"why": f"{class_name(model)} refuses them: {one_line(error)}"}
            continue
        if answers is None:
            groups[group] = {"why": "there is no original to ask"}
            continue
        given = {f"in:{name}": array for name, array in fed.items()}
        given.update(named(answers, "", converted.classes))
        known = np.isfinite(given["scores"]).all(axis=1)
        if group == "missing" and not known.any():
            groups[group] = {"why": f"{class_name(model)} answers NaN"}
            continue
        if group == "missing":
            # What comes of NaN where it is not handled, operators need not agree on.
            given = {name: array[known] for name, array in given.items()}
        np.savez(os.path.join(folder, "probes", f"{group}.npz"), **given)
        if probe.why:
            groups[group] = {"about": probe.why}
    return groups


def serve(source: ModuleType, rows: Rows, X: Any) -> Any:
    """Rows X as a server gets them, by the framework's own lights where it has some."""
    if rows.double:
        return as_stored(X)
    return getattr(source, "served", as_served)(X)


def original_answers(source: ModuleType, model: Any, X: Any) -> Answers | None:
    """The original's answers; where it raises on its own rows, the sample is to blame."""
    try:
        answers: Answers | None = source.answers(model, X)
    except Refusal:
        raise
    except Exception as error:
        problem = f"{class_name(model)} fails on the sample: {one_line(error)}."
        remedy = "Hold out rows as they come to predict in training."
        raise Refusal("bad_sample", problem, remedy) from error
    return answers


def named(answers: Answers | None, suffix: str, classes: list[Any]) -> dict[str, Any]:
    """Answers as they are named in an archive.

    Where there are classes and the model itself says none, the label is that of the largest score.
    """
    np = require("numpy")
    if answers is None:
        return {}
    scores = np.asarray(answers.scores, dtype=np.float64)
    given = {f"scores{suffix}": scores.reshape(len(scores), -1)}
    label = answers.label
    if label is None and len(classes):
        label = np.asarray(classes)[given[f"scores{suffix}"].argmax(axis=1)]
    if label is not None:
        given[f"label{suffix}"] = plain(label)
    return given


def raw_inputs(X: Any, tensors: list[str]) -> dict[str, Any]:
    """Rows as stored, by tensor and as float64, where a server gets them less exactly."""
    np = require("numpy")
    if not is_frame(X):
        exact = X.dtype.kind in "biu" and bool((X.astype(np.float32) == X).all())
        keep = X.dtype == np.float64 or (X.dtype.kind in "iu" and not exact)
        return {tensors[0]: X.astype(np.float64)} if keep and len(tensors) == 1 else {}
    kinds = {name: getattr(X[name].dtype, "kind", "") for name in X.columns}
    if len(tensors) == 1:
        wide = any(kind in "iu" or X[name].dtype == np.float64 for name, kind in kinds.items())
        return {tensors[0]: X.to_numpy(dtype=np.float64)} if wide else {}
    wide_columns = [name for name in X.columns if X[name].dtype == np.float64]
    return {
        name: X[name].to_numpy(dtype=np.float64).reshape(-1, 1)
        for name in wide_columns
        if name in tensors
    }


def plain(values: Any) -> Any:
    """An array that .npz can hold without pickling: objects become text."""
    np = require("numpy")
    array = np.asarray(values)
    return array.astype(str) if array.dtype.kind not in "biufUS" else array
