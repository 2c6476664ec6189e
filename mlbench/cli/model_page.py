"""Everything about one candidate or version, line by line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mlbench.cli.output import coloured
from mlbench.domain.names import friendly_name
from mlbench.domain.phrases import number, plural, size
from mlbench.domain.release import GateResult, Parity, ParityCheck, Signature, TensorSpec
from mlbench.engine.queries import ModelRow

_SIGNS = {True: ("✓", "ok"), False: ("✗", "fail"), None: ("·", "quiet")}
_MOST_NAMES = 20


def page(row: ModelRow, files: Mapping[str, int]) -> Iterator[str]:
    """What it is, how it was judged and proven, what it takes and gives, and what lies there."""
    item = row.candidate
    version = f"v{item.version}" if item.version else "candidate"
    yield f"{coloured(item.model, 'strong')} {version}  run {friendly_name(item.run)} ({item.run})"
    live = f"  live in {', '.join(row.places)}" if row.places else ""
    yield f"  {item.created}  {size(item.size)}{_latency(item.latency)}{live}"
    yield from _gates(item.gates)
    if item.parity is not None:
        yield from _parity(item.parity)
    if item.signature is not None:
        yield from _signature(item.signature)
    yield from _flat("metrics", {name: number(value) for name, value in item.metrics.items()})
    digests = {"digest": item.digest, "graph digest": item.graph_digest}
    origin = {"model file": item.source_digest, "held-out rows": item.sample_digest}
    yield from _flat("facts", {**item.facts, **digests, **origin})
    yield from _flat("files", {name: size(count) for name, count in files.items()})
    yield f"path  {row.path}"


def _gates(gates: Sequence[GateResult]) -> Iterator[str]:
    if gates:
        yield "gates"
    for gate in gates:
        glyph, colour = _SIGNS[gate.passed]
        if gate.passed is False and not gate.refuses:
            glyph, colour = "!", "warn"
        value = "" if gate.value is None else f"  {number(gate.value)}"
        margin = "" if gate.margin is None else f"  margin {number(gate.margin)}"
        noise = "" if gate.noise is None else f" ± {number(gate.noise)}"
        why = f"  {gate.why}" if gate.why else ""
        yield f"  {coloured(glyph, colour)} {gate.gate}{value}{margin}{noise}{why}"


def _parity(parity: Parity) -> Iterator[str]:
    glyph, colour = _SIGNS[parity.passed if parity.has_original else None]
    said = (
        f"largest error {number(parity.max_abs_error)} ({number(parity.max_rel_error)} relative), "
        f"{plural(parity.label_flips, 'label')} differ"
        if parity.has_original
        else "no original to compare with"
    )
    yield f"parity  {coloured(glyph, colour)} {plural(parity.rows, 'row')}, {said}"
    for check in parity.checks:
        yield from _check(check)
    for name, exported in sorted(parity.exported_metrics.items()):
        original = parity.original_metrics.get(name)
        beside = "" if original is None else f"  original {number(original)}"
        yield f"  {name}{beside}  exported {number(exported)}"


def _check(check: ParityCheck) -> Iterator[str]:
    glyph, colour = _SIGNS[check.passed]
    measured = ""
    if check.passed is not None:
        measured = (
            f"  {plural(check.rows, 'row')}  {number(check.max_abs_error)}"
            f"  {number(check.max_rel_error)} relative  {plural(check.label_flips, 'flip')}"
        )
    why = f"  {check.why}" if check.why else ""
    yield f"  {coloured(glyph, colour)} {check.name:<11}{measured}{why}"
    if check.worst:
        yield coloured(f"      {check.worst}", "quiet")


def _signature(signature: Signature) -> Iterator[str]:
    yield "signature"
    for arrow, tensors in (("→", signature.inputs), ("←", signature.outputs)):
        for tensor in tensors:
            yield f"  {arrow} {tensor.name}  {tensor.datatype}  {_shape(tensor)}"
    for title, names in (("classes", signature.classes), ("columns", signature.columns)):
        if names:
            left = len(names) - _MOST_NAMES
            more = f" and {left} more" if left > 0 else ""
            yield f"  {title}: {', '.join(names[:_MOST_NAMES])}{more}"


def _shape(tensor: TensorSpec) -> str:
    return " × ".join("n" if one < 0 else str(one) for one in tensor.shape)


def _latency(latency: Mapping[str, float]) -> str:
    if not {"p50_ms", "p99_ms"} <= latency.keys():
        return ""
    return f"  p50 {latency['p50_ms']:.2f} ms  p99 {latency['p99_ms']:.2f} ms"


def _flat(title: str, values: Mapping[str, str]) -> Iterator[str]:
    shown = {name: value for name, value in values.items() if value}
    if shown:
        yield title
        width = max(len(name) for name in shown)
        for name, value in shown.items():
            yield f"  {name:<{width}}  {value}"
