"""Optuna, told to keep its voice down: whoever needs it here imports it from this module."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

import optuna

# It prints a line for each trial otherwise, and the board says the same.
optuna.logging.set_verbosity(optuna.logging.WARNING)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keep back what Optuna warns of: experimental classes, and ranges that steps don't divide."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.simplefilter("ignore", UserWarning)
        yield


__all__ = ["optuna", "quietly"]
