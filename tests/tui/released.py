"""A project with a real record, registry and ledger, made in a moment: nothing is trained."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mlbench.domain.names import friendly_name
from mlbench.domain.outcomes import RunOutcome, StageOutcome
from mlbench.domain.release import (
    Candidate,
    GateResult,
    LedgerEntry,
    Parity,
    ParityCheck,
    Signature,
    TensorSpec,
)
from mlbench.domain.runs import CodeState, Run, StageRecord
from mlbench.project.layout import Layout
from mlbench.release.folders import ANSWERS_NAME, MODEL_NAME
from mlbench.release.ledger import Ledger
from mlbench.release.registry import Registry
from mlbench.system.content import hash_bytes
from mlbench.tracking.folder import write_run
from mlbench.tracking.store import ExperimentStore
from tests.support import SmallProject

CONFIG = """\
[project]
name = "penguins"
objective = "maximize accuracy"

[stages.train]
cmd = "python train.py"
frozen = true
params = ["train.depth"]
outs = ["build/model.joblib", "build/test.npz", "build/tokens.json"]
metrics = ["build/metrics.json"]

[models.penguins]
stage = "train"
path = "build/model.joblib"
sample = "build/test.npz"
gates = [
  "accuracy >= 0.95",
  "accuracy >= production.accuracy - 0.005",
  "onnx.max_rel_error <= 1e-3",
]

[models.tokens]
stage = "train"
path = "build/tokens.json"
format = "file"

[environments.staging]
port = 18101

