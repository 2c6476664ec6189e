"""Candidates, ledger entries and a registry to put them in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlbench.domain.release import (
    Candidate,
    GateResult,
    LedgerEntry,
    Parity,
    Signature,
    TensorSpec,
)
from mlbench.release.folders import MODEL_NAME
from mlbench.release.registry import Registry
from mlbench.system.content import hash_file

if TYPE_CHECKING:
    from tests.release.export_bench import Bench

SIGNATURE = Signature((TensorSpec("input", "FP32", (-1, 4)),), (TensorSpec("y", "FP32", (-1, 1)),))
PARITY = Parity(True, 30, 1e-7, 2e-7, 0, 3)
PASSED = GateResult("accuracy >= 0.95", "digits", "error", True, 0.97, 0.95, 0.02)
LATENCY = {"p50_ms": 0.01, "p99_ms": 0.02}


def made(number: int, *, digest: str = "", gates: Iterable[GateResult] = ()) -> Candidate:
    """The candidate that run `number` gave, the later the higher."""
    return Candidate(
        model="digits",
        run=f"run-{number:03d}",
        digest=digest or f"digest-{number:03d}",
        source_digest=f"source-{number:03d}",
        sample_digest="sample",
        path=f"models/digits/candidates/run-{number:03d}",
        created=f"2026-11-23T09:15:{number:02d}.000Z",
        size=100,
        parity=PARITY,
        signature=SIGNATURE,
        latency=LATENCY,
        gates=tuple(gates),
    )


def versioned(number: int, version: int) -> Candidate:
    """What run `number` gave, as a version."""
    return replace(made(number), version=version, path=f"models/digits/{version}")


def entry(
    action: str = "promote",
    version: int = 1,
    environment: str = "staging",
    model: str = "digits",
    digest: str = "",
) -> LedgerEntry:
    """An entry that has no place in a chain yet."""
    return LedgerEntry(
        sequence=0,
        at="2026-11-23T09:15:02.120Z",
        action=action,
        environment=environment,
        model=model,
        version=version,
        digest=digest or f"digest-{version:03d}",
        run=f"run-{version:03d}",
        by="ada",
    )


@dataclass(frozen=True)
class Shelf:
    """A registry, and exports to put into it."""

    own: Path

    @property
    def registry(self) -> Registry:
        """The registry, opened anew."""
        return Registry(self.own / "models")

    def exported(self, number: int, payload: bytes) -> tuple[Candidate, Path]:
        """A scratch folder with a model of these bytes, and its facts."""
        scratch = self.registry.scratch("digits")
        (scratch / MODEL_NAME).write_bytes(payload)
        return made(number, digest=hash_file(scratch / MODEL_NAME)), scratch

    def keep(self, number: int, payload: bytes = b"") -> Candidate:
        """Keep what run `number` exported; other bytes for another number, unless told."""
        candidate, scratch = self.exported(number, payload or b"model %d" % number)
        return self.registry.keep(candidate, scratch)

    def payload(self, candidate: Candidate) -> bytes:
        """The model file of a candidate or version."""
        return (self.registry.folder_of(candidate) / MODEL_NAME).read_bytes()

    def names(self) -> set[str]:
        """What lies in the model's folder."""
        return {path.name for path in (self.own / "models" / "digits").iterdir()}


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / ".mlbench")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    # Not every test of the room should wait for the import of what trains models.
    from tests.release.export_bench import Bench

    return Bench(tmp_path)


@pytest.fixture
def classifier(bench: Bench) -> Bench:
    bench.save_classifier()
    return bench
