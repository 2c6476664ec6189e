"""What gates rest on beside the facts: out of a real record, cache and registry, and a real run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlbench.domain.release import Candidate, GateResult
from mlbench.domain.runs import Run
from mlbench.domain.stages import GateSpec, ModelSpec
from mlbench.engine.gate_evidence import Live, baseline_of, evidence_of
from mlbench.project.layout import Layout
from mlbench.release.gates import judge_gate
from mlbench.release.registry import Registry
from mlbench.system.content import ContentStore, hash_file
from mlbench.tracking.store import ExperimentStore
from tests.release.conftest import made as made_candidate
from tests.support import SmallProject
from tests.tracking.conftest import made

TABLE = "build/predictions.csv"
MODEL = ModelSpec("digits", "train", "model", predictions=TABLE)
WORSE, BETTER = "truth,prediction,site\n1,1,a\n1,0,b\n", "truth,prediction,site\n1,1,a\n1,1,b\n"


class Record:
    """A project's real store, cache and registry."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)
        self.layout.own.mkdir()
        self.store = ExperimentStore(self.layout)
        self.cache = ContentStore(self.layout.cache)
        self.registry = Registry(self.layout.models)
        self.root = root

    def add(self, number: int, score: float, table: str = "", key: str = "") -> Run:
        run = made(number, metrics={"score": score}, key=key)
        if table:
            path = self.root / "table"
            path.write_text(table)
            digest = hash_file(path)
            self.cache.put(path, digest)
            stages = {
                name: replace(record, outs={TABLE: digest}) for name, record in run.stages.items()
            }
            run = replace(run, stages=stages)
        self.store.add(run)
        return run

    def judge(self, check: str, run: Run, live: Live, baseline: Run | None = None) -> GateResult:
        evidence = evidence_of(
            MODEL,
            run,
            None,
            live,
            baseline=baseline,
            store=self.store,
            cache=self.cache,
            registry=self.registry,
        )
        facts: dict[str, Any] = {"metrics": dict(run.metrics)}
        facts |= {root: dict(of.metrics) for root, (of, _) in live.items()}
        if baseline is not None:
            facts["baseline"] = dict(baseline.metrics)
        return judge_gate("digits", GateSpec(check, min_rows=1), facts, evidence)


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return Record(tmp_path)


def test_tables_come_from_the_cache_by_what_each_run_gave(record: Record) -> None:
    run, live = record.add(1, 0.5, WORSE), record.add(2, 1.0, BETTER)
    on_production = {"production": (live, made_candidate(2))}
    result = record.judge('drop(accuracy, "site") < 0.01', run, on_production)
    assert (result.passed, result.value) == (False, 1.0)
    assert "site=b loses most" in result.why


def test_a_table_that_was_kept_with_a_version_outlives_the_cache(record: Record) -> None:
    run, live = record.add(1, 0.5, WORSE), record.add(2, 1.0)
    version: Candidate = made_candidate(2)
    folder = record.registry.folder_of(version)
    folder.mkdir(parents=True)
    (folder / "predictions.csv").write_text(BETTER)
    result = record.judge('drop(accuracy, "site") < 0.01', run, {"production": (live, version)})
    assert (result.passed, result.value) == (False, 1.0)


def test_without_any_table_the_gate_fails_and_what_is_wrong_in_one_names_the_run(
    record: Record,
) -> None:
    none = record.judge('worst(accuracy, "site") > 0', record.add(1, 0.5), {})
    assert "no predictions to slice" in none.why
    broken = record.judge('worst(accuracy, "site") > 0', record.add(2, 0.5, "truth\n1\n"), {})
    assert broken.passed is False
    assert broken.why.startswith(f"run brave-2: {TABLE}: has no column prediction")


def test_repeats_are_found_for_the_run_what_is_live_and_the_baseline(record: Record) -> None:
    own = [record.add(number, score, key="k") for number, score in enumerate([0.8, 0.9, 1.0], 1)]
    live = record.add(4, 0.95)
    result = record.judge(
        "score >= production.score", own[2], {"production": (live, made_candidate(4))}
    )
    assert result.value == pytest.approx(0.9)
    assert result.passed is True
    assert result.why.startswith("within the noise (±")
    assert "of 2 repeats" in result.why
    turned = record.judge("score >= baseline.score", live, {}, own[0])
    assert turned.threshold == pytest.approx(0.9)
    assert "baseline.score is the mean of 3 equal runs, 0.8 in that one" in turned.why


def test_the_baseline_is_looked_for_where_a_gate_names_it(record: Record) -> None:
    run = record.add(1, 0.5)
    asking = replace(MODEL, gates=(GateSpec("score > baseline.score"),))
    assert baseline_of(asking, record.store) is None
    since = replace(run, marks=replace(run.marks, baseline_since="2026-11-23T10:00:00Z"))
    record.store.add(since)
    assert baseline_of(asking, record.store) == record.store.get(run.id)
    assert baseline_of(MODEL, record.store) is None


CONFIG = """\
[project]
name = "sliced"

[stages.train]
cmd = "python -S -E train.py"
deps = ["train.py"]
outs = ["model.txt", "predictions.csv"]

[models.sliced]
stage = "train"
path = "model.txt"
format = "file"
predictions = "predictions.csv"
gates = [
  {check = 'worst(accuracy, "site") >= 0.9', min_rows = 2},
  'gap(recall, "site") < 0.1',
  'drop(accuracy, "site") < 0.01',
]
"""
TRAIN = """\
open("model.txt", "w").write("m")
open("predictions.csv", "w").write("truth,prediction,site\\n1,1,a\\n0,0,a\\n1,1,b\\n1,0,b\\n")
"""


def test_a_run_is_judged_by_the_slices_of_what_it_predicted(tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    project.write("mlbench.toml", CONFIG)
    project.write("train.py", TRAIN)
    done = project.cli("run", "--json", "--check")
    assert done.returncode == 3, done.stderr
    worst, gap, drop = json.loads(done.stdout.splitlines()[-1])["gates"]
    assert (worst["passed"], worst["value"]) == (False, 0.5)
    assert "accuracy is worst at site=b: 0.5 of 2 rows" in worst["why"]
    assert (gap["passed"], gap["why"].partition(";")[0]) == (
        None,
        "every slice by site has fewer than 30 rows",
    )
    assert drop["why"] == "nothing is live in production yet"
    again = project.cli("run", "--json", "--check")
    assert again.returncode == 3
    assert json.loads(again.stdout.splitlines()[-1])["gates"][0] == worst


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ('worst(acuracy, "site") > 0', 'no metric acuracy (did you mean "accuracy"?)'),
        ('wurst(accuracy, "site") > 0', 'no function wurst (did you mean "worst"?)'),
    ],
)
def test_a_gate_that_means_nothing_is_found_when_the_project_is_read(
    tmp_path: Path, gate: str, said: str
) -> None:
    project = SmallProject(tmp_path)
    project.write("mlbench.toml", CONFIG.replace('gap(recall, "site") < 0.1', gate))
    refused = project.cli("status")
    assert refused.returncode == 2
    assert "mlbench.toml:" in refused.stderr
    assert said in refused.stderr


def test_a_gate_by_slice_needs_its_table_named(tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    project.write("mlbench.toml", CONFIG.replace('predictions = "predictions.csv"\n', ""))
    refused = project.cli("status")
    assert refused.returncode == 2
    assert "name their table in `predictions`" in refused.stderr
    where = project.cli("runs", "--where", 'worst(accuracy, "site") > 0')
    assert where.returncode == 2
