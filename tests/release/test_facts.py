"""What gates see: the metrics of related stages, the export, and what is live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mlbench.domain.outcomes import RunOutcome, StageOutcome
from mlbench.domain.release import Candidate, ParityCheck
from mlbench.domain.runs import CodeState, Run, StageRecord
from mlbench.domain.stages import GateSpec, ModelSpec, Out, Project, Stage
from mlbench.engine.facts import gate_facts
from mlbench.release.facts import onnx_facts
from mlbench.release.gates import judge_gate
from tests.release.conftest import PARITY, made

MODEL = ModelSpec("digits", "train", "model")
PROJECT = Project(
    name="digits",
    python="python",
    jobs=1,
    stages=(
        Stage("prepare", ("a",), outs=(Out("clean"),)),
        Stage("train", ("b",), deps=("clean",), outs=(Out("model"),)),
        Stage("evaluate", ("c",), deps=("model",), outs=(Out("scores.json"),)),
        Stage("beside", ("d",), deps=("clean",), outs=(Out("other"),)),
        Stage("alone", ("e",), outs=(Out("else"),)),
    ),
    models=(MODEL,),
)


def run_with(**metrics: Mapping[str, float]) -> Run:
    """A passed run whose stages gave these metrics, merged in the order of the stages."""
    stages = {
        name: StageRecord(StageOutcome.RAN, 1.0, "key", "run-1", metrics=values)
        for name, values in metrics.items()
    }
    merged = {name: value for values in metrics.values() for name, value in values.items()}
    return Run(
        id="run-1",
        name="brave-otter",
        outcome=RunOutcome.PASSED,
        origin="manual",
        by="ada",
        started="2026-11-23T09:15:02.000Z",
        seconds=12.0,
        code=CodeState(),
        params={"seed": 7},
        metrics=merged,
        stages=stages,
    )


RUN = run_with(
    prepare={"rows": 10.0},
    train={"loss": 0.1},
    evaluate={"accuracy": 0.9},
    beside={"accuracy": 0.1, "f1": 0.1},
    alone={"cost": 3.0},
)


def test_metrics_come_from_the_stage_those_before_and_those_built_from_it() -> None:
    facts = gate_facts(PROJECT, MODEL, RUN, None, {})
    assert facts["metrics"] == {"rows": 10.0, "loss": 0.1, "accuracy": 0.9}
    assert facts["params"] == {"seed": 7}
    assert facts["stages"]["evaluate.passed"] is True
    assert facts["onnx"] == {}
    assert "production" not in facts


def test_the_exported_models_metrics_are_facts() -> None:
    parity = replace(PARITY, exported_metrics={"accuracy": 0.97, "f1": 0.9}, label_flips=2)
    candidate = replace(made(1), parity=parity)
    assert onnx_facts(candidate) == {
        "accuracy": 0.97,
        "f1": 0.9,
        "label_flips": 2.0,
        "max_abs_error": parity.max_abs_error,
        "max_rel_error": parity.max_rel_error,
        "bytes": 100.0,
        **candidate.latency,
    }
    check = GateSpec("onnx.accuracy >= 0.97 and onnx.bytes < 1e6")
    facts = gate_facts(PROJECT, MODEL, RUN, candidate, {})
    assert judge_gate("digits", check, facts).passed is True


def test_a_model_that_is_no_onnx_has_its_size_alone() -> None:
    candidate = replace(made(1), parity=None, signature=None, latency={}, format="file")
    assert onnx_facts(candidate) == {"bytes": 100.0}


def test_what_is_live_is_seen_with_the_metrics_of_the_same_stages() -> None:
    candidate = made(1)
    facts = gate_facts(PROJECT, MODEL, run_with(), candidate, {"production": (RUN, candidate)})
    assert facts["onnx"] == onnx_facts(candidate)
    assert facts["production"]["accuracy"] == 0.9
    assert "f1" not in facts["production"]
    assert facts["production"]["onnx.p99_ms"] == candidate.latency["p99_ms"]
    check = GateSpec("onnx.p99_ms <= production.onnx.p99_ms and production.accuracy > 0.8")
    assert judge_gate("digits", check, facts).passed is True


def test_the_baseline_is_seen_with_the_metrics_of_the_same_stages() -> None:
    facts = gate_facts(PROJECT, MODEL, run_with(evaluate={"accuracy": 0.95}), None, {}, RUN)
    assert facts["baseline"] == {"rows": 10.0, "loss": 0.1, "accuracy": 0.9}
    better = judge_gate("digits", GateSpec("accuracy > baseline.accuracy"), facts)
    assert (better.passed, better.threshold) == (True, 0.9)


def test_what_is_live_may_have_its_metrics_from_a_stage_that_was_renamed() -> None:
    older = run_with(fit={"loss": 0.2, "rows": 1.0}, prepare={"rows": 9.0}, beside={"f1": 0.1})
    facts = gate_facts(PROJECT, MODEL, RUN, None, {"production": (older, made(1))})
    assert {name: facts["production"].get(name) for name in ("loss", "rows", "f1")} == {
        "loss": 0.2,
        "rows": 9.0,
        "f1": None,
    }


def test_a_run_that_lost_its_details_has_all_its_metrics() -> None:
    stages = {name: replace(record, metrics={}) for name, record in RUN.stages.items()}
    facts = gate_facts(PROJECT, MODEL, replace(RUN, stages=stages), None, {})
    assert facts["metrics"] == dict(RUN.metrics)


def test_a_metric_may_be_called_as_a_field_of_the_run() -> None:
    facts = gate_facts(PROJECT, MODEL, run_with(train={"seconds": 5.0}), None, {})
    result = judge_gate("digits", GateSpec("seconds <= 6"), facts)
    assert (result.passed, result.value) == (True, 5.0)


def alone() -> Candidate:
    """A candidate of a ready-made model: its answers were compared with nothing."""
    checks = (ParityCheck("held-out", None, rows=30), ParityCheck("one by one", True, rows=30))
    parity = replace(PARITY, checks=checks, exported_metrics={"accuracy": 0.9})
    return replace(made(1), parity=parity)


def test_without_an_original_no_error_is_known() -> None:
    assert onnx_facts(alone()).keys() == {"accuracy", "bytes", "p50_ms", "p99_ms"}


def test_a_gate_over_an_error_that_nobody_could_measure_fails_and_says_so() -> None:
    facts = gate_facts(PROJECT, MODEL, RUN, alone(), {})
    judged = judge_gate("digits", GateSpec("onnx.max_rel_error <= 1e-4"), facts)
    assert judged.passed is False
    assert judged.why == (
        "onnx.max_rel_error has no value: there is no original to compare the exported model with; "
        "gate what it scores instead, such as onnx.accuracy"
    )
