"""Labels that come after their requests: what turned out to be true, by the request's id.

They are appended durably and never changed; of several for one id the last counts. One whose
request is in the log no more is kept all the same.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlbench.domain.clock import utc
from mlbench.domain.errors import UsageError
from mlbench.serving.refusals import RequestError
from mlbench.system.journal import append, read_lines

Label = tuple[str, Any]
"""A request's id, and a text, number, true or false; a list of them where it had several rows."""

_LONGEST_ID = 1000
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,300})(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?")
_FORM = '{"id": "…", "label": …} or {"labels": [{"id": "…", "label": …}, …]}'


def keep_labels(path: Path, model: str, body: bytes) -> int:
    """Keep the labels in a body for requests of a model; how many. Waits for the disk.

    RequestError 400 where the body holds none; then nothing of it is kept.
    """
    labels = parse_labels(body)
    append_labels(path, model, labels)
    return len(labels)


def parse_labels(body: bytes) -> tuple[Label, ...]:
    """The labels of a body, one or a list of them; RequestError 400 says what is wrong. Pure."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(400, f"the body is not JSON: {error}; it takes {_FORM}") from None
    if not isinstance(found, dict):
        raise RequestError(400, f"the body must be a JSON object: {_FORM}")
    items = found.get("labels", [found])
    if not isinstance(items, list) or not items:
        raise RequestError(400, f"labels must be a list of one or more: {_FORM}")
    try:
        return tuple(_label(item) for item in items)
    except ValueError as error:
        raise RequestError(400, f"{error}; the body takes {_FORM}") from None


def labels_of_csv(text: str) -> tuple[Label, ...]:
    """The labels of a CSV file with the columns `id` and `label`; ValueError says what is wrong."""
    rows = csv.DictReader(io.StringIO(text))
    lacking = [name for name in ("id", "label") if name not in (rows.fieldnames or ())]
    if lacking:
        found = ", ".join(rows.fieldnames or ()) or "none"
        raise ValueError(f"lacks the column {' and '.join(lacking)}; it has: {found}")
    labels = []
    for row in rows:
        if not row["id"] or row["label"] in (None, ""):
            raise ValueError(f"line {rows.line_num} has no {'label' if row['id'] else 'id'}")
        labels.append((_checked_id(row["id"]), number_or_text(row["label"])))
    return tuple(labels)


def number_or_text(text: str) -> Any:
    """A label as people type it: plain numbers, true and false are what they look like.

    007 and 1_000 are names.
    """
    plain = text.strip()
    if plain.lower() in ("true", "false"):
        return plain.lower() == "true"
    found = _NUMBER.fullmatch(plain)
    if found is None:
        return text
    return float(plain) if found[1] or found[2] else int(plain)


def append_labels(path: Path, model: str, labels: Iterable[Label]) -> None:
    """Append labels durably; OSError where the disk is full."""
    at = utc()
    append(path, [{"id": id_, "label": label, "model": model, "at": at} for id_, label in labels])


def labels_of(path: Path, model: str | None = None) -> dict[str, Any]:
    """The last label of each id, of one model or of all."""
    return {
        entry["id"]: entry["label"]
        for entry in _entries(path)
        if model in (None, entry.get("model"))
    }


def _entries(path: Path) -> Iterator[Mapping[str, Any]]:
    for entry in read_lines(path):
        if isinstance(entry, dict) and "id" in entry and "label" in entry:
            yield entry


def _label(item: Any) -> Label:
    if not isinstance(item, dict) or "id" not in item or "label" not in item:
        raise ValueError("a label needs an id and a label")
    label = item["label"]
    values: Sequence[Any] = label if isinstance(label, list) and label else [label]
    if any(not isinstance(value, str | int | float) for value in values):
        raise ValueError("a label must be a string, a number, true or false, or a list of these")
    if any(isinstance(value, float) and value - value != 0 for value in values):
        raise ValueError("a label must be a finite number")
    return _checked_id(item["id"]), label


def _checked_id(id_: Any) -> str:
    if not isinstance(id_, str) or not 0 < len(id_) <= _LONGEST_ID:
        raise ValueError(f"an id must be a string of 1 to {_LONGEST_ID} characters")
    return id_


def read_labels(path: Path) -> tuple[Label, ...]:
    """The labels of a CSV file; UsageError where it can't be read."""
    try:
        return labels_of_csv(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path}: can't be read ({error.strerror})") from None
    except (ValueError, csv.Error) as error:
        raise UsageError(f"{path}: {error}") from None
