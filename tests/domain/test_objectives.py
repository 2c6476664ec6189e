"""What is written as an objective."""

from __future__ import annotations

import pytest

from mlbench.domain.objectives import read_metric, read_objective
from mlbench.domain.sweeps import Objective


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("loss", "loss"),
        ("val/loss", "val/loss"),
        ("metrics.loss", "metrics.loss"),
        ('m["val/loss"]', "metrics.val/loss"),
        (" metrics['val loss'] ", "metrics.val loss"),
        ('m["val/loss"] + 1', 'm["val/loss"] + 1'),
        ('m["val', 'm["val'),
    ],
)
def test_a_metric_is_named_as_in_gates(text: str, name: str) -> None:
    assert read_metric(text) == name


def test_an_objective_has_a_direction_and_a_metric() -> None:
    assert read_objective('minimize m["val loss"]') == Objective("metrics.val loss", "minimize")
    assert read_objective("minimise loss") is None
    assert read_objective("maximize ") is None
