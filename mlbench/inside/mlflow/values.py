"""What MLflow keeps as text, as the record takes it."""

from __future__ import annotations

import os
import re

TYPE_CHECKING = False  # type checkers take it for True; importing typing costs milliseconds
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Scalar = str | int | float | bool | None

SYSTEM_PREFIX = "mlflow."
"""MLflow's own tags begin with it."""

PARENT_TAG = "mlflow.parentRunId"
NAME_TAG = "mlflow.runName"

_CONSTANTS: Mapping[str, Scalar] = {"True": True, "False": False, "None": None}
_LONGEST_NUMBER = 32
_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp")
# What `log_image` with a key makes of it; its small copy is for MLflow's own page.
_OF_A_STEP = re.compile(r"(.*?)images/([^/]+)\+step\+(-?\d+)\+timestamp\+[^/]*")
_SMALL_COPY = "+compressed.webp"


def scalar_of(text: str) -> Scalar:
    """A parameter's value before MLflow made it a text: the inverse of `str` on plain values.

    What Python wouldn't write like this stays a text, such as `007`, and so do NaN and infinity.
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if len(text) <= _LONGEST_NUMBER:
        for number in (int, float):
            try:
                value = number(text)
            except ValueError:
                continue
            if str(value) == text and value - value == 0:
                return value
    return text


def own_tags(tags: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The tags that people and scripts set, without MLflow's own."""
    return {name: value for name, value in tags if not name.startswith(SYSTEM_PREFIX)}


def picture_of(name: str) -> tuple[str, int | None] | None:
    """The name and the step of an artifact that is a picture; None for any other."""
    stem, suffix = os.path.splitext(name)
    if suffix.lower() not in _PICTURES:
        return None
    of_a_step = _OF_A_STEP.fullmatch(stem)
    if of_a_step is None:
        return stem, None
    return of_a_step[1] + of_a_step[2].replace("~", "/"), int(of_a_step[3])


def is_small_copy(name: str) -> bool:
    """Whether an artifact is the copy of a picture that MLflow makes for its own page."""
    return name.endswith(_SMALL_COPY) and _OF_A_STEP.match(name) is not None
