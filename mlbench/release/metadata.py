"""What an exported model says of its run, and the digest of its graph without any of that.

Nothing here depends on when or where an export happens: one run gives the same bytes every time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path, PurePosixPath
from typing import Any

from mlbench.domain.plain import finite
from mlbench.domain.records import dataclass
from mlbench.domain.runs import Run, Scalar
from mlbench.domain.stages import ModelSpec
from mlbench.system.content import hash_bytes

PRODUCER = "mlbench"
PARAM = "params."
INPUT = "input"
"""The fact that says why a candidate's input is of float64."""
_PREFIX = "mlbench."
_CODE = (".py", ".pyi", ".ipynb")
# What people and tools write about a graph, at any depth of it.
_WORDS = ("doc_string", "metadata_props")


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a model comes from: `data` and `params` are hashes, `values` the parameters."""

    model: str
    run: str
    started: str
    by: str
    commit: str = ""
    dirty: bool = False
    data: str = ""
    params: str = ""
    values: Mapping[str, Scalar] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)

    def properties(self) -> dict[str, str]:
        """What is written into the model file, by key."""
        found = {
            "model": self.model,
            "run": self.run,
            "commit": self.commit,
            "dirty": str(self.dirty).lower() if self.commit else "",
            "data": self.data,
            "params": self.params,
            "metrics": json.dumps(finite(dict(self.metrics)), sort_keys=True),
        }
        return {f"{_PREFIX}{key}": value for key, value in found.items() if value}

    def facts(self) -> dict[str, str]:
        """What a candidate keeps of it beside its metrics; parameters stand under `params.`."""
        found = {
            "started": self.started,
            "by": self.by,
            "commit": self.commit,
            "dirty": str(self.dirty).lower() if self.commit else "",
            "data": self.data,
            "params": self.params,
        }
        values = {f"{PARAM}{name}": str(value) for name, value in self.values.items()}
        return {key: value for key, value in found.items() if value} | values


def provenance_of(run: Run, model: ModelSpec) -> Provenance:
    """Where a run's model comes from: its code, the data that its stage read, its parameters.

    `data` is the hash over the sorted hashes of the files, code left out, that the model's stage
    read; `params` that of the run's parameters as sorted JSON.
    """
    stage = run.stages.get(model.stage)
    read = {} if stage is None else stage.inputs
    data = sorted(
        digest for path, digest in read.items() if PurePosixPath(path).suffix not in _CODE
    )
    return Provenance(
        model=model.name,
        run=run.id,
        started=run.started,
        by=run.by,
        commit=run.code.commit or "",
        dirty=run.code.dirty,
        data=_hash(data) if data else "",
        params=_hash(finite(dict(run.params))),
        values=run.params,
        metrics=run.metrics,
    )


def export_facts(report: Mapping[str, Any]) -> dict[str, str]:
    """What an exporter's report says of itself: framework, opset, and each package's version."""
    found = {key: str(report[key]) for key in ("framework", "opset") if report.get(key)}
    versions = report.get("versions") or {}
    return found | {f"version.{package}": str(value) for package, value in versions.items()}


def stamp(model: Path, provenance: Provenance) -> str:
    """Write where it comes from into an ONNX file, and give its graph's digest.

    What others wrote into the file's metadata stays; so does the name of the converter.
    """
    import onnx

    proto = onnx.load_model(model, load_external_data=False)
    _sort_opsets(proto)
    with_provenance(proto, provenance)
    model.write_bytes(proto.SerializeToString(deterministic=True))
    return digest_of_graph(proto)


def with_provenance(proto: Any, provenance: Provenance) -> None:
    """Set metadata_props, sorted by key, and producer of a ModelProto."""
    # Late, as onnx: who reads the registry stamps nothing.
    from importlib.metadata import version

    kept = {
        entry.key: entry.value
        for entry in proto.metadata_props
        if not entry.key.startswith(_PREFIX) or entry.key == f"{_PREFIX}converter"
    }
    if proto.producer_name and proto.producer_name != PRODUCER:
        kept[f"{_PREFIX}converter"] = f"{proto.producer_name} {proto.producer_version}".strip()
    del proto.metadata_props[:]
    for key, value in sorted((kept | provenance.properties()).items()):
        proto.metadata_props.add(key=key, value=value)
    proto.producer_name, proto.producer_version = PRODUCER, version("mlbench")


def graph_digest(model: Path) -> str:
    """The digest of an ONNX file's graph, without what is written into it about its run."""
    import onnx

    return digest_of_graph(onnx.load_model(model, load_external_data=False))


def digest_of_graph(proto: Any) -> str:
    """BLAKE3 of what a ModelProto computes: graph, functions, opsets; the ModelProto is altered.

    Names of graph and producer, documentation and metadata don't count, at any depth.
    """
    _without_words(proto)
    for name in ("producer_name", "producer_version", "domain", "model_version"):
        proto.ClearField(name)
    proto.graph.ClearField("name")
    _sort_opsets(proto)
    return hash_bytes(proto.SerializeToString(deterministic=True))


def _sort_opsets(proto: Any) -> None:
    """Converters list them in the order of a set, which differs from process to process."""
    opsets = sorted(proto.opset_import, key=lambda one: (one.domain, one.version))
    ordered = [type(one).FromString(one.SerializeToString()) for one in opsets]
    del proto.opset_import[:]
    proto.opset_import.extend(ordered)


def _without_words(message: Any) -> None:
    """Drop documentation and metadata from a protobuf message and all messages within it."""
    for descriptor, value in message.ListFields():
        if descriptor.name in _WORDS:
            message.ClearField(descriptor.name)
        elif descriptor.message_type is not None:
            for inner in (value,) if hasattr(value, "ListFields") else value:
                _without_words(inner)


def _hash(plain: Any) -> str:
    """The digest of a plain value as sorted JSON."""
    return hash_bytes(json.dumps(plain, sort_keys=True).encode("utf-8", "surrogatepass"))
