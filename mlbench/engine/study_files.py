"""What a study has on disk: what it is, its board of trials, and what its coordinator says.

study.json      the Study, written once, and again where its limits change
journal.log     Optuna's own journal: what is true of the trials; optuna-dashboard opens it
trials.jsonl    the board: a checksummed line for each change of a trial, for faces that should
not load Optuna; made anew from the journal by each coordinator
progress.json   what the coordinator says of itself
lock            held by the coordinator while it lives
inbox/          commands for it
log             what it prints
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from mlbench.domain.names import new_command_id
from mlbench.domain.plain import from_plain, to_plain
from mlbench.domain.sweeps import (
    EnqueueTrial,
    Progress,
    StopSweep,
    StopTrial,
    Study,
    SweepCommand,
    Trial,
)
from mlbench.project.layout import Layout
from mlbench.system.files import (
    FULL,
    overwrite_json,
    read_json,
    size_of,
    write_atomically,
    write_json,
)
from mlbench.system.journal import append, line_of, read_lines
from mlbench.system.locks import FileLock, is_held
from mlbench.system.values import read_value, value_in

_COMMANDS: Mapping[str, type[SweepCommand]] = {
    "stop": StopSweep,
    "enqueue": EnqueueTrial,
    "stop_trial": StopTrial,
}
# Bytes of a board that is never compacted, and by what factor another has grown then.
_SMALL_BOARD, _GROWN = 1 << 20, 4
_NAMES = {kind: name for name, kind in _COMMANDS.items()}


class StudyFiles:
    """The folder of one study."""

    def __init__(self, layout: Layout, study: str) -> None:
        """Name it; nothing is read or written yet."""
        self.id = study
        self.folder = layout.studies / study
        self.journal = self.folder / "journal.log"
        self.board = self.folder / "trials.jsonl"
        self.log = self.folder / "log"
        self.lock = FileLock(self.folder / "lock")
        self._inbox = self.folder / "inbox"
        self._least_size = 0

    @property
    def is_running(self) -> bool:
        """Whether a coordinator has it."""
        return is_held(self.folder / "lock")

    def study(self) -> Study | None:
        """What it is; None where that was never written, or can't be read."""
        return read_value(Study, self.folder / "study.json")

    def write_study(self, study: Study) -> None:
        """Write down what it is."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / "study.json", to_plain(study))

    def progress(self) -> Progress:
        """What its coordinator said last."""
        return read_value(Progress, self.folder / "progress.json") or Progress("preparing")

    def write_progress(self, progress: Progress) -> None:
        """Say how the coordinator stands; on a full disk over what it said before."""
        path, plain = self.folder / "progress.json", to_plain(progress)
        try:
            write_json(path, plain)
        except OSError as error:
            if error.errno not in FULL:
                raise
            overwrite_json(path, plain)

    def trials(self) -> dict[int, Trial]:
        """Every trial as it stands, by number."""
        return {trial.number: trial for trial in trials_in(read_lines(self.board))}

    def write_trials(self, trials: Iterable[Trial], *, anew: bool = False) -> None:
        """Put trials on the board; `anew`: in place of whatever is there."""
        if anew:
            # Never without its trials: a study that has none is taken for one that came to nothing.
            write_atomically(self.board, b"".join(map(line_of, map(to_plain, trials))))
            self._least_size = size_of(self.board)
        else:
            append(self.board, map(to_plain, trials), durable=False)

    def compact(self, trials: Iterable[Trial]) -> None:
        """Put trials on the board in place of what is there, if most of that is of the past."""
        if size_of(self.board) > max(_SMALL_BOARD, _GROWN * self._least_size):
            self.write_trials(trials, anew=True)

    def send(self, command: SweepCommand) -> None:
        """Leave a command for the coordinator."""
        self._inbox.mkdir(parents=True, exist_ok=True)
        plain = {"command": _NAMES[type(command)], **to_plain(command)}
        write_json(self._inbox / f"{new_command_id()}.json", plain)

    def received(self) -> list[SweepCommand]:
        """Every command that waits, oldest first; each is taken once."""
        commands = []
        for path, command in self._waiting():
            path.unlink(missing_ok=True)
            if command is not None:
                commands.append(command)
        return commands

    def enqueued(self) -> list[EnqueueTrial]:
        """What is to be tried and nobody has read yet, oldest first; it stays."""
        return [one for _, one in self._waiting() if isinstance(one, EnqueueTrial)]

    def forget_stops(self) -> None:
        """Drop what was meant for a coordinator that ended before it read it.

        What is to be tried waits on.
        """
        for path, command in self._waiting():
            if not isinstance(command, EnqueueTrial):
                path.unlink(missing_ok=True)

    def _waiting(self) -> Iterator[tuple[Path, SweepCommand | None]]:
        """The files of the inbox, oldest first, with None for one that is no command."""
        if not self._inbox.is_dir():
            return
        for path in sorted(self._inbox.glob("*.json")):
            plain = read_json(path)
            try:
                yield path, from_plain(_COMMANDS[plain["command"]], plain)
            except (ValueError, KeyError, TypeError):
                yield path, None


def trials_in(lines: Iterable[Mapping[str, object]]) -> Iterator[Trial]:
    """The trials of a board's lines, in order; a later one of the same number counts.

    A line that is none is passed over, as a damaged one is.
    """
    return (trial for line in lines if (trial := value_in(Trial, line)) is not None)


def all_studies(layout: Layout) -> list[StudyFiles]:
    """Every study of the project, newest first."""
    if not layout.studies.is_dir():
        return []
    folders = sorted((path for path in layout.studies.iterdir() if path.is_dir()), reverse=True)
    return [StudyFiles(layout, folder.name) for folder in folders]
