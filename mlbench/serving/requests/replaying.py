"""`python -m mlbench.serving.requests.replaying JOB`: logged requests, asked of another version.

It runs in a process of its own, with limits: a model that crashes takes nobody along.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from mlbench.domain.errors import ServingError
from mlbench.domain.plain import from_plain, to_plain
from mlbench.domain.release import DeployedModel
from mlbench.domain.serving import Replayed, ReplayFlip
from mlbench.serving.protocol.building import build_response
from mlbench.serving.protocol.parsing import parse_request
from mlbench.serving.protocol.rows import build_predictions, parse_rows
from mlbench.serving.protocol.tensors import Array
from mlbench.serving.refusals import RequestError
from mlbench.serving.requests.answers import outputs_of
from mlbench.serving.requests.reader import newest_kept
from mlbench.serving.requests.records import Kept
from mlbench.serving.requests.replay import RESULT_NAME, Job
from mlbench.serving.running.loading import LoadedModel, load
from mlbench.serving.traffic.comparing import compare
from mlbench.system.files import read_json, write_json

_MOST_FLIPS = 100
_MOST_REASONS = 10
_LONGEST_REASON = 300


class _NotLoggedError(Exception):
    """What a comparison needs is not in the log."""


class _BrokeDownError(Exception):
    """The model failed on inputs that it takes."""


@dataclass
class _Sums:
    """What has been found so far."""

    asked: int = 0
    compared: int = 0
    rows: int = 0
    flipped: int = 0
    refused: int = 0
    failed: int = 0
    unreadable: int = 0
    flips: list[ReplayFlip] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    worst: tuple[float, str] = (0.0, "")
    before: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)


def replay(
    entries: Iterable[Kept], model: LoadedModel, classes: Mapping[str, Sequence[str]], where: str
) -> Replayed:
    """Ask a version what was asked, and compare its answers with those that were given.

    `classes` are those of the versions that answered, by their numbers; `where` is the
    environment that they answered in.
    """
    sums = _Sums()
    for entry in entries:
        sums.asked += 1
        try:
            _ask_again(entry, model, classes, sums)
        except _NotLoggedError as error:
            sums.unreadable += 1
            sums.reasons[str(error)] += 1
        except (RequestError, InvalidArgument) as error:
            sums.refused += 1
            sums.reasons[_sentence(error)] += 1
        except _BrokeDownError as error:
            sums.failed += 1
            sums.reasons[_sentence(error)] += 1
    return _summed_up(sums, model.deployed, where)


def _ask_again(
    entry: Kept, model: LoadedModel, classes: Mapping[str, Sequence[str]], sums: _Sums
) -> None:
    before = _given(entry)
    began = time.perf_counter()
    body, header_length, unlike = _answer(entry, model)
    seconds = time.perf_counter() - began
    after = outputs_of(body, header_length, is_rows=entry.is_rows)
    before = {name: value for name, value in before.items() if name not in unlike}
    found = compare(before, after, classes.get(entry.version, ()), model.signature.classes)
    sums.compared += 1
    sums.rows += found.rows
    sums.flipped += len(found.flips)
    for flip in found.flips[: _MOST_FLIPS - len(sums.flips)]:
        sums.flips.append(ReplayFlip(entry.id, flip.row, flip.before, flip.after))
    sums.errors.append(found.max_abs_error)
    if found.max_abs_error > sums.worst[0]:
        sums.worst = (found.max_abs_error, entry.id)
    sums.before.append(entry.took)
    sums.after.append(seconds)
    for name in found.missing:
        sums.reasons[f'output "{name}" can\'t be compared: it is missing or of another shape'] += 1


def _given(entry: Kept) -> dict[str, Array]:
    """What was answered; _NotLoggedError where that, or what was asked, is not in the log."""
    if entry.without_body or entry.is_body_cut:
        why = "log_inputs" if entry.without_body else "they were too long"
        raise _NotLoggedError(f"the inputs were not logged ({why})")
    if entry.is_reply_cut:
        raise _NotLoggedError("the answer was too long to be logged")
    try:
        return outputs_of(entry.reply, entry.reply_header_length, is_rows=entry.is_rows)
    except ValueError as error:
        raise _NotLoggedError(str(error)) from None


def _answer(entry: Kept, model: LoadedModel) -> tuple[bytes, int | None, frozenset[str]]:
    """What the version answers, and the outputs whose texts are not to be compared.

    Those are rankings, which hold scores as text. RequestError and onnxruntime's InvalidArgument
    say that it does not take these inputs, _BrokeDownError that it failed on them.
    """
    deployed, signature = model.deployed, model.signature
    if entry.is_rows:
        asked = parse_rows(entry.body, signature)
    else:
        asked = parse_request(entry.body, entry.header_length, signature)
    try:
        outputs = model.infer(asked.inputs)
    except InvalidArgument:
        raise
    except Exception as error:
        raise _BrokeDownError(f"the model failed: {error}") from None
    names = (deployed.name, str(deployed.version))
    if entry.is_rows:
        return build_predictions(*names, asked, outputs, entry.id, signature), None, frozenset()
    body, length = build_response(*names, asked, outputs, entry.id, signature.classes)
    return body, length, frozenset(item.name for item in asked.outputs if item.classes)


def _summed_up(sums: _Sums, deployed: DeployedModel, where: str) -> Replayed:
    return Replayed(
        model=deployed.name,
        version=str(deployed.version) if deployed.version else f"candidate of {deployed.run}",
        environment=where,
        asked=sums.asked,
        compared=sums.compared,
        rows=sums.rows,
        flipped=sums.flipped,
        refused=sums.refused,
        failed=sums.failed,
        unreadable=sums.unreadable,
        flips=tuple(sums.flips),
        max_abs_error=sums.worst[0],
        mean_abs_error=sum(sums.errors) / len(sums.errors) if sums.errors else 0.0,
        worst_id=sums.worst[1],
        median_before=_percentile(sums.before, 0.5),
        p99_before=_percentile(sums.before, 0.99),
        median_after=_percentile(sums.after, 0.5),
        p99_after=_percentile(sums.after, 0.99),
        reasons=dict(sums.reasons.most_common(_MOST_REASONS)),
    )


def _percentile(values: Sequence[float], share: float) -> float | None:
    """The value that this share of all does not exceed."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split())[:_LONGEST_REASON]


def main(path: Path) -> None:
    """Do the job in this file and write what comes of it beside it; one sentence where it fails."""
    job = from_plain(Job, read_json(path))
    try:
        model = load(job.deployed)
    except ServingError as error:
        found: dict[str, object] = {"problem": str(error)}
    else:
        log = Path(job.log)
        answered = (entry for entry in newest_kept(log, job.deployed.name) if entry.status < 400)
        replayed = replay(islice(answered, job.count), model, job.classes, job.environment)
        found = to_plain(replayed)
    write_json(path.with_name(RESULT_NAME), found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
