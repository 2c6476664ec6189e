"""One model that is exported from end to end, and what it needs of a project."""

from __future__ import annotations

import shlex
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlbench.domain.errors import ExportError
from mlbench.domain.release import Candidate, Parity
from mlbench.domain.stages import ModelSpec
from mlbench.release.export import ExportJob, export
from mlbench.release.limited import Limits
from mlbench.release.metadata import Provenance
from mlbench.release.registry import Registry

FEATURES, SPECIES = load_iris(return_X_y=True)
DIGITS = ModelSpec("digits", "train", "build/model.joblib", sample="build/test.npz")
LIMITS = Limits.of_machine(120.0)
STARTED = "2026-11-23T09:15:02.120Z"


@dataclass
class Bench:
    """A project whose model is to be exported, and the registry that would keep it."""

    root: Path
    python: str = sys.executable
    run: str = "run-1"
    model: ModelSpec = DIGITS
    source_digest: str = "source digest"
    limits: Limits = LIMITS
    stop: threading.Event | None = None
    neighbours: dict[str, Path] = field(default_factory=dict)

    @property
    def registry(self) -> Registry:
        return Registry(self.root / ".mlbench" / "models")

    @property
    def log(self) -> Path:
        return self.root / ".mlbench" / "runs" / self.run / "export.log"

    def save(self, model: Any, X: Any = FEATURES) -> None:
        """Write model and sample as the content store has them: read-only, without endings."""
        joblib.dump(model, self.root / "source")
        with (self.root / "rows").open("wb") as file:
            np.savez(file, X=X)
        (self.root / "rows").chmod(0o444)

    def save_classifier(self) -> None:
        """Write a pipeline that was trained on the sample."""
        self.save(make_pipeline(StandardScaler(), LogisticRegression()).fit(FEATURES, SPECIES))

    def export(self) -> Candidate:
        job = ExportJob(
            model=self.model,
            run=self.run,
            source=self.root / "source",
            source_digest=self.source_digest,
            sample=self.root / "rows",
            sample_digest="sample digest",
            python=self.python,
            project=self.root,
            log=self.log,
            provenance=Provenance(self.model.name, self.run, STARTED, "ada"),
            neighbours=self.neighbours,
            limits=self.limits,
            stop=self.stop,
        )
        return export(job, self.registry)

    def refusal(self) -> str:
        """What is said when nothing is exported; what was there before stays, and nothing else."""
        before = self.files()
        with pytest.raises(ExportError) as refused:
            self.export()
        assert self.files() == before | {self.root / ".mlbench" / "models" / "digits"}
        return str(refused.value)

    def files(self) -> set[Path]:
        return set((self.root / ".mlbench" / "models").rglob("*"))

    def interpreter(self, script: str) -> None:
        """Run exports with this shell script, in which $python and $out stand for the real ones."""
        path = self.root / "interpreter"
        names = f'python={shlex.quote(sys.executable)}; out="$(dirname "$2")"'
        path.write_text(f"#!/bin/sh\n{names}\n{script}\n")
        path.chmod(0o755)
        self.python = str(path)


def parity_of(candidate: Candidate) -> Parity:
    """The parity that every exported candidate has."""
    assert candidate.parity is not None
    return candidate.parity
