"""One candidate or version in full: gates, proof, metrics, signature, facts, how to ask it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.content import Content

from mlbench.domain.phrases import number, plural, size
from mlbench.domain.release import Candidate, Parity, ParityCheck, Signature, TensorSpec
from mlbench.domain.runs import TestCounts
from mlbench.tui.board import seconds_of
from mlbench.tui.draw.ansi import safe
from mlbench.tui.draw.gates import told_gates
from mlbench.tui.draw.lines import EMPTY, Part, cell, line, widest
from mlbench.tui.draw.releases import dirty_parts, live_parts, run_name
from mlbench.tui.reading import Released
from mlbench.tui.words import moment, scalar, signed

if TYPE_CHECKING:
    from mlbench.engine.release_queries import ReleaseFiles

_LABEL = 10
_NUMBER = 9
_LEAST_TEXT = 16
_MOST_COLUMNS = 40
_MOST_CURL = 4
_LEAST_DIGEST, _HEXADECIMAL = 32, "0123456789abcdef"
# As the facts name them: versions of packages, and parameters, which have a section of their own.
_VERSION, _PARAM = "version.", "params."


@dataclass(frozen=True, slots=True)
class Page:
    """What a page is drawn from: the row, and what lies in its folder or why it can't be read."""

    row: Released
    files: ReleaseFiles | None = None
    problem: str = ""

    @property
    def candidate(self) -> Candidate:
        """The candidate or version."""
        return self.row.candidate


def proof_lines(page: Page, width: int) -> list[Content]:
    """What speaks for and against it: gates, parity by kind of rows, metrics of both models."""
    return _sections(page, width, (_head, _gates, _parity, _metrics))


def fact_lines(page: Page, width: int) -> list[Content]:
    """What it is: size and latency, signature, where it came from, parameters, a request."""
    return _sections(page, width, (_measures, _signature, _facts, _params, _request))


Section = Callable[[Page, int], list[Content]]


def _sections(page: Page, width: int, sections: Sequence[Section]) -> list[Content]:
    lines: list[Content] = []
    for section in sections:
        drawn = section(page, width)
        lines += [*([EMPTY] if lines and drawn else []), *drawn]
    return lines


def _head(page: Page, width: int) -> list[Content]:
    row, item = page.row, page.candidate
    dirty = dirty_parts(row, "! from uncommitted code")
    lines = [
        line((run_name(row), "bold"), (f"  {item.run}", "$quiet")),
        line((moment(seconds_of(item.created)), "$quiet"), "  ", *live_parts(row)),
    ]
    lines += [line(*dirty)] if dirty else []
    damage = page.problem or (page.files.damage if page.files else "")
    broken = Content(f"✗ {safe(damage)}").wrap(max(_LEAST_TEXT, width)) if damage else []
    drawn = [cell(text, width) for text in lines]
    return [*drawn, *(line((piece.plain, "bold $fail")) for piece in broken)]


def _gates(page: Page, width: int) -> list[Content]:
    item, run = page.candidate, page.row.run
    tests: list[TestCounts] = (
        [record.tests for record in run.stages.values() if record.tests] if run else []
    )
    if not item.gates:
        return [_title("Gates", "none: add gates = […] to the model in mlbench.toml", width)]
    drawn = told_gates(item.gates, width, tests[0] if tests else None)
    return [_title("Gates", "as judged last", width), *drawn]


