"""A trained model to ONNX, in a child process of the project's own interpreter."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlbench.domain.clock import utc
from mlbench.domain.errors import ExportError
from mlbench.domain.phrases import size
from mlbench.domain.plain import from_plain
from mlbench.domain.release import Candidate, Parity, Signature
from mlbench.domain.stages import ModelSpec
from mlbench.release.folders import MODEL_NAME
from mlbench.release.limited import Ending, Limits, run_limited
from mlbench.release.metadata import INPUT, Provenance, export_facts
from mlbench.release.precision import DOUBLE, SINGLE, may_help, reason
from mlbench.release.proof import Proof, prove_in_child, verdict_of
from mlbench.release.registry import Registry
from mlbench.system.content import FOLDER_MARK, clone_file, hash_file
from mlbench.system.files import read_json, remove, write_json

_SCRIPT = Path(__file__).parent / "exporters" / "export.py"


@dataclass(frozen=True, slots=True)
class ExportJob:
    """What to export: `source` and `sample` are files whose content can't change meanwhile.

    Copies of the files `beside` are kept with the model, under their names. `neighbours` are files
    that the model may refer to, by their places relative to it. Once `stop` is set it ends.
    """

    model: ModelSpec
    run: str
    source: Path
    source_digest: str
    sample: Path
    sample_digest: str
    python: str
    project: Path
    log: Path
    provenance: Provenance
    beside: Mapping[str, Path] = field(default_factory=dict)
    neighbours: Mapping[str, Path] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits.of_machine)
    stop: threading.Event | None = None


def export(job: ExportJob, registry: Registry) -> Candidate:
    """Export, prove parity and keep the result as a candidate without gates.

    ExportError where the model can't be exported, or answers differently afterwards.
    """
    scratch = registry.scratch(job.model.name)
    try:
        report, proof, facts = _exported(job, scratch)
        # Up to some 200,000 rows that the next export of this model would make again.
        remove(scratch / "probes")
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
            signature=from_plain(Signature, report["signature"]),
            latency=proof.latency,
            timings=proof.timings,
            graph_digest=proof.graph,
            facts=export_facts(report) | facts | job.provenance.facts(),
            metrics=job.provenance.metrics,
        )
        return registry.keep(candidate, scratch, job.beside)
    except BaseException:
        remove(scratch)
        raise


def _exported(job: ExportJob, scratch: Path) -> tuple[dict[str, Any], Proof, dict[str, str]]:
    """A report, a proof that holds, and facts of the precision; ExportError without a proof.

    The graph takes float32, or float64 where the proof fails on the rows as stored alone.
    """
    report = _run_exporter(job, scratch, SINGLE)
    proof = _prove(job, scratch)
    if proof.parity.passed:
        return report, proof, {}
    if not may_help(report, proof.parity):
        raise _differs(job, proof.parity)
    for path in scratch.iterdir():
        remove(path)
    try:
        report = _run_exporter(job, scratch, DOUBLE)
        wide = _prove(job, scratch)
    except ExportError as error:
        if job.stop is not None and job.stop.is_set():
            raise
        why = str(error).removeprefix(f"models.{job.model.name}: ")
        raise _differs(job, proof.parity, why) from error
    if not wide.parity.passed:
        raise _differs(job, proof.parity, verdict_of(wide.parity))
    return report, wide, {INPUT: reason(proof.parity)}


def _differs(job: ExportJob, parity: Parity, with_float64: str = "") -> ExportError:
    """That the exported model answers differently, and with an input of float64 as well."""
    also = f"; an input of float64 does not help: {with_float64}" if with_float64 else ""
    return ExportError(
        f"models.{job.model.name}: the exported model answers differently: "
        f"{verdict_of(parity)}{also}; it is not kept, and what is live stays"
    )


def _prove(job: ExportJob, scratch: Path) -> Proof:
    """Write its origin into the model and prove it; ExportError where there is no proof."""
    try:
        return prove_in_child(
            scratch,
            log=job.log,
            origin=job.provenance,
            timeout=job.limits.seconds,
            stop=job.stop,
        )
    except ExportError as error:
        raise ExportError(f"models.{job.model.name}: {error}") from None


def _run_exporter(job: ExportJob, out: Path, precision: str) -> dict[str, Any]:
    """Let the exporter write into `out`; gives its report. ExportError says why there is none."""
    given = out / "given"
    given.mkdir()
    spec = {
        **_given(job, given),
        "project": str(job.project),
        "out": str(out),
        "precision": precision,
    }
    write_json(out / "spec.json", spec)
    ending = _run_script(job, out / "spec.json", given)
    report = read_json(out / "report.json")
    remove(given)
    (out / "spec.json").unlink()
    if ending.why or not isinstance(report, dict):
        raise ExportError(
            f"models.{job.model.name}: the export gave no report: it {ending.said}; "
            f"its output is in {job.log}"
        )
    if not report["ok"]:
        raise ExportError(f"models.{job.model.name}: {_refusal(job, report, spec)}")
    return report


def _given(job: ExportJob, folder: Path) -> dict[str, str | None]:
    """What the exporter works on: copies that it may do with as it likes, under their own names.

    The store's files have no endings, and readers go by these.
    """
    model = job.model
    if job.source_digest.startswith(FOLDER_MARK):
        raise ExportError(
            f"mlbench.toml: models.{model.name}.path: {model.path} is a folder; name the model's "
            'file in it, as an out of its own, or release the folder as it is, with format = "file"'
        )
    files = {f"model/{Path(model.path).name}": job.source}
    files |= {f"model/{name}": path for name, path in job.neighbours.items()}
    sample = f"sample/{Path(model.sample or '').name}"
    for name, source in (files | {sample: job.sample}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            clone_file(source, folder / name)
        except FileNotFoundError:
            raise ExportError(
                f"models.{model.name}: {source} has gone from the cache; "
                "run the stage that makes it again (`mlbench run --force`)"
            ) from None
    return {
        "model": str(folder / next(iter(files))),
        "sample": str(folder / sample),
        "target": model.target,
        "exporter": model.exporter,
        "factory": model.factory,
    }


def _run_script(job: ExportJob, spec: Path, mark: Path) -> Ending:
    """Run the exporter; ExportError where that can't even begin."""
    try:
        return run_limited(
            [job.python, str(_SCRIPT), str(spec)],
            cwd=job.project,
            env=_child_environment(),
            log=job.log,
            mark=mark.resolve(),
            limits=job.limits,
            stop=job.stop,
        )
    except OSError as error:
        raise ExportError(
            f"models.{job.model.name}: {job.python} can't be started ({error.strerror}); "
            "correct project.python in mlbench.toml, or make that environment anew"
        ) from None


def _refusal(job: ExportJob, report: Mapping[str, Any], spec: Mapping[str, Any]) -> str:
    """What a report says, in one clause; the copies that it names are gone by now."""
    said = _sentence(str(report["problem"]), str(report["remedy"]))
    if report["kind"] == "memory":
        said = f"{said}; it may have {size(job.limits.memory)}, and its output is in {job.log}"
    if said.endswith("shows where"):
        said = f"{said}: {job.log}"
    for name, path in (("model", job.model.path), ("sample", job.model.sample)):
        said = said.replace(str(spec[name]), str(path))
    return said


def _sentence(problem: str, remedy: str) -> str:
    """What is wrong and what to do, which the exporter reports as two sentences, as one."""
    return f"{problem.removesuffix('.')}; {remedy[:1].lower()}{remedy[1:].removesuffix('.')}"


def _child_environment() -> dict[str, str]:
    """The user's own environment; PYTHONSAFEPATH would hide the exporter's sibling scripts."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("PYTHONSAFEPATH", None)
    return environment
