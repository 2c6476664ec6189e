"""Which gates a trial can answer for."""

from __future__ import annotations

from mlbench.domain.stages import GateSpec, ModelSpec, Project, Stage
from mlbench.engine.sweeping.judging import with_gates_over


def test_gates_over_stages_that_a_trial_does_not_run_are_left_out() -> None:
    checks = ("accuracy >= 0.9", "tests.passed", "stages.tests.passed", "stages.train.seconds < 9")
    model = ModelSpec("m", "train", "model", gates=tuple(map(GateSpec, checks)))
    other = ModelSpec("o", "tests", "report", gates=(GateSpec("accuracy > 0"),))
    stages = tuple(Stage(name, ("true",)) for name in ("train", "evaluate", "tests"))
    project = Project("p", "python", 1, stages, (model, other))
    (kept,) = with_gates_over(project, {"train", "evaluate"}).models
    assert [gate.check for gate in kept.gates] == [checks[0], checks[3]]
