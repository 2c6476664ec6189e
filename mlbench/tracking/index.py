"""What the index holds of a run: one line of JSON, from which single values are read undecoded.

    {"id":…,"state":…,"outcome":…,"marks":{…},"origin":…,"name":…,"by":…,"started":…,
     "seconds":…,"commit":…,"branch":…,"dirty":…,"changed_files":…,"data":…,"source":…,
     "parent":…,"study":…,"trial":…,"params":{…},"metrics":{…},"extremes":{…},"stages":{…}}

Its order is what `tracking/lines.py` relies on; what is as by default is left out, apart from the
four sections. A number that JSON has no word for stands in brackets, as text: `["nan"]`.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

from mlbench.domain.outcomes import RunOutcome, StageOutcome
from mlbench.domain.runs import CodeState, Extremes, Marks, Run, Scalar, StageRecord, TestCounts

# What reading a line raises that is no document of a run.
DAMAGE = (ValueError, KeyError, TypeError, AttributeError, IndexError)
_LARGEST = 2**63
LEAST_NUMBER = 2**40
_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{8}", re.ASCII)
_KEPT = 4096
_RUN_FIELDS = ("origin", "name", "by", "started", "seconds")
_STAGE_FIELDS = ("key", "cpu_seconds", "peak_memory")
_TEXT_FIELDS = ("data", "source", "parent", "study")
_CODE_FIELDS = ("commit", "branch", "dirty", "changed_files")
_RUN_OUTCOMES = {outcome.word: outcome for outcome in RunOutcome}
_STAGE_OUTCOMES = {outcome.word: outcome for outcome in StageOutcome}
_NO_MARKS, _NO_CODE = Marks(), CodeState()


def document_of(run: Run) -> dict[str, Any]:
    """What the index holds of a run: about a kilobyte, enough for a table of runs.

    Left out are its outs, inputs, reasons, the metrics of single stages and all but the first
    line of their messages.
    """
    document: dict[str, Any] = {
        "id": _text(run.id),
        "state": state_hash(run.state),
        "outcome": run.outcome.word if run.outcome else None,
    }
    marks = _unlike(run.marks, _NO_MARKS, ("note", "star", "baseline_since", "archived"))
    if run.marks.tags:
        marks["tags"] = [_text(tag) for tag in run.marks.tags]
    if marks:
        document["marks"] = marks
    document |= {name: _storable(getattr(run, name)) for name in _RUN_FIELDS}
    document |= _unlike(run.code, _NO_CODE, _CODE_FIELDS)
    document |= {name: _text(value) for name in _TEXT_FIELDS if (value := getattr(run, name))}
    if run.trial is not None:
        document["trial"] = run.trial
    document["params"] = {_text(name): _storable(value) for name, value in run.params.items()}
    document["metrics"] = {_text(name): _storable(value) for name, value in run.metrics.items()}
    document["extremes"] = {
        _text(name): [_storable(item) for item in (it.min, it.min_step, it.max, it.max_step)]
        for name, it in run.extremes.items()
    }
    document["stages"] = {
        _text(name): _stage_document(run.id, stage) for name, stage in run.stages.items()
    }
    return document


def line_of(run: Run) -> bytes:
    """The document of a run as the index has it."""
    return orjson.dumps(document_of(run))


@lru_cache(maxsize=_KEPT)
def run_of(line: bytes) -> Run:
    """The run of a line of the index; one of DAMAGE where it is none."""
    document = orjson.loads(line)
    outcome = document["outcome"]
    marks = document.get("marks")
    return Run(
        id=document["id"],
        name=document["name"],
        outcome=_RUN_OUTCOMES[outcome] if outcome is not None else None,
        origin=document["origin"],
        by=document["by"],
        started=document["started"],
        seconds=_number(document["seconds"]),
        code=CodeState(**{name: document[name] for name in _CODE_FIELDS if name in document}),
        params={name: value_of(value) for name, value in document["params"].items()},
        metrics={name: _number(value) for name, value in document["metrics"].items()},
        extremes={
            name: Extremes(_number(least), int(at_least), _number(most), int(at_most))
            for name, (least, at_least, most, at_most) in document["extremes"].items()
        },
        stages={
            name: _stage_record(document["id"], plain) for name, plain in document["stages"].items()
        },
        marks=Marks(**{**marks, "tags": tuple(marks.get("tags", ()))}) if marks else _NO_MARKS,
        trial=document.get("trial"),
        **{name: document[name] for name in _TEXT_FIELDS if name in document},
    )


def number_of(run_id: str) -> int | None:
    """The document's number for a run, so that numbers rise as ids do; None for other ids.

    Those of `inside/identity.py`, from 2001 to 2066, become 31 bits of their second and the 32
    behind it; all are over LEAST_NUMBER.
    """
    if not _ID.fullmatch(run_id):
        return None
    year, month, day = int(run_id[:4]) - 2000, int(run_id[4:6]) - 1, int(run_id[6:8]) - 1
    hour, minute, second = int(run_id[9:11]), int(run_id[11:13]), int(run_id[13:15])
    digits = ((year, 67), (month, 12), (day, 31), (hour, 24), (minute, 60), (second, 61))
    if year < 1 or any(not 0 <= digit < base for digit, base in digits):
        return None
    moment = 0
    for digit, base in digits:
        moment = moment * base + digit
    return moment << 32 | int(run_id[16:], 16)


def state_hash(state: Mapping[str, str | None]) -> str:
    """What finds the runs of one tuple of fingerprints: a checksum, so others may have it too."""
    text = orjson.dumps([[_text(name), key] for name, key in sorted(state.items())])
    return f"{zlib.crc32(text):08x}"


def value_of(plain: Any) -> Scalar:
    """A parameter or metric as it was before it went into the index."""
    if not isinstance(plain, list):
        value: Scalar = plain
        return value
    text = plain[0]
    return int(text) if text.lstrip("-").isdecimal() else float(text)


def _stage_document(run_id: str, stage: StageRecord) -> dict[str, Any]:
    document: dict[str, Any] = {
        "outcome": stage.outcome.word if stage.outcome else None,
        "seconds": _storable(stage.seconds),
    }
    for name in _STAGE_FIELDS:
        if (value := getattr(stage, name)) is not None:
            document[name] = value
    # Most stages ran in the run itself.
    if stage.ran_in != run_id:
        document["ran_in"] = stage.ran_in
    if stage.tests is not None:
        document["tests"] = [stage.tests.passed, stage.tests.failed, stage.tests.skipped]
    if stage.message:
        document["message"] = _text(stage.message.partition("\n")[0])
    return document


def _stage_record(run_id: str, document: Mapping[str, Any]) -> StageRecord:
    outcome, tests = document["outcome"], document.get("tests")
    return StageRecord(
        outcome=_STAGE_OUTCOMES[outcome] if outcome is not None else None,
        seconds=_number(document["seconds"]),
        key=document.get("key"),
        ran_in=document.get("ran_in", run_id),
        tests=TestCounts(*tests) if tests is not None else None,
        message=document.get("message", ""),
        cpu_seconds=document.get("cpu_seconds"),
        peak_memory=document.get("peak_memory"),
    )


def _number(plain: Any) -> float:
    return float(plain[0]) if isinstance(plain, list) else plain


def _unlike(value: object, default: object, names: tuple[str, ...]) -> dict[str, Any]:
    """The fields of a value that are not as by default."""
    return {
        name: _storable(own)
        for name in names
        if (own := getattr(value, name)) != getattr(default, name)
    }


def _storable(value: Any) -> Any:
    """A value that JSON can hold, as itself or in brackets."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return [repr(value)]
    if isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
        return [str(value)]
    return value


def _text(text: str) -> str:
    """The text with what is no character written out, as of a file name that is no UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text
