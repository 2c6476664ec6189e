"""Following the loop from a command until what it asked for is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mlbench.cli.output import narrate
from mlbench.domain.commands import Command, RunStages, StopStages
from mlbench.domain.errors import HungUpError, InterruptedRunError, MlbenchError
from mlbench.domain.events import CommandDone, Event, LoopStarted
from mlbench.engine.session import Session, open_session

_POLL_SECONDS = 0.02

# Called with each event and the id of the command that is being followed.
OnEvent = Callable[[Event, str], None]


class RefusedError(MlbenchError):
    """The loop refused a command; carries its sentence and exit status."""

    def __init__(self, done: CommandDone) -> None:
        """Take both from the answer."""
        super().__init__(done.message)
        self.exit_status = done.exit_status


@contextmanager
def session(
    folder: Path, *, from_start: bool = False, stops_at_end: bool = False
) -> Iterator[Session]:
    """A session that lets the loop go at the end, whatever happens.

    What still runs then goes on, unless `stops_at_end`; it always does when the terminal is gone.
    """
    opened = open_session(folder, from_start=from_start)
    leave_running = not stops_at_end
    try:
        yield opened
    except HungUpError:
        leave_running = True
        raise
    finally:
        left = opened.close(leave_running=leave_running)
        if left:
            narrate(f"goes on without this terminal: {', '.join(left)}; `mlbench stop` ends it")


def carry_out(line: Session, command: Command, on_event: OnEvent) -> CommandDone:
    """Send a command and hand on events until it is done.

    Ctrl-C stops the run that was asked for, waits for its end and raises InterruptedRunError.
    RefusedError where the loop refuses the command with a sentence.
    """
    command_id = line.send(command)
    interrupted = False
    # The holder's own beginning is the first event of its session; a later one is a new holder's.
    is_first = line.holds_loop
    while True:
        try:
            for event in line.poll(_POLL_SECONDS):
                on_event(event, command_id)
                if isinstance(event, LoopStarted) and not is_first:
                    goes_on = command_id in event.resumed
                    command_id = command_id if goes_on else line.send_again(command_id, command)
                is_first = False
                if isinstance(event, CommandDone) and event.command == command_id:
                    return _ended(event, interrupted)
        except HungUpError:
            raise
        except KeyboardInterrupt:
            if interrupted or not isinstance(command, RunStages):
                raise
            interrupted = True
            narrate("stopping; once more leaves at once")
            line.send(StopStages(run=command_id))


def _ended(done: CommandDone, interrupted: bool) -> CommandDone:
    if interrupted:
        raise InterruptedRunError("interrupted; what was started has been stopped")
    if done.exit_status and done.message:
        raise RefusedError(done)
    return done
