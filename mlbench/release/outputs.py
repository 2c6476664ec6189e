"""Which of a graph's outputs are labels and which are scores, by their names: pure."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlbench.release.answers import Answers, Array

LABEL = "label"
SCORES = ("probabilities", "prediction")


def answers_in(outputs: Mapping[str, Array], rows: int, like: Answers) -> Answers:
    """Labels by their name; scores by theirs, else the first output of floats, else all numbers.

    `outputs` are in the graph's order, each of `rows` rows. `like` is what the original answered:
    without a `label` among the outputs, the place of the best score is one.
    """
    label = outputs.get(LABEL)
    scores = next((outputs[name] for name in SCORES if name in outputs), None)
    numbers = [
        output.reshape(rows, -1)
        for name, output in outputs.items()
        if output.dtype.kind not in "OUS" and name != LABEL
    ]
    floats = [output for output in numbers if output.dtype.kind == "f"] or numbers
    if scores is None and floats:
        several = like.scores is not None and like.scores.shape[1] != floats[0].shape[1]
        scores = np.concatenate(numbers, axis=1) if several else floats[0]
    if scores is not None:
        scores = scores.reshape(rows, -1).astype(np.float64)
    if label is None and like.label is not None and scores is not None:
        label = scores.argmax(axis=1)
    return Answers(label, scores)
