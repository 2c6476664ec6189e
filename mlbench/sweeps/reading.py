"""Looking at a study's journal while its coordinator writes it: nothing is mended or locked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend

from mlbench.domain.sweeps import KnownTrial, Sweep
from mlbench.sweeps import decoding
from mlbench.sweeps.journal import unreadable
from mlbench.sweeps.quiet import optuna
from mlbench.sweeps.space import Space


class JournalAsItIs(BaseJournalBackend):
    """The whole lines of a journal as they stood when it was opened; a torn tail is left out."""

    def __init__(self, path: Path) -> None:
        """Read it; OSError where that can't be done, ValueError for a line that is no JSON."""
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1].splitlines()
        while whole and not _is_json(whole[-1]):
            del whole[-1]
        self._lines: list[dict[str, Any]] = [json.loads(line) for line in whole]

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """Every operation from this one on."""
        return self._lines[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Refused: the coordinator alone writes."""
        raise PermissionError(f"a study that is only looked at takes no {len(logs)} operations")


def read_study(journal: Path) -> optuna.Study:
    """The one study of a journal; what Optuna raises, or OSError, where it can't be read."""
    return optuna.load_study(study_name=None, storage=JournalStorage(JournalAsItIs(journal)))


def known_trials(journal: Path, sweep: Sweep, base: Mapping[str, Any]) -> tuple[KnownTrial, ...]:
    """Every trial of the study in a journal, by number; none where it was not begun.

    `base` has the values of the params files. SweepError where the journal is damaged.
    """
    if not journal.exists():
        return ()
    try:
        storage = JournalStorage(JournalAsItIs(journal))
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise unreadable(journal, error) from None
    space = Space(sweep.space, base)
    return tuple(
        decoding.known(trial, space)
        for study in storage.get_all_studies()
        for trial in storage.get_all_trials(study._study_id, deepcopy=False)
    )


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
