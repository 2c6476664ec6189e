"""A trained model to ONNX, in a child process of the project's own interpreter."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from mlbench.domain.clock import utc
from mlbench.domain.errors import ExportError
from mlbench.domain.plain import from_plain
from mlbench.domain.release import Candidate, Signature
from mlbench.domain.stages import ModelSpec
from mlbench.release.registry import ANSWERS_NAME, MODEL_NAME, Registry
from mlbench.system.content import clone_file, hash_file
from mlbench.system.files import read_json, remove, write_json

_SCRIPT = Path(__file__).parent / "exporters" / "export.py"
_TIMEOUT_SECONDS = 600


@dataclass(frozen=True, slots=True)
class ExportJob:
    """What to export: `source` and `sample` are files whose content can't change meanwhile."""

    model: ModelSpec
    run: str
    source: Path
    source_digest: str
    sample: Path
    sample_digest: str
    python: str
    project: Path
    log: Path


def export(job: ExportJob, registry: Registry) -> Candidate:
    """Export, prove parity and keep the result as a candidate without gates.

    ExportError where the model can't be exported, or answers differently afterwards.
    """
    from mlbench.release.parity import prove

    scratch = registry.scratch(job.model.name)
    try:
        signature = _run_exporter(job, scratch)
        proof = prove(scratch / MODEL_NAME, scratch / ANSWERS_NAME)
        if not proof.parity.passed:
            raise ExportError(
                f"models.{job.model.name}: the exported model answers differently: "
                f"{proof.parity.label_flips} of {proof.parity.rows} labels flip, largest error "
                f"{proof.parity.max_abs_error:.3g} on row {proof.parity.worst_row}; "
                "it is not kept, and what is live stays"
            )
        candidate = Candidate(
            model=job.model.name,
            run=job.run,
            digest=hash_file(scratch / MODEL_NAME),
            source_digest=job.source_digest,
            sample_digest=job.sample_digest,
            path="",
            created=utc(),
            size=(scratch / MODEL_NAME).stat().st_size,
            parity=proof.parity,
            signature=signature,
            latency=proof.latency,
        )
        scratch.chmod(0o755)
        return registry.keep(candidate, scratch)
    except BaseException:
        remove(scratch)
        raise


def onnx_facts(candidate: Candidate) -> dict[str, float]:
    """What gates see under `onnx.`."""
    return {
        "max_abs_error": candidate.parity.max_abs_error,
        "max_rel_error": candidate.parity.max_rel_error,
        "label_flips": float(candidate.parity.label_flips),
        "p50_ms": candidate.latency["p50_ms"],
        "p99_ms": candidate.latency["p99_ms"],
        "bytes": float(candidate.size),
    }


def _run_exporter(job: ExportJob, out: Path) -> Signature:
    given = out / "given"
    given.mkdir()
    # The store's names have no endings, and readers of rows go by the ending.
    sample = given / Path(job.model.sample or "").name
    clone_file(job.sample, sample)
    spec = {
        "model": str(job.source),
        "sample": str(sample),
        "target": job.model.target,
        "project": str(job.project),
        "out": str(out),
    }
    write_json(out / "spec.json", spec)
    job.log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with job.log.open("ab") as log:
            subprocess.run(
                [job.python, str(_SCRIPT), str(out / "spec.json")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=job.project,
                env=_child_environment(),
                timeout=_TIMEOUT_SECONDS,
                check=False,
            )
    except subprocess.TimeoutExpired:
        raise ExportError(
            f"models.{job.model.name}: the export took longer than {_TIMEOUT_SECONDS} s; "
            f"its output is in {job.log}"
        ) from None
    report = read_json(out / "report.json")
    remove(given)
    (out / "spec.json").unlink()
    if not isinstance(report, dict):
        raise ExportError(
            f"models.{job.model.name}: the exporter ended without a report; "
            f"its output is in {job.log}"
        )
    if not report["ok"]:
        raise ExportError(f"models.{job.model.name}: {report['problem']}; {report['remedy']}")
    return from_plain(Signature, report["signature"])


def _child_environment() -> dict[str, str]:
    """The user's own environment; PYTHONSAFEPATH would hide the exporter's sibling scripts."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("PYTHONSAFEPATH", None)
    return environment
