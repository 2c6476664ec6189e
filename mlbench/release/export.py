"""A trained model to ONNX, in a child process of the project's own interpreter."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlbench.domain.clock import utc
from mlbench.domain.errors import ExportError
from mlbench.domain.plain import from_plain
from mlbench.domain.release import Candidate, Signature
from mlbench.domain.stages import ModelSpec
from mlbench.release.registry import ANSWERS_NAME, MODEL_NAME, Registry
from mlbench.system.content import clone_file, hash_file
from mlbench.system.files import read_json, remove, write_json

if TYPE_CHECKING:
    from mlbench.release.parity import Proof

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
    scratch = registry.scratch(job.model.name)
    try:
        signature = _run_exporter(job, scratch)
        proof = _prove(job, scratch)
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


def _prove(job: ExportJob, scratch: Path) -> Proof:
    """Parity and latency; ExportError where onnxruntime can't run what the exporter wrote.

    The exporter's onnx is the project's, and may be newer than this onnxruntime.
    """
    import onnxruntime

    from mlbench.release.parity import prove

    try:
        return prove(scratch / MODEL_NAME, scratch / ANSWERS_NAME)
    except Exception as error:
        problem = next(iter(str(error).splitlines()), type(error).__name__)
        raise ExportError(
            f"models.{job.model.name}: onnxruntime {onnxruntime.__version__} can't run the "
            f"exported model: {problem}; upgrade onnxruntime beside mlbench, "
            f"or install an older onnx and skl2onnx for {job.python}"
        ) from error


def _run_exporter(job: ExportJob, out: Path) -> Signature:
    given = out / "given"
    given.mkdir()
    spec = {
        "model": str(job.source),
        "sample": str(_given_sample(job, given)),
        "target": job.model.target,
        "project": str(job.project),
        "out": str(out),
    }
    write_json(out / "spec.json", spec)
    _run_script(job, out / "spec.json")
    report = read_json(out / "report.json")
    remove(given)
    (out / "spec.json").unlink()
    if not isinstance(report, dict):
        raise ExportError(
            f"models.{job.model.name}: the exporter ended without a report; "
            f"its output is in {job.log}"
        )
    if not report["ok"]:
        sentence = _sentence(report["problem"], report["remedy"])
        raise ExportError(f"models.{job.model.name}: {sentence}")
    return from_plain(Signature, report["signature"])


def _given_sample(job: ExportJob, given: Path) -> Path:
    """The sample under its own name: the store's have no endings, and readers go by these."""
    sample = given / Path(job.model.sample or "").name
    try:
        clone_file(job.sample, sample)
    except FileNotFoundError:
        raise ExportError(
            f"models.{job.model.name}.sample: {job.sample} has gone from the cache; "
            "run the stage that makes it again (`mlbench run --force`)"
        ) from None
    return sample


def _run_script(job: ExportJob, spec: Path) -> None:
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with job.log.open("ab") as log:
        try:
            subprocess.run(
                [job.python, str(_SCRIPT), str(spec)],
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
        except OSError as error:
            raise ExportError(
                f"models.{job.model.name}: {job.python} can't be started ({error.strerror}); "
                "correct project.python in mlbench.toml, or make that environment anew"
            ) from None


def _sentence(problem: str, remedy: str) -> str:
    """What is wrong and what to do, which the exporter reports as two sentences, as one."""
    return f"{problem.removesuffix('.')}; {remedy[:1].lower()}{remedy[1:].removesuffix('.')}"


def _child_environment() -> dict[str, str]:
    """The user's own environment; PYTHONSAFEPATH would hide the exporter's sibling scripts."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("PYTHONSAFEPATH", None)
    return environment