[environments.production]
port = 18100
require = ["staging"]
"""

CHECKS = (
    ParityCheck(
        "held-out", True, 114, 2.4e-7, 3.1e-7, 0, 0, 51,
        "row 51: bill_length_mm=49.1, flipper_length_mm=220; Gentoo 0.9812 → 0.9812",
    ),
    ParityCheck("raw", True, 114, 4.1e-6, 5.2e-6, 0, 1, 12, "row 12: Adelie 0.5001 → 0.4999"),
    ParityCheck("one by one", True, 32, 2.4e-7, 3.1e-7),
    ParityCheck("missing", None, why="the original refuses NaN in bill_length_mm"),
    ParityCheck("unseen", True, 6, 0.0, 0.0),
    ParityCheck("thresholds", True, 1420, 1.2e-7, 1.9e-7, 0, 0, 803),
)  # fmt: skip
SIGNATURE = Signature(
    (
        TensorSpec("bill_length_mm", "FP32", (-1, 1)),
        TensorSpec("flipper_length_mm", "FP32", (-1, 1)),
        TensorSpec("island", "BYTES", (-1, 1)),
    ),
    (TensorSpec("label", "BYTES", (-1,)), TensorSpec("probabilities", "FP32", (-1, 3))),
    ("Adelie", "Chinstrap", "Gentoo"),
)
LATENCY = {"p50_ms": 0.021, "p99_ms": 0.06}
SLICE = "worst of 3 islands: island=Torgersen, 0.9412 of 34 rows"


def run_id(number: int) -> str:
    return f"20261120-{number:02d}0000-{number:06x}"


def at(number: int) -> str:
    """The moment at which run `number` ended: that hour of 20 November 2026."""
    return f"2026-11-20T{number:02d}:00:00.000Z"


def run_of(number: int, accuracy: float, *, dirty: bool = False) -> Run:
    name = run_id(number)
    return Run(
        id=name,
        name=friendly_name(name),
        outcome=RunOutcome.PASSED,
        origin="watch",
        by="ada",
        started=at(number),
        seconds=4.2,
        code=CodeState(f"{number:02x}4f3a1c77aa", "main", dirty, 2 if dirty else 0),
        params={"train.depth": 4 + number, "seed": 7},
        metrics={"accuracy": accuracy, "log_loss": round(1 - accuracy, 4)},
        stages={
            "train": StageRecord(
                StageOutcome.RAN, 4.2, f"key-{number}", name,
                {"build/model.joblib": f"source-{number}"}, {"accuracy": accuracy},
            )
        },
    )  # fmt: skip


def gates_of(accuracy: float, *, live: float | None = None) -> tuple[GateResult, ...]:
    margin = round(accuracy - 0.95, 6)
    why = "" if margin >= 0 else f"missed by {-margin:.4g}"
    first = GateResult(
        "accuracy >= 0.95", "penguins", "error", margin >= 0, accuracy, 0.95, margin, why
    )
    text = "accuracy >= production.accuracy - 0.005"
    second = GateResult(text, "penguins", "error", None, why="nothing is live in production yet")
    if live is not None:
        gap = round(accuracy - live + 0.005, 6)
        second = GateResult(
            text, "penguins", "error", gap >= 0, accuracy, live - 0.005, gap, "", noise=0.004
        )
    sliced = 'worst(accuracy, "island") >= 0.9'
    third = GateResult(sliced, "penguins", "error", True, 0.9412, 0.9, 0.0412, SLICE)
    warned = GateResult(
        "onnx.p99_ms < 0.05", "penguins", "warn", False, 0.06, 0.05, -0.01, "missed by 0.01"
    )
    return (first, second, third, warned)


@dataclass(frozen=True)
class ReleasedProject(SmallProject):
    """The project's files, and what its `.mlbench` holds."""

    @property
    def layout(self) -> Layout:
        return Layout(self.root)

    @property
    def registry(self) -> Registry:
        return Registry(self.layout.models)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.layout.ledger)

    def record(self, run: Run) -> None:
        """Write a run down as the engine does."""
        write_run(self.layout.run_folder(run.id), run)
        ExperimentStore(self.layout).add(run)

    def keep(
        self, number: int, accuracy: float, gates: tuple[GateResult, ...], *, dirty: bool = False
    ) -> Candidate:
        """Record run `number` and keep the model that it gave."""
        run = run_of(number, accuracy, dirty=dirty)
        self.record(run)
        scratch = self.registry.scratch("penguins")
        payload = b"model %d" % number
        (scratch / MODEL_NAME).write_bytes(payload)
        rows = {
            "in:bill_length_mm": np.array([[49.1], [38.2]], np.float32),
            "in:flipper_length_mm": np.array([[220.0], [181.0]], np.float32),
            "in:island": np.array([["Biscoe"], ["Dream"]]),
            "label": np.array(["Gentoo", "Adelie"]),
        }
        np.savez(scratch / ANSWERS_NAME, **rows)  # type: ignore[arg-type]
        metrics = {"accuracy": accuracy, "log_loss": round(1 - accuracy, 4)}
        parity = Parity(
            True, 114, 4.1e-6, 5.2e-6, 0, 12, "raw", 1e-3, 1e-4, CHECKS,
            metrics, {**metrics, "log_loss": round(1.0001 - accuracy, 4)},
        )  # fmt: skip
        candidate = Candidate(
            "penguins", run.id, hash_bytes(payload), f"source-{number}", "sample-7f3a", "",
            at(number), 40_266 + number, parity, SIGNATURE, LATENCY, gates,
            graph_digest=hash_bytes(payload[:6]),
            facts={"framework": "sklearn", "opset": "21", "version.skl2onnx": "1.20.0"},
            metrics=metrics,
        )  # fmt: skip
        return self.registry.keep(candidate, scratch)

    def keep_file(self, number: int) -> Candidate:
        """Record run `number` and keep a model of it that is never exported nor served."""
        self.record(run_of(number, 0.95))
        scratch = self.registry.scratch("tokens")
        text = json.dumps({"tokens": number}).encode()
        (scratch / "tokens.json").write_bytes(text)
        candidate = Candidate(
            "tokens", run_id(number), hash_bytes(text), f"source-{number}", "", "", at(number),
            len(text), None, None, {}, (), format="file", file="tokens.json",
        )  # fmt: skip
        return self.registry.keep(candidate, scratch)

    def promote(self, version: Candidate, environment: str, hour: int, **fields: object) -> None:
        """Append to the ledger at an hour of 21 November 2026."""
        entry = LedgerEntry(
            0, f"2026-11-21T{hour:02d}:00:00.000Z", "promote", environment, version.model,
            version.version or 0, version.digest, version.run, "ada",
            commit=f"{hour:02x}4f3a1c77aa", gates=version.gates,
        )  # fmt: skip
        self.ledger.append(replace(entry, **fields))  # type: ignore[arg-type]


def make_released(root: Path) -> ReleasedProject:
    """Three versions, one forced and rolled back, a candidate that fails a gate, and a file."""
    project = ReleasedProject(root)
    project.write("mlbench.toml", CONFIG)
    project.write("params.toml", "[train]\ndepth = 4\n")
    project.write("train.py", "raise SystemExit('nothing is trained here')\n")
    project.write(".mlbench/.gitignore", "*\n")
    first = project.registry.register(project.keep(1, 0.9625, gates_of(0.9625)))
    second = project.registry.register(project.keep(2, 0.9712, gates_of(0.9712, live=0.9625)))
    third = project.registry.register(project.keep(3, 0.9401, gates_of(0.9401, live=0.9712)))
    project.keep(4, 0.9488, gates_of(0.9488, live=0.9712), dirty=True)
    project.keep_file(5)
    project.promote(first, "staging", 1)
    project.promote(first, "production", 2)
    project.promote(second, "staging", 3)
    project.promote(second, "production", 4)
    reason = "the vendor's feed broke and v2 can't read it"
    project.promote(third, "staging", 5, forced=True, reason=reason, by="grace")
    project.promote(second, "staging", 6, action="rollback", reason="the feed is mended", gates=())
    return project
