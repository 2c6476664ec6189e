"""A model card in Markdown, made from the facts of a candidate or version: pure.

Its sections follow Mitchell et al., Model Cards for Model Reporting (2019), as far as facts go;
what only people know is theirs to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mlbench.domain.names import friendly_name
from mlbench.domain.phrases import number, plural, size
from mlbench.domain.release import Candidate, GateResult, Parity, ParityCheck, TensorSpec
from mlbench.release.metadata import INPUT, PARAM
from mlbench.release.request import curl

_MOST_COLUMNS = 200
_SIGNS = {True: "✓ holds", False: "✗ fails", None: "does not apply"}
_ORIGIN = ("commit", "data", "params", "started", "by")
_VERSION = "version."
# What Markdown would take for more than text: within words _ is none of it, and [ only of a link.
_SPECIAL = re.compile(
    r"([\\`*<|~]|^[#>+-]|&(?=[#\w])|\[(?=[^\]]*\][(\[:])|(?<![^\W_])_|_(?![^\W_]))"
)


def make_card(candidate: Candidate, request: Mapping[str, Any] | None, words: str) -> str:
    """The whole card; `words` is Markdown of whoever knows the model, empty where nobody wrote."""
    sections = (
        _title(candidate),
        _intended_use(candidate, words),
        _metrics(candidate),
        _gates(candidate.gates),
        _parity(candidate.parity),
        _signature(candidate),
        _request(candidate, request),
        _origin(candidate),
    )
    lines = [line for section in sections for line in section]
    return "\n".join(lines).rstrip() + "\n"


def name_of(candidate: Candidate) -> str:
    """`digits v3`, or `digits, candidate of brave-otter`."""
    if candidate.version is not None:
        return f"{candidate.model} v{candidate.version}"
    return f"{candidate.model}, candidate of {run_name(candidate.run)}"


def run_name(run: str) -> str:
    """The friendly name of a run; of what is no run's id, the id."""
    try:
        return friendly_name(run)
    except ValueError:
        return run


def _title(item: Candidate) -> Iterator[str]:
    yield from (f"# {escaped(name_of(item))}", "")
    made = "exported to ONNX" if item.format == "onnx" else "kept as it is"
    run = f"{escaped(run_name(item.run))} ({_code(item.run)})"
    yield f"Trained by run {run}, {made} {item.created}."
    latency = item.latency.get("p50_ms"), item.latency.get("p99_ms")
    rows = [("file", _code(item.file)), ("size", size(item.size))]
    if latency[0] is not None and latency[1] is not None:
        rows.append(("latency, one row", f"p50 {latency[0]:.2f} ms, p99 {latency[1]:.2f} ms"))
    rows.append(("digest", _code(item.digest)))
    if item.graph_digest:
        rows.append(("digest of the graph", _code(item.graph_digest)))
    yield from ("", *_table(("fact", "value"), rows), "")


def _intended_use(item: Candidate, words: str) -> Iterator[str]:
    yield from ("## Intended use, limits", "")
    if words.strip():
        yield words.strip()
    else:
        which = f"{item.model}@{item.version or run_name(item.run)}"
        yield "Nobody has said yet what this model is for, for whom, and where it fails:"
        yield from ("", *_block(f"mlbench card {which} --words FILE"))
    yield ""


def _metrics(item: Candidate) -> Iterator[str]:
    parity = item.parity
    if item.metrics:
        rows = [(_code(name), number(value)) for name, value in sorted(item.metrics.items())]
        yield from ("## Metrics of the run", "", *_table(("metric", "value"), rows), "")
    if parity is None or not parity.exported_metrics:
        return
    by_side = {"original": parity.original_metrics, "exported": parity.exported_metrics}
    sides = {head: metrics for head, metrics in by_side.items() if metrics}
    names = sorted({*parity.original_metrics, *parity.exported_metrics})
    both = [(_code(name), *(_number(side.get(name)) for side in sides.values())) for name in names]
    yield from ("## Metrics on the held-out rows", "")
    yield from (*_table(("metric", *sides), both), "")


def _gates(gates: Sequence[GateResult]) -> Iterator[str]:
    if not gates:
        return
    rows = [
        (
            _code(gate.gate),
            _SIGNS[gate.passed] + (" (warning)" if gate.level != "error" else ""),
            _number(gate.value),
            _number(gate.threshold),
            _number(gate.margin) + (f" ± {number(gate.noise)}" if gate.noise is not None else ""),
            escaped(gate.why),
        )
        for gate in gates
    ]
    heads = ("gate", "verdict", "value", "threshold", "margin", "why")
    yield from ("## Gates", "", "As judged last.", "", *_table(heads, rows), "")


