"""Requests as workers count them, into the real files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from mlbench.domain.release import DeployedModel, Deployment, Signature, TensorSpec
from mlbench.domain.serving import CanarySpec, ShadowSpec, Traffic
from mlbench.project.layout import Layout
from mlbench.serving.counters import Counters

SIGNATURE = Signature(
    inputs=(TensorSpec("x", "FP32", (-1, 3)),), outputs=(TensorSpec("y", "FP32", (-1, 3)),)
)


def model(version: int, name: str = "digits", path: Path = Path("/nowhere")) -> DeployedModel:
    return DeployedModel(name, version, f"digest-{version}", "run", str(path), SIGNATURE)


def deployment(
    order: int,
    *traffic: Traffic,
    live: int = 1,
    beside: tuple[DeployedModel, ...] = (),
    canary: CanarySpec | None = None,
    shadow: ShadowSpec | None = None,
) -> Deployment:
    """Models `digits` and `other`, both live; what the traffic names is beside them."""
    others = [
        model(version, item.model)
        for item in traffic
        for version in (item.canary, item.shadow)
        if version is not None
    ]
    return Deployment(
        "staging",
        8101,
        order,
        (model(live), model(live, "other")),
        order=order,
        beside=beside or tuple(others),
        traffic=traffic,
        canary=canary or CanarySpec(),
        shadow=shadow or ShadowSpec(),
    )


def keys(found: Deployment) -> frozenset[str]:
    return frozenset(f"{item.name}@{item.version}" for item in (*found.models, *found.beside))


@dataclass
class Answers:
    """Two workers that answer for one version."""

    layout: Layout
    version: int
    name: str = "digits"
    random: Random = field(default_factory=lambda: Random(1))

    def __post_init__(self) -> None:
        folder = self.layout.counters("staging")
        self.workers = [
            Counters(folder, self.name, str(self.version), worker) for worker in range(2)
        ]

    def answer(
        self, requests: int, errors: float = 0.0, seconds: float = 0.002, shift: float = 0.0
    ) -> None:
        for number in range(requests):
            worker = self.workers[number % 2]
            if self.random.random() < errors:
                worker.ended(500, seconds)
                continue
            worker.ended(200, seconds * self.random.lognormvariate(0, 0.2))
            worker.called(1, 0.0, seconds)
            worker.predicted([self.random.gauss(shift, 1.0)])
