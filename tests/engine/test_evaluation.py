"""Which stages evaluate a model, what they read beside it, and where that differs."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.graph import needs_of
from mlbench.domain.stages import ModelSpec, Out, Project, Stage
from mlbench.engine.evaluation import (
    Reading,
    asked_of,
    beside,
    differing,
    evaluation_of,
    reading_of,
)
from mlbench.engine.kept_scores import KeptScores, Scores
from mlbench.release.gates import OWN
from tests.release.test_facts import run_with

FILES = ("file:rows", "file:build/m", "file:build/m/x", "file:build/", "code:e.py")
NAMES = st.sampled_from((*FILES, "param:k", "command:cmd", "package:numpy", "python:python"))
PARTS = st.dictionaries(NAMES, st.sampled_from(["1", "2"]))


@given(PARTS, PARTS)
def test_readings_differ_where_something_beside_the_model_does(
    one: dict[str, str], other: dict[str, str]
) -> None:
    own = ("build/m",)
    found = differing(reading_of(one, own), reading_of(other, own))
    assert found == differing(reading_of(other, own), reading_of(one, own))
    machine = ("package:", "python:")
    kept = [
        {name: value for name, value in beside(parts, own).items() if not name.startswith(machine)}
        for parts in (one, other)
    ]
    assert bool(found) is (kept[0] != kept[1])
    assert not any(name.startswith("build") for name in found)


def test_only_what_leads_to_the_metrics_is_run_and_the_held_out_rows_are_data() -> None:
    stages = (
        Stage("prepare", ("a",), outs=(Out("rows"),)),
        Stage("train", ("b",), deps=("rows",), outs=(Out("model"), Out("scale"), Out("test.npz"))),
        Stage("score", ("c",), deps=("scored",), outs=(Out("scores.json"),)),
        Stage("predict", ("d",), deps=("model", "test.npz"), outs=(Out("scored"),)),
        Stage("plot", ("e",), deps=("scored",), outs=(Out("plot.png"),)),
        Stage("beside", ("f",), deps=("rows",), outs=(Out("other"),)),
    )
    project = Project("p", "python", 1, stages)
    model = ModelSpec("m", "train", "model", sample="test.npz")
    run = run_with(train={"loss": 0.1}, score={"f1": 0.9}, beside={"spread": 2.0})
    needs = needs_of(stages)
    found = evaluation_of(project, model, needs, run, ("f1", "loss", "spread", "unheard"))
    assert [stage.name for stage in found.stages] == ["predict", "score"]
    assert found.measured == {"f1"}
    assert found.others == {"loss", "spread"}
    assert set(found.own) == {"model", "scale", "scored", "scores.json", "plot.png"}
    parts = {"file:model": "1", "file:test.npz": "2", "file:scored": "3", "command:cmd": "4"}
    assert reading_of(parts, found.own) == Reading({"test.npz": "2"}, {"command:cmd": "4"})
    assert found.reads("model", ())
    assert not found.reads("scale", ("command:scale", "file:model"))
    assert found.reads("scale", ("file:scale",))


def test_a_gate_asks_of_others_what_it_names_of_them() -> None:
    model = ModelSpec("cut", "train", "m", predictions="p.csv")
    check = (
        'f1 > production.f1 and m["x/y"] > staging["x/y"] and onnx.bytes < production.onnx.bytes'
    )
    assert asked_of(model, check) == {
        OWN: frozenset({"f1", "x/y", "onnx.bytes"}),
        "production": frozenset({"f1"}),
        "staging": frozenset({"x/y"}),
    }
    assert asked_of(model, 'drop(f1, "a") < 1')["production"] == {"p.csv"}
    assert asked_of(model, 'worst(f1, "a") > 0 and f1 > 0').keys() == {OWN}
    assert "p.csv" in asked_of(model, 'worst(f1, "a") > 0')[OWN]
    assert asked_of(model, "f1 >") == {}


def test_only_the_newest_scores_are_kept(tmp_path: Path) -> None:
    kept = KeptScores(tmp_path / "state/scores.json", most=3)
    for number in range(4):
        kept.put(str(number), Scores({"evaluate": {"accuracy": float(number)}}, {}))
    assert kept.get("0") is None
    assert kept.get("1") == Scores({"evaluate": {"accuracy": 1.0}}, {})
    kept.put("1", Scores({}, {}))
    kept.put("new", Scores({}, {"p": "d"}))
    assert kept.get("1") == Scores({}, {})
    assert kept.get("2") is None
