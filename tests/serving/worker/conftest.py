"""Versions in memory as a worker has them, without its process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mlbench.domain.release import DeployedModel, Deployment
from mlbench.serving.counters import Counters
from mlbench.serving.running.loading import load
from mlbench.serving.running.runner import make_runner
from mlbench.serving.worker.memory import Memory
from mlbench.serving.worker.table import Served
from tests.serving.conftest import SIGNATURE, multiplier, save

MakeModel = Callable[..., DeployedModel]


@pytest.fixture
def model(tmp_path: Path) -> MakeModel:
    """Versions of the multiplier, which gives x * version and its version; quick by its timings."""

    def make(version: int, name: str = "multiplier") -> DeployedModel:
        path = tmp_path / name / str(version) / "model.onnx"
        digest = save(multiplier(version), path)
        made = DeployedModel(name, version, digest, "run", str(path), SIGNATURE)
        return replace(made, timings={"1": 0.01, "64": 0.02})

    return make


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    """A worker's memory that loads from files, counting below the test's own folder."""

    def loaded(deployed: DeployedModel, deployment: Deployment) -> Served:
        version = str(deployed.version)
        counters = Counters(tmp_path / "counters", deployed.name, version, 0)
        found = load(deployed)
        runner = make_runner(found, deployment.settings, counters, 1)
        return Served.of(deployed, runner, counters)

    made = Memory(loaded)
    yield made
    for served in made.table.served:
        served.runner.close()