def _parity(page: Page, width: int) -> list[Content]:
    parity, item = page.candidate.parity, page.candidate
    if parity is None:
        said = f"{item.format}: released as it is, never exported"
        return [_title("Parity", said, width)]
    sign: Part = ("✓ ", "$ok") if parity.passed else ("✗ ", "bold $fail")
    if not parity.has_original:
        sign = ("– ", "$quiet")
    bounds = f"within {number(parity.tolerance)}" if parity.tolerance else ""
    if parity.flip_margin:
        bounds += f", labels may flip within {number(parity.flip_margin)}"
    lines = [
        cell(line(("Parity", "bold $info"), "  ", sign, (bounds, "$quiet")), width),
        *_largest(parity, width),
    ]
    names = widest(check.name for check in parity.checks)
    if parity.checks:
        heads = f"{'rows':>6}  {'absolute':>{_NUMBER}}  {'relative':>{_NUMBER}}  labels"
        lines.append(cell(line(" " * (names + 4), (heads, "$quiet")), width))
    for check in parity.checks:
        lines += _check(check, names, width)
    return lines


def _largest(parity: Parity, width: int) -> list[Content]:
    if not parity.has_original:
        return [line(("there is no original to compare with", "$quiet"))]
    check = f"{parity.worst_check} " if parity.worst_check else ""
    row = f", {check}row {parity.worst_row}" if parity.worst_row >= 0 else ""
    count = f"{plural(parity.label_flips, 'label')} of {plural(parity.rows, 'row')}"
    flips = f"{count} not the same" if parity.label_flips else "no label differs"
    style = "" if parity.passed else "$fail"
    said = f"max error {number(parity.max_abs_error)}{row}; {flips}"
    return [line((piece.plain, style)) for piece in Content(said).wrap(max(_LEAST_TEXT, width))]


def _check(check: ParityCheck, names: int, width: int) -> list[Content]:
    """One kind of rows; where it failed why, and in any case the worst row in words."""
    if check.passed is None:
        said = line(("– ", "$quiet"), cell((check.name, "$quiet"), names), "  ")
        return _hung(said, check.why or "does not apply", "$quiet", width)
    sign: Part = ("✓ ", "$ok") if check.passed else ("✗ ", "bold $fail")
    style = "" if check.passed else "$fail"
    flips = f"{check.label_flips} differ" if check.label_flips else "same"
    if check.excused_flips:
        flips += f", {check.excused_flips} within the margin"
    figures = (
        f"{check.rows:>6}  {number(check.max_abs_error):>{_NUMBER}}  "
        f"{number(check.max_rel_error):>{_NUMBER}}  {flips}"
    )
    lines = [cell(line(sign, cell(check.name, names), "  ", (figures, style)), width)]
    for words, tone in ((check.why, style or "$quiet"), (check.worst, "$quiet")):
        if words:
            lines += _hung(line("    "), words, tone, width)
    return lines


def _hung(head: Content, words: str, style: str, width: int) -> list[Content]:
    """Words behind a head, wrapped below themselves where there is room for that."""
    indent = head.cell_length if width - head.cell_length >= _LEAST_TEXT else 4
    pieces = Content(safe(words)).wrap(max(_LEAST_TEXT, width - max(indent, 1)))
    if indent < head.cell_length:
        return [head, *(line(" " * indent, (piece.plain, style)) for piece in pieces)]
    return [
        line(head if not index else " " * indent, (piece.plain, style))
        for index, piece in enumerate(pieces)
    ]


