"""Slices of a table of predictions, and what a metric is over each."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mlbench.domain.errors import nearest
from mlbench.domain.records import dataclass
from mlbench.domain.slices import SliceCall
from mlbench.release import measures
from mlbench.release.measures import Codes, Values

MOST_SLICES = 1000
_MOST_CLASSES = 1000
_SHOWN = 3
Texts = NDArray[np.str_]
Rows = NDArray[np.intp]


class SliceError(ValueError):
    """A table that a gate can't be judged over; the message says why and what would do."""


@dataclass(frozen=True)
class Predictions:
    """A model's answers, one row each: the truth, what was predicted, and what rows are sliced by.

    Classes are text, also where they are numbers; `scores` are rows × `score_classes`.
    """

    truth: Texts
    predicted: Texts
    columns: Mapping[str, Texts]
    scores: Values | None = None
    score_classes: tuple[str, ...] = ()

    @functools.cached_property
    def classes(self) -> tuple[str, ...]:
        """Every class that is true, predicted or scored; as numbers where all are some."""
        found = np.unique(np.concatenate([self.truth, self.predicted]))
        return in_order({*found.tolist(), *self.score_classes})


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows that agree in some columns, and what a metric is over them; NaN where undefined."""

    key: tuple[str, ...]
    rows: int
    value: float


def measure(
    predictions: Predictions, call: SliceCall, classes: tuple[str, ...] = ()
) -> tuple[Slice, ...]:
    """The call's metric over each slice, in the order of their keys, `within` before the columns.

    `classes` are those that there are, where the table may lack some. SliceError for an unknown
    column, too many slices, or a metric that the table can't give.
    """
    score = _scorer(predictions, call, classes or classes_of(call, predictions, None))
    columns = (*((call.within,) if call.within else ()), *call.columns)
    return tuple(Slice(key, len(rows), score(rows)) for key, rows in _grouped(predictions, columns))


def _grouped(
    predictions: Predictions, columns: Sequence[str]
) -> list[tuple[tuple[str, ...], Rows]]:
    """The rows of each slice."""
    place = np.zeros(len(predictions.truth), dtype=np.int64)
    for name in columns:
        if name not in predictions.columns:
            known = ", ".join(predictions.columns) or "none"
            raise SliceError(
                f"predictions have no column {name}{nearest(name, predictions.columns)} "
                f"to slice by; they have: {known}"
            )
        values, codes = np.unique(predictions.columns[name], return_inverse=True)
        _, place = np.unique(place * len(values) + codes, return_inverse=True)
    count = int(place.max()) + 1
    if count > MOST_SLICES:
        raise SliceError(
            f"{' and '.join(columns)} give {count:,} slices, more than {MOST_SLICES:,}; "
            "put the values into groups before they are written"
        )
    order = np.argsort(place, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(place))[:-1])
    table = predictions.columns
    return [(tuple(str(table[name][rows[0]]) for name in columns), rows) for rows in groups]


def _scorer(
    predictions: Predictions, call: SliceCall, classes: tuple[str, ...]
) -> Callable[[Rows], float]:
    """What gives the metric over some rows."""
    metric = call.metric
    if metric in measures.OF_VALUES:
        score, numbers = measures.OF_VALUES[metric], _numbers(predictions.truth, "truth", metric)
        guesses = _numbers(predictions.predicted, "prediction", metric)
        return lambda rows: score(numbers[rows], guesses[rows])
    if len(classes) > _MOST_CLASSES:
        raise SliceError(
            f"predictions have {len(classes):,} classes; numbers are scored by "
            f"{', '.join(measures.OF_VALUES)}"
        )
    positive = _positive(call, classes)
    truth = _codes(predictions.truth, classes)
    if metric in ("log_loss", "roc_auc"):
        table = _by_class(predictions, classes, metric)
        if metric == "log_loss":
            if not measures.are_shares(table):
                raise SliceError(
                    "log_loss needs probabilities, and the scores are none: each row's have to lie "
                    "between 0 and 1 and add up to 1"
                )
            return lambda rows: measures.log_loss(truth[rows], table[rows])
        return lambda rows: measures.roc_auc(truth[rows], table[rows], positive)
    measure_labels = {**measures.OF_LABELS, **measures.OF_ONE_CLASS}[metric]
    _check_writing(predictions)
    predicted = _codes(predictions.predicted, classes)
    return lambda rows: measure_labels(truth[rows], predicted[rows], len(classes), positive)


def _positive(call: SliceCall, classes: tuple[str, ...]) -> int | None:
    """The class that counts: the one named, else the second of two; None: all of them."""
    if call.positive is not None:
        if call.positive not in classes:
            listed = ", ".join(classes)
            raise SliceError(f'no row is "{call.positive}", named as positive; there are: {listed}')
        return classes.index(call.positive)
    if len(classes) == 2:
        return 1
    if call.metric in measures.OF_ONE_CLASS:
        raise SliceError(
            f"{call.metric} is that of one class, and predictions have {len(classes)}; "
            f'name it: {call.metric}, …, positive="{classes[-1]}"'
        )
    return None


def classes_of(call: SliceCall, own: Predictions, live: Predictions | None) -> tuple[str, ...]:
    """The classes of both tables; none where the metric knows none."""
    if call.metric in measures.OF_VALUES:
        return ()
    return own.classes if live is None else in_order({*own.classes, *live.classes})


def in_order(classes: Iterable[str]) -> tuple[str, ...]:
    """Classes by their numbers where all are some, else by their letters."""
    texts = sorted(classes)
    try:
        return tuple(sorted(texts, key=float))
    except ValueError:
        return tuple(texts)


def _check_writing(predictions: Predictions) -> None:
    """SliceError where truth and prediction do not write classes alike: none would be right."""
    written = [np.unique(column) for column in (predictions.truth, predictions.predicted)]
    numbers = [sum(map(_is_number, column.tolist())) for column in written]
    if sorted(numbers)[0] == 0 and any(
        some == len(column) for some, column in zip(numbers, written, strict=True)
    ):
        shown = (", ".join(column[:_SHOWN].tolist()) for column in written)
        truth, predicted = shown
        raise SliceError(
            f"truth has {truth} and prediction has {predicted}: "
            "write the classes alike, both as names or both as numbers"
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _codes(labels: Texts, classes: tuple[str, ...]) -> Codes:
    """The place of each label among the classes."""
    place = {name: position for position, name in enumerate(classes)}
    found, codes = np.unique(labels, return_inverse=True)
    return np.array([place[name] for name in found.tolist()], dtype=np.int64)[codes]


def _numbers(texts: Texts, column: str, metric: str) -> Values:
    try:
        return texts.astype(np.float64)
    except ValueError as error:
        raise SliceError(f"{metric} needs numbers in {column}: {error}") from None


def _by_class(predictions: Predictions, classes: tuple[str, ...], metric: str) -> Values:
    """The scores, a column for each class in their order; of two classes one may be the rest."""
    place = {name: at for at, name in enumerate(predictions.score_classes)}
    missing = [name for name in classes if name not in place]
    if predictions.scores is None or (missing and (len(classes), len(missing)) != (2, 1)):
        lacking = ", ".join(f"score_{name}" for name in missing)
        raise SliceError(f"{metric} needs a score for each class; predictions lack {lacking}")
    given = {name: predictions.scores[:, at] for name, at in place.items()}
    rest = 1 - sum(given.values())
    return np.stack([given.get(name, rest) for name in classes], axis=1)
