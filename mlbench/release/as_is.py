"""A model that is released as the file that it is: nothing is exported, nothing is served."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from mlbench.domain.clock import utc
from mlbench.domain.errors import ExportError
from mlbench.domain.release import Candidate
from mlbench.domain.stages import ModelSpec
from mlbench.release.folders import RESERVED
from mlbench.release.metadata import Provenance
from mlbench.release.registry import Registry
from mlbench.system.content import ContentStore
from mlbench.system.files import remove, size_of


def keep_as_is(
    model: ModelSpec,
    provenance: Provenance,
    cache: ContentStore,
    digest: str,
    registry: Registry,
    beside: Mapping[str, Path],
) -> Candidate:
    """Make a run's file, or folder, a candidate under its own name; `digest` names it in `cache`.

    ExportError where its name is one that a candidate's folder needs for itself.
    """
    name = PurePosixPath(model.path).name
    if name in RESERVED or name in beside:
        raise ExportError(
            f"mlbench.toml: models.{model.name}.path: {name} is a name that mlbench keeps beside "
            "each model; let the stage write it under another name"
        )
    scratch = registry.scratch(model.name)
    try:
        cache.restore(digest, scratch / name)
        candidate = _facts(model, provenance, digest, scratch / name)
        return registry.keep(candidate, scratch, beside)
    except BaseException:
        remove(scratch)
        raise


def _facts(model: ModelSpec, provenance: Provenance, digest: str, file: Path) -> Candidate:
    """What is known of a file that nothing was converted from, and that answers nothing."""
    return Candidate(
        model=model.name,
        run=provenance.run,
        digest=digest,
        source_digest=digest,
        sample_digest="",
        path="",
        created=utc(),
        size=size_of(file),
        parity=None,
        signature=None,
        latency={},
        format=model.format,
        file=file.name,
        facts=provenance.facts(),
        metrics=provenance.metrics,
    )
