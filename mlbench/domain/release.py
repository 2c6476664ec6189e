"""What stands between "it trained" and "it serves": gates, candidates, versions, the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from mlbench.domain.records import dataclass


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate judged: `passed` is None where it does not apply, and `why` then says so.

    `margin` is how far the value lies on the good side of the threshold, negative where it failed.
    """

    gate: str
    model: str
    level: str
    passed: bool | None
    value: float | None = None
    threshold: float | None = None
    margin: float | None = None
    why: str = ""

    @property
    def refuses(self) -> bool:
        """Whether this result stops a promotion."""
        return self.passed is False and self.level == "error"


@dataclass(frozen=True, slots=True)
class Parity:
    """How near the exported model's answers are to the original's on the held-out rows.

    Errors are over scores, absolute and relative to the original's; `label_flips` counts rows
    whose predicted label differs; `worst_row` is the row of the largest error.
    """

    passed: bool
    rows: int
    max_abs_error: float
    max_rel_error: float
    label_flips: int
    worst_row: int


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor of a model's signature: Open Inference Protocol datatype, shape with -1 for any."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and gives, and the classes its scores stand for."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """An exported model with its proof; `version` is None until it is first promoted.

    `path` is the folder that holds model.onnx, relative to the project's `.mlbench`.
    """

    model: str
    run: str
    digest: str
    source_digest: str
    sample_digest: str
    path: str
    created: str
    size: int
    parity: Parity
    signature: Signature
    latency: Mapping[str, float]
    gates: tuple[GateResult, ...] = ()
    version: int | None = None


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One promotion or rollback, chained to the one before by its checksum."""

    sequence: int
    at: str
    action: str
    environment: str
    model: str
    version: int
    digest: str
    run: str
    by: str
    why: str = ""
    previous: str = ""
    checksum: str = ""


@dataclass(frozen=True, slots=True)
class DeployedModel:
    """One model version that an environment serves; `path` is model.onnx, absolute."""

    name: str
    version: int
    digest: str
    run: str
    path: str
    signature: Signature


@dataclass(frozen=True, slots=True)
class Deployment:
    """What one environment serves, derived from the ledger up to `sequence`."""

    environment: str
    port: int
    sequence: int
    models: tuple[DeployedModel, ...] = ()


@dataclass(frozen=True, slots=True)
class EnvironmentStatus:
    """How an environment's server stands: `pid` is None where it is down."""

    name: str
    port: int
    pid: int | None
    serving: Mapping[str, int] = field(default_factory=dict)
    deployed: Mapping[str, int] = field(default_factory=dict)
    error: str = ""

    @property
    def address(self) -> str:
        """Where clients reach it."""
        return f"http://127.0.0.1:{self.port}"