def _parity(parity: Parity | None) -> Iterator[str]:
    if parity is None:
        return
    yield from ("## Parity: the exported model beside the original", "")
    yield _in_short(parity)
    yield ""
    if parity.checks:
        heads = ("rows", "verdict", "count", "largest error", "relative", "flips", "why")
        yield from (*_table(heads, [_check(check) for check in parity.checks]), "")
    for check in parity.checks:
        if check.worst:
            yield f"- Worst of {escaped(check.name)}: {escaped(check.worst)}"
    yield ""


def _in_short(parity: Parity) -> str:
    rows = plural(parity.rows, "row")
    if not parity.has_original:
        return (
            f"There was no original to compare with: the model answers {rows}, at once and alone."
        )
    return (
        f"{_SIGNS[parity.passed]}: over {rows} the largest error is "
        f"{number(parity.max_abs_error)} ({number(parity.max_rel_error)} relative, "
        f"{number(parity.tolerance)} tolerated); {plural(parity.label_flips, 'label')} "
        f"{'flips' if parity.label_flips == 1 else 'flip'} beyond a margin of "
        f"{number(parity.flip_margin)} between the two best scores."
    )


def _check(check: ParityCheck) -> tuple[str, ...]:
    applies = check.passed is not None
    flips = str(check.label_flips)
    if check.excused_flips:
        flips += f" and {check.excused_flips} within the margin"
    return (
        escaped(check.name),
        _SIGNS[check.passed],
        str(check.rows) if applies else "",
        number(check.max_abs_error) if applies else "",
        number(check.max_rel_error) if applies else "",
        flips if applies else "",
        escaped(check.why),
    )


def _signature(item: Candidate) -> Iterator[str]:
    signature = item.signature
    if signature is None:
        return
    tensors = [("input", one) for one in signature.inputs]
    tensors += [("output", one) for one in signature.outputs]
    rows = [(kind, _code(one.name), one.datatype, _shape(one)) for kind, one in tensors]
    yield from ("## Signature", "", *_table(("", "name", "type", "shape"), rows), "")
    if signature.classes:
        yield from (f"Classes, in the order of the scores: {_listed(signature.classes)}", "")
    if signature.columns:
        yield from (f"Columns of the input, in order: {_listed(signature.columns)}", "")


def _request(item: Candidate, request: Mapping[str, Any] | None) -> Iterator[str]:
    if request is None:
        return
    yield from ("## A request", "", "`PORT` is that of an environment that serves it.", "")
    command = curl(item.model, request, "http://127.0.0.1:PORT", version=item.version)
    yield from (*_block(command), "")


def _origin(item: Candidate) -> Iterator[str]:
    facts = item.facts
    yield from ("## How it was made", "")
    rows = [(name, _code(facts[name])) for name in _ORIGIN if facts.get(name)]
    if facts.get("dirty") == "true":
        rows.insert(1, ("uncommitted changes", "yes"))
    rows += [
        ("model file", _code(item.source_digest)),
        ("held-out rows", _code(item.sample_digest)),
    ]
    rows += [(name, _code(facts[name])) for name in ("framework", "opset", INPUT) if name in facts]
    rows += [
        (escaped(name.removeprefix(_VERSION)), _code(value))
        for name, value in sorted(facts.items())
        if name.startswith(_VERSION)
    ]
    yield from (*_table(("fact", "value"), [row for row in rows if row[1]]), "")
    values = [
        (_code(name.removeprefix(PARAM)), _code(value))
        for name, value in sorted(facts.items())
        if name.startswith(PARAM)
    ]
    if values:
        yield from ("### Parameters", "", *_table(("parameter", "value"), values), "")


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _block(text: str) -> tuple[str, str, str]:
    """A block of code whose fence no text can end."""
    fence = "`" * max(3, 1 + _longest_run(text))
    return (f"{fence}sh", text, fence)


def _code(text: str) -> str:
    """Text as code in a table's cell or a sentence; empty where there is none."""
    line = " ".join(text.split())
    if not line:
        return ""
    fence = "`" * (1 + _longest_run(line))
    padded = f" {line} " if line.startswith("`") or line.endswith("`") else line
    return f"{fence}{padded}{fence}".replace("|", "\\|")


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


def escaped(text: str) -> str:
    """Text as one line in which Markdown and HTML have no say."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _number(value: float | None) -> str:
    return "" if value is None else number(value)


def _shape(tensor: TensorSpec) -> str:
    return " × ".join("n" if size < 0 else str(size) for size in tensor.shape)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(_code(name) or '""' for name in names[:_MOST_COLUMNS])
    left = len(names) - _MOST_COLUMNS
    return f"{shown} and {left} more" if left > 0 else shown