def _metrics(page: Page, width: int) -> list[Content]:
    parity = page.candidate.parity
    if parity is None or not (parity.original_metrics or parity.exported_metrics):
        return []
    known, exported = parity.original_metrics, parity.exported_metrics
    names = list(dict.fromkeys([*known, *exported]))
    room = min(widest(names), max(8, width // 3))
    heads = f"{'original':>{_NUMBER}}  {'exported':>{_NUMBER}}"
    lines = [
        line(("Metrics", "bold $info"), ("  on the held-out rows", "$quiet")),
        line(" " * room, "  ", (heads, "$quiet")),
    ]
    for name in names:
        one, other = known.get(name), exported.get(name)
        change = other - one if one is not None and other is not None else 0.0
        moved: Part = (f"  {signed(change)}", "$warn") if change else ("  =", "$quiet")
        shown = f"{_number(one):>{_NUMBER}}  {_number(other):>{_NUMBER}}"
        lines.append(line(cell((name, "$quiet"), room), "  ", shown, moved))
    return [cell(text, width) for text in lines]


def _measures(page: Page, width: int) -> list[Content]:
    item = page.candidate
    spans = [f"{name.removesuffix('_ms')} {number(v)} ms" for name, v in item.latency.items()]
    rows = {
        "size": size(item.size),
        "latency": "  ".join(spans) if spans else "",
        "digest": item.digest[:16],
        "graph": item.graph_digest[:16],
        "file": f".mlbench/{item.path}/{item.file}",
    }
    return [_title("Model", item.format, width), *_labelled(rows, width)]


def _signature(page: Page, width: int) -> list[Content]:
    signature = page.candidate.signature
    if signature is None:
        return []
    return [_title("Signature", "", width), *_labelled(signature_rows(signature), width)]


def signature_rows(signature: Signature) -> dict[str, str]:
    """What a model takes and gives, in words: tensors with type and shape, columns, classes."""
    columns = list(signature.columns[:_MOST_COLUMNS])
    more = len(signature.columns) - len(columns)
    return {
        "takes": ", ".join(_tensor(item) for item in signature.inputs),
        "gives": ", ".join(_tensor(item) for item in signature.outputs),
        "classes": ", ".join(signature.classes),
        "columns": ", ".join(columns) + (f" and {more} more" if more else ""),
    }


def _tensor(tensor: TensorSpec) -> str:
    shape = " × ".join("n" if size < 0 else str(size) for size in tensor.shape)
    return f"{tensor.name} {tensor.datatype} [{shape}]"


def _facts(page: Page, width: int) -> list[Content]:
    item, run = page.candidate, page.row.run
    code = run.code if run else None
    rows = {
        name.removeprefix(_VERSION): _short(value)
        for name, value in item.facts.items()
        if not name.startswith(_PARAM)
    }
    if "commit" not in rows and code is not None and code.commit:
        rows["commit"] = code.commit[:12]
    rows.setdefault("trained from", item.source_digest[:16])
    rows.setdefault("held-out", item.sample_digest[:16])
    return [_title("Facts", "", width), *_labelled(rows, width)]


def _params(page: Page, width: int) -> list[Content]:
    run = page.row.run
    if run is not None:
        rows = {name: scalar(value) for name, value in run.params.items()}
    else:
        known = page.candidate.facts.items()
        rows = {name.removeprefix(_PARAM): v for name, v in known if name.startswith(_PARAM)}
    if not rows:
        return []
    return [_title("Parameters", "", width), *_labelled(rows, width)]


def _request(page: Page, width: int) -> list[Content]:
    curl = page.files.curl if page.files else ""
    if not curl:
        return []
    pieces = [
        curl[start : start + width] for start in range(0, min(len(curl), _MOST_CURL * width), width)
    ]
    more = [line(("…", "$quiet"))] if len(curl) > _MOST_CURL * width else []
    return [
        _title("Ask it", "u copies it whole", width),
        *(line((piece, "$info")) for piece in pieces),
        *more,
    ]


def _labelled(rows: Mapping[str, str], width: int) -> list[Content]:
    """A label and its text each, wrapped below itself; what is empty is left out."""
    lines: list[Content] = []
    room = max(_LABEL, min(widest(rows) + 2, width // 3))
    for label, text in rows.items():
        if text:
            lines += _hung(cell((label, "$quiet"), room), text, "", width)
    return lines


def _short(value: str) -> str:
    """A digest or a commit cut to what tells it from others."""
    is_digest = len(value) >= _LEAST_DIGEST and all(sign in _HEXADECIMAL for sign in value)
    return value[:16] if is_digest else value


def _title(title: str, detail: str, width: int) -> Content:
    return cell(line((title, "bold $info"), (f"  {detail}", "$quiet")), width)


def _number(value: float | None) -> str:
    return "–" if value is None else number(value)
