"""optuna-dashboard, installed apart, opens a study's journal as it is."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.peers import python_with
from mlbench.sweeps.study import OptunaStudy
from tests.support import until
from tests.sweeps.spaces import BASE, SWEEP, score

pytestmark = pytest.mark.long


class Dashboard:
    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}"

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self._address}{path}", timeout=10) as answer:
            return json.load(answer)

    def post(self, path: str, body: Any) -> Any:
        request = urllib.request.Request(
            f"{self._address}{path}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def answers(self) -> bool:
        try:
            return bool(self.get("/api/studies"))
        except OSError:
            return False


@contextmanager
def dashboard(journal: Path, port: int) -> Iterator[Dashboard]:
    program = Path(python_with("optuna_dashboard", "optuna-dashboard")).with_name(
        "optuna-dashboard"
    )
    words = [str(program), str(journal), "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "OPTUNA_DASHBOARD_DISABLE_TELEMETRY": "1"}
    with subprocess.Popen(
        [*words, "--server", "wsgiref", "--quiet"], env=environment, stdin=subprocess.DEVNULL
    ) as server:
        shown = Dashboard(port)
        try:
            until(lambda: server.poll() is not None or shown.answers())
            assert server.poll() is None
            yield shown
        finally:
            server.terminate()


def test_the_dashboard_shows_every_trial_and_renaming_there_loses_none(
    tmp_path: Path, free_port: int
) -> None:
    journal = tmp_path / "journal.log"
    study = OptunaStudy.open(journal, SWEEP, BASE)
    asked = [study.ask() for _ in range(5)]
    for number, params in asked[:2]:
        study.report(number, 1, 0.5)
        study.complete(number, [score(params)], {"seconds": -1.0})
    study.prune(2)
    study.fail(3)
    study.enqueue({"train.alpha": 0.01})

    with dashboard(journal, free_port) as shown:
        (summary,) = shown.get("/api/studies")["study_summaries"]
        assert summary["study_name"] == "small"
        whole = shown.get(f"/api/studies/{summary['study_id']}")
        trials = whole["trials"]
        states = ["Complete", "Complete", "Pruned", "Fail", "Running", "Waiting"]
        assert [trial["state"] for trial in trials] == states
        assert whole["objective_names"] == ["accuracy"]
        for (number, params), trial in zip(asked, trials, strict=False):
            assert trial["number"] == number
            assert {one["name"] for one in trial["params"]} == set(params)
        for number, params in asked[:2]:
            assert trials[number]["values"] == [score(params)]
            assert trials[number]["intermediate_values"] == [{"step": 1, "value": 0.5}]
        # It follows while the study goes on, as the study follows it.
        study.complete(4, [0.75], {})
        until(lambda: shown.get("/api/studies/0")["trials"][4]["state"] == "Complete")
        shown.post("/api/studies/0/rename", {"study_name": "another name"})

    again = OptunaStudy.open(journal, SWEEP, BASE)
    assert [trial.params for trial in again.known()][:5] == [params for _, params in asked]
    number, params = again.ask()
    again.complete(number, [score(params)], {})
    assert again.known()[number].values == (score(params),)
