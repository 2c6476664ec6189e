"""The one tree of errors that a user may meet: each says what, where and what to do."""

from __future__ import annotations

from collections.abc import Iterable


class MlbenchError(Exception):
    """Anything a user can act on; `exit_status` is what the command line ends with."""

    exit_status = 1


class UsageError(MlbenchError):
    """The call itself is wrong: an unknown stage, run, model or environment."""

    exit_status = 2


class ProjectFileError(MlbenchError):
    """A project file is wrong; the message begins with `file:line: key:`, as far as known."""

    exit_status = 2

    def __init__(
        self, problem: str, *, file: str, line: int | None = None, key: str | None = None
    ) -> None:
        """Put the place before the problem, so that editors and people can jump to it."""
        self.problem, self.file, self.line, self.key = problem, file, line, key
        place = file if line is None else f"{file}:{line}"
        super().__init__(": ".join(part for part in (place, key, problem) if part))


class GateRefusedError(MlbenchError):
    """A gate failed, so the model is not promoted (or `--check` says so)."""

    exit_status = 3


class PortTakenError(MlbenchError):
    """The port of an environment belongs to another program."""


class ServingError(MlbenchError):
    """An environment's server could not be started, reached or made to serve a version."""


class ExportError(MlbenchError):
    """A model could not be exported; says why and what would work."""


class SweepError(MlbenchError):
    """A study can't be begun or gone on with; says why and what would work."""


class WrongSweepError(SweepError):
    """What a sweep asks Optuna for is wrong: its sampler, its pruner, their options, its space."""

    exit_status = 2


class DamagedModelError(MlbenchError):
    """A candidate's or version's folder is not as it was kept, so it is not released."""


class FolderNotWritableError(MlbenchError):
    """The project's folder can't be written, so no run can be recorded."""

    exit_status = 2


class RecordNotWrittenError(MlbenchError):
    """The disk is full, so a record was not written; what was there before stays."""


class LocksNotWorkingError(MlbenchError):
    """The file system has no locks, so nobody could tell whether another process is at work."""

    exit_status = 2


class InterruptedRunError(MlbenchError):
    """The user pressed Ctrl-C; what was started has been stopped."""

    exit_status = 130


class HungUpError(KeyboardInterrupt):
    """The terminal is gone: what runs goes on without it, and the next one goes on with that."""


def nearest(word: str, known: Iterable[str]) -> str:
    """` (did you mean "cmd"?)` for the nearest spelling, or nothing where none is near."""
    # Late: only who misspells something needs it.
    import difflib

    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f' (did you mean "{close[0]}"?)' if close else ""
