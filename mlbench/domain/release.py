"""What stands between "it trained" and "it serves": gates, candidates, versions, the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from mlbench.domain.records import dataclass
from mlbench.domain.serving import (
    LOOPBACK,
    CanarySpec,
    CanaryState,
    ServerSettings,
    ShadowSpec,
    ShadowState,
    Traffic,
)


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate judged: `passed` is None where it does not apply, and `why` then says so.

    `margin` is how far the value lies on the good side of the threshold, negative where it failed;
    `noise` how far two equal runs may lie apart by chance, where repeats tell.
    """

    gate: str
    model: str
    level: str
    passed: bool | None
    value: float | None = None
    threshold: float | None = None
    margin: float | None = None
    why: str = ""
    noise: float | None = None

    @property
    def refuses(self) -> bool:
        """Whether this result stops a promotion."""
        return self.passed is False and self.level == "error"


@dataclass(frozen=True, slots=True)
class ParityCheck:
    """The exported model beside the original on rows of one kind, such as held-out ones.

    `passed` is None where the kind does not apply, and `why` then says so; where it failed, `why`
    says how. `excused_flips` are those label flips whose two best scores lie within the margin.
    `worst` shows the row of the largest error with both answers.
    """

    name: str
    passed: bool | None
    rows: int = 0
    max_abs_error: float = 0.0
    max_rel_error: float = 0.0
    label_flips: int = 0
    excused_flips: int = 0
    worst_row: int = -1
    worst: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Parity:
    """How near the exported model's answers are to the original's, over all kinds of rows.

    Errors are over scores, absolute and relative to the original's; `label_flips` counts rows
    whose predicted label differs; `worst_row` is the row of the largest error, in the kind of rows
    that `worst_check` names. `original_metrics` and `exported_metrics` hold what each scores on
    the held-out rows, where their truth is known.
    """

    passed: bool
    rows: int
    max_abs_error: float
    max_rel_error: float
    label_flips: int
    worst_row: int
    worst_check: str = ""
    tolerance: float = 0.0
    flip_margin: float = 0.0
    checks: tuple[ParityCheck, ...] = ()
    original_metrics: Mapping[str, float] = field(default_factory=dict)
    exported_metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def has_original(self) -> bool:
        """Whether there was an original to hold the held-out rows to; they are checked first."""
        return not self.checks or self.checks[0].passed is not None


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor of a model's signature: Open Inference Protocol datatype, shape with -1 for any."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and gives, and the classes its scores stand for.

    `columns` name the features of a single input of rows × features, where training named them;
    a model with an input for each column names them by its inputs.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    classes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that may be released, with its proof; `version` is None until it gets one.

    `path` is its folder, relative to the project's `.mlbench`, and `file` the model in it; `digest`
    is that file's, `graph_digest` that of the ONNX graph without what is written into it about its
    run. `timings` are the milliseconds of one call by its number of rows, as texts. A model of
    another format than ONNX has no parity, signature, latency, timings and graph.
    """

    model: str
    run: str
    digest: str
    source_digest: str
    sample_digest: str
    path: str
    created: str
    size: int
    parity: Parity | None
    signature: Signature | None
    latency: Mapping[str, float]
    gates: tuple[GateResult, ...] = ()
    version: int | None = None
    format: str = "onnx"
    file: str = "model.onnx"
    graph_digest: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One promotion or rollback, chained to the one before by its checksum.

    `why` is what mlbench has to say, `reason` what whoever did it gave; `forced` where gates or
    another rule spoke against it, and `gates` as they were judged at that moment. `weights` are
    the shares of traffic that it sets, by version, where that is what it does.
    """

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
    reason: str = ""
    forced: bool = False
    commit: str = ""
    gates: tuple[GateResult, ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    previous: str = ""
    checksum: str = ""


@dataclass(frozen=True, slots=True)
class DeployedModel:
    """One model version that an environment serves; `path` is model.onnx, absolute.

    `timings` are the candidate's; batches are made only where these say that they pay.
    """

    name: str
    version: int
    digest: str
    run: str
    path: str
    signature: Signature
    timings: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Deployment:
    """What one environment serves, derived from the ledger up to `sequence`.

    `staged` versions are loaded beside what is live and answer only to who asks for them by number;
    `beside` are versions that share traffic with a live one, as `traffic` says, or follow it as its
    shadow. `order` grows with each Deployment written. `head` is the checksum of the ledger's last
    entry, `length` their number, so that a ledger that was cut short is found.
    """

    environment: str
    port: int
    sequence: int
    models: tuple[DeployedModel, ...] = ()
    staged: tuple[DeployedModel, ...] = ()
    order: int = 0
    head: str = ""
    length: int = 0
    beside: tuple[DeployedModel, ...] = ()
    traffic: tuple[Traffic, ...] = ()
    settings: ServerSettings = ServerSettings()
    canary: CanarySpec = CanarySpec()
    shadow: ShadowSpec = ShadowSpec()


@dataclass(frozen=True, slots=True)
class EnvironmentStatus:
    """How an environment's server stands: `pid` is None where it is down.

    `workers` are its processes that answer, `restarts` how many had to be replaced; `weights` the
    shares of traffic by model and version where more than one gets any; `loaded` versions answer
    by their number alone, for somebody asked for that.
    """

    name: str
    port: int
    pid: int | None
    serving: Mapping[str, int] = field(default_factory=dict)
    deployed: Mapping[str, int] = field(default_factory=dict)
    error: str = ""
    host: str = LOOPBACK
    workers: tuple[int, ...] = ()
    restarts: int = 0
    weights: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    loaded: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    canaries: tuple[CanaryState, ...] = ()
    shadows: tuple[ShadowState, ...] = ()

    @property
    def address(self) -> str:
        """Where clients on this machine reach it."""
        host = LOOPBACK if self.host in ("0.0.0.0", "::", "") else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
