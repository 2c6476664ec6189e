"""How a sweep that is followed is told: in lines for people, or as JSON objects, one a line."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import Any, Protocol

from mlbench.cli.output import coloured, narrate, print_json
from mlbench.cli.sweep_lines import status_line, summary_lines, trial_line
from mlbench.cli.sweep_news import Began, Board, News, counts
from mlbench.domain.phrases import plural
from mlbench.domain.plain import to_plain
from mlbench.domain.records import dataclass
from mlbench.domain.sweeps import Progress, Study, Trial

_ERASE_LINE = "\r\x1b[K"
_PHASES = {"preparing": "building what all trials share", "finishing": "no new trials"}


@dataclass(frozen=True, slots=True)
class End:
    """How following a study ended, after so many seconds; `is_done`: its limits are reached.

    `goes_on`: the same command goes on with it, and nothing has to be mended before.
    """

    because: str
    seconds: float
    is_done: bool
    goes_on: bool


class Voice(Protocol):
    """What tells of a study while it is followed."""

    def begin(self, study: Study, board: Board) -> None:
        """It is followed from here on; what the board has was told before."""

    def tell(self, study: Study, news: Sequence[News]) -> None:
        """Trials began and ended."""

    def say(self, sentence: str) -> None:
        """Something for whoever watches that is no part of the data."""

    def stand(self, study: Study, board: Board, progress: Progress) -> None:
        """How it stands now; called again and again."""

    def finish(self, study: Study, board: Board, best: Sequence[int], end: End) -> None:
        """Nobody works on it any more."""


class TextVoice:
    """A line a trial that ended, and on a terminal one below them that says what runs."""

    def __init__(self) -> None:
        """Nothing is shown yet."""
        self._has_terminal = sys.stderr.isatty()
        self._shown = ""

    def begin(self, study: Study, board: Board) -> None:
        """Name the study, and what it has already."""
        has = f" has {plural(len(board), 'trial')}" if board else ""
        self.say(f"study {study.id} of sweep {study.name}{has}; Ctrl-C stops it")

    def tell(self, study: Study, news: Sequence[News]) -> None:
        """A line for each that ended; what begins is in the status line."""
        for item in news:
            if not isinstance(item, Began):
                self._erase()
                glyph = coloured(item.trial.state.glyph, item.trial.state.colour)
                line = trial_line(item.trial, study.sweep, is_best=item.is_best)
                print(f"{glyph} {line}", flush=True)

    def say(self, sentence: str) -> None:
        """A sentence to standard error."""
        self._erase()
        narrate(sentence)

    def stand(self, study: Study, board: Board, progress: Progress) -> None:
        """The status line, where there is a terminal."""
        if not self._has_terminal:
            return
        message = _PHASES.get(progress.phase, "")
        room = shutil.get_terminal_size().columns - 1
        text = status_line(board, study.sweep, message)
        text = text if len(text) <= room else f"{text[: room - 1]}…"
        if text != self._shown:
            sys.stderr.write(f"{_ERASE_LINE}{text}")
            sys.stderr.flush()
            self._shown = text

    def finish(self, study: Study, board: Board, best: Sequence[int], end: End) -> None:
        """The summary."""
        goes_on = f"; `mlbench sweep {study.name}` goes on with it" if end.goes_on else ""
        self.say(f"{study.name} ended: {end.because}{goes_on}")
        print("\n".join(summary_lines(study, board, best, end.seconds)), flush=True)

    def _erase(self) -> None:
        if self._shown:
            sys.stderr.write(_ERASE_LINE)
            sys.stderr.flush()
            self._shown = ""


class JsonVoice:
    """One JSON object a line for each thing that happens; sentences go to standard error."""

    def begin(self, study: Study, board: Board) -> None:
        """`study_started`, with the counts of the trials that it has already."""
        head = {"event": "study_started", "study": study.id, "sweep": study.name}
        print_json({**head, "stage": study.sweep.stage, "trials": counts(board.values())})

    def tell(self, study: Study, news: Sequence[News]) -> None:
        """`trial_started` and `trial_finished`."""
        for item in news:
            if isinstance(item, Began):
                print_json({"event": "trial_started", "study": study.id, **_begun(item.trial)})
            else:
                plain = {**trial_to_plain(item.trial), "best": item.is_best}
                print_json({"event": "trial_finished", "study": study.id, **plain})

    def say(self, sentence: str) -> None:
        """A sentence to standard error."""
        narrate(sentence)

    def stand(self, study: Study, board: Board, progress: Progress) -> None:
        """Nothing: how it stands is no event."""

    def finish(self, study: Study, board: Board, best: Sequence[int], end: End) -> None:
        """`study_finished`, the last line."""
        print_json(
            {
                "event": "study_finished",
                "study": study.id,
                "sweep": study.name,
                "best": [best_to_plain(board[one]) for one in best],
                "trials": counts(board.values()),
                "done": end.is_done,
                "because": end.because,
                "seconds": round(end.seconds, 3),
            }
        )


def trial_to_plain(trial: Trial) -> dict[str, Any]:
    """A trial as `--json` gives it: `run` is that of its first repeat."""
    plain: dict[str, Any] = to_plain(trial)
    number = plain.pop("number")
    run = trial.runs[0] if trial.runs else None
    return {"trial": number, "state": plain.pop("state"), "run": run, **plain}


def best_to_plain(trial: Trial) -> dict[str, Any]:
    """One of the best as `--json` gives it, in few words."""
    plain = trial_to_plain(trial)
    return {name: plain[name] for name in ("trial", "values", "spread", "params", "run", "runs")}


def _begun(trial: Trial) -> dict[str, Any]:
    return {"trial": trial.number, "params": to_plain(trial.params), "at": trial.started}
