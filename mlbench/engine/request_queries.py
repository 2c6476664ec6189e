"""Questions about what environments were asked: the request log, and labels that came later."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbench.domain.errors import UsageError
from mlbench.domain.records import dataclass
from mlbench.domain.serving import LoggedRequest

if TYPE_CHECKING:
    from mlbench.domain.expression import Value
    from mlbench.domain.tally import Tally
    from mlbench.engine.queries import Queries

# What `--where` may name, by the table's columns.
NAMES = ("id", "model", "version", "status", "ms", "time", "prediction", "label", "error")


@dataclass(frozen=True, slots=True)
class Kept:
    """How many labels were kept, and how many of their requests the log has not, or no more."""

    labels: int
    unknown: int


def requests_of(
    queries: Queries,
    environment: str,
    model: str | None = None,
    *,
    last: int | None = 20,
    where: str | None = None,
    id_: str | None = None,
) -> tuple[LoggedRequest, ...]:
    """The newest logged requests, newest first, with their labels; all of them for None.

    `where` is an expression over NAMES. UsageError where there is no such environment or name.
    """
    from mlbench.serving.requests.labels import labels_of
    from mlbench.serving.requests.reader import newest_first

    layout = queries.layout
    _check_environment(queries, environment)
    found = newest_first(layout.requests(environment), model, id_)
    labels = labels_of(layout.labels(environment))
    labelled = (_with_label(request, labels) for request in found)
    return tuple(islice(labelled if where is None else _holding(labelled, where), last))


def tallies(queries: Queries, environment: str) -> tuple[Tally, ...]:
    """What an environment's server counted since it began, a tally for each version."""
    from mlbench.serving.counters import read_tallies

    return read_tallies(queries.layout.counters(environment))


def prediction_of(request: LoggedRequest) -> Any:
    """What to show as a request's answer: a value, or a list of one a row; None where it failed."""
    from mlbench.serving.requests import columns

    return columns.prediction_of(request)


def write_requests(
    queries: Queries, requests: Sequence[LoggedRequest], target: Path | None, form: str
) -> int:
    """Write requests as "csv" or "parquet", CSV to standard output for None; how many lines.

    UsageError where the file can't be written, or what writes it isn't installed.
    """
    import sys

    from mlbench.project.table_files import write_csv_text, write_table
    from mlbench.serving.requests.columns import table_of

    signatures = _Signatures(queries)
    names, lines = table_of(requests, signatures.of)
    if target is None:
        write_csv_text(sys.stdout, names, lines)
    else:
        write_table(target, form, names, lines)
    return len(lines)


def keep_labels(
    queries: Queries, environment: str, model: str, labels: Sequence[tuple[str, Any]]
) -> Kept:
    """Keep labels for requests of a model by their ids, durably; of several for one the last.

    UsageError where there is no such environment or model.
    """
    from mlbench.engine.releases import find_model
    from mlbench.serving.requests.labels import append_labels
    from mlbench.serving.requests.reader import known_ids
    from mlbench.system.files import writable

    _check_environment(queries, environment)
    find_model(queries.project(), model)
    layout = queries.layout
    with writable(layout.serving):
        append_labels(layout.labels(environment), model, labels)
    known = known_ids(layout.requests(environment))
    return Kept(len(labels), sum(id_ not in known for id_, _ in labels))


def labels_in(file: Path) -> tuple[tuple[str, Any], ...]:
    """The labels of a CSV file with the columns id and label; UsageError where it has none."""
    from mlbench.serving.requests.labels import read_labels

    return read_labels(file)


def label_of(text: str) -> Any:
    """A label as typed: a number, true or false where it looks like one."""
    from mlbench.serving.requests.labels import number_or_text

    return number_or_text(text)


class _Signatures:
    """The signatures of versions, each looked up once."""

    def __init__(self, queries: Queries) -> None:
        from mlbench.release.registry import Registry

        self._registry = Registry(queries.layout.models)
        self._known: dict[str, dict[str, Any]] = {}

    def of(self, model: str, version: str) -> Any:
        """The signature of a version, None where it is not there."""
        if model not in self._known:
            self._known[model] = {
                str(item.version): item.signature for item in self._registry.versions(model)
            }
        return self._known[model].get(version)


def _check_environment(queries: Queries, name: str) -> None:
    """UsageError for an environment that neither mlbench.toml has nor any request was logged in."""
    from mlbench.engine.releases import find_environment

    if not queries.layout.requests(name).is_dir():
        find_environment(queries.project(), name)


def _with_label(request: LoggedRequest, labels: dict[str, Any]) -> LoggedRequest:
    import dataclasses

    if request.id not in labels:
        return request
    return dataclasses.replace(request, label=labels[request.id])


def _holding(requests: Iterator[LoggedRequest], where: str) -> Iterator[LoggedRequest]:
    """The requests of which an expression holds; one that lacks a value it names is left out."""
    from mlbench.domain.errors import nearest
    from mlbench.domain.expression import (
        ExpressionError,
        MissingFactError,
        compiled,
        names_in,
        parse,
    )

    try:
        tree = parse(where)
    except ExpressionError as error:
        raise UsageError(f"--where {where!r}: {error}") from None
    for name in sorted(names_in(tree) - set(NAMES)):
        listed = ", ".join(NAMES)
        raise UsageError(
            f"--where {where!r}: a request has no {name}{nearest(name, NAMES)}; it has {listed}"
        )
    holds = compiled(tree, _reading)
    for request in requests:
        try:
            if holds(request):
                yield request
        except MissingFactError:
            continue
        except ExpressionError as error:
            raise UsageError(f"--where {where!r}: {error}") from None


def _reading(name: str) -> Callable[[LoggedRequest], Value]:
    return lambda request: _value(request, name)


def _value(request: LoggedRequest, name: str) -> Value:
    from mlbench.domain.expression import MissingFactError

    known = {"ms": request.seconds * 1000, "time": request.at}
    if name == "prediction":
        found = prediction_of(request)
    else:
        found = known[name] if name in known else getattr(request, name)
    if found is None or isinstance(found, list):
        raise MissingFactError(name, f"{name} has no single value")
    return found  # type: ignore[no-any-return]
