"""Judge the model on the held-out digits: metrics for the gates, a figure for people."""

from __future__ import annotations

import json
from pathlib import Path

import joblib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, recall_score

DIGITS = range(10)


def score(truth: NDArray[np.int64], predicted: NDArray[np.int64]) -> dict[str, float]:
    """Accuracy, macro F1, and each digit's recall as `recall.0` to `recall.9`."""
    recalls = recall_score(truth, predicted, labels=DIGITS, average=None, zero_division=0.0)
    return {
        "accuracy": float(accuracy_score(truth, predicted)),
        "f1_macro": float(f1_score(truth, predicted, average="macro")),
        **{f"recall.{digit}": float(recalls[digit]) for digit in DIGITS},
    }


def draw_confusion(truth: NDArray[np.int64], predicted: NDArray[np.int64]) -> Figure:
    """How often each digit (row) was taken for each other one (column)."""
    counts = confusion_matrix(truth, predicted, labels=DIGITS)
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.imshow(counts, cmap="Blues")
    axes.set(xlabel="predicted", ylabel="truth", xticks=DIGITS, yticks=DIGITS)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if count > counts.max() / 2 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour)
    return figure


def main() -> None:
    """Read build/model.joblib and build/test.npz, write build/metrics.json and confusion.png."""
    rows = np.load("build/test.npz")
    truth, predicted = rows["y"], joblib.load("build/model.joblib").predict(rows["X"])

    metrics = score(truth, predicted)
    Path("build/metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    draw_confusion(truth, predicted).savefig("build/confusion.png", dpi=100)
    print(f"accuracy {metrics['accuracy']:.4f}  macro F1 {metrics['f1_macro']:.4f}")


if __name__ == "__main__":
    main()
