"""How the process of a script's run ends, as far as it can be told from inside.

A process that is killed with -9 or crashes says nothing; readers find its lock free.
"""

from __future__ import annotations

import _thread
import atexit
import os
import sys

from mlbench.inside.place import here

TYPE_CHECKING = False  # type checkers take it for True; importing typing costs milliseconds
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any, NoReturn

PASSED, FAILED, CANCELLED = "passed", "failed", "cancelled"


def outcome_of(kind: type[BaseException] | None, error: BaseException | None) -> tuple[str, str]:
    """The outcome of a run that is left by an exception, or by none, with a message."""
    if kind is None:
        return PASSED, ""
    if issubclass(kind, KeyboardInterrupt):
        return CANCELLED, "interrupted"
    if issubclass(kind, SystemExit):
        return _outcome_of_status(getattr(error, "code", None))
    # The last line, for some carry a whole report.
    lines = str(error).strip().splitlines()
    return FAILED, f"{kind.__name__}: {lines[0]}" if lines else kind.__name__


def watch(end: Callable[[str, str], None]) -> None:
    """Call `end` with outcome and message when this process ends; once a process."""
    ending = _Ending(end)
    atexit.register(ending.at_exit)
    ending.watch_exits()
    ending.watch_signals()


class _Ending:
    """What is known of this process's end before it comes."""

    def __init__(self, end: Callable[[str, str], None]) -> None:
        self._end = end
        self._pid = os.getpid()
        self._main_thread = _main_thread()
        self._status: Any = None
        self._logged_at_status = -1
        self._error_before = getattr(sys, "last_value", None)

    def at_exit(self) -> None:
        if os.getpid() == self._pid:
            self._end(*self._outcome())

    def _outcome(self) -> tuple[str, str]:
        # Python leaves here what ended the main thread, whichever excepthook then shows it.
        error = getattr(sys, "last_value", None)
        is_interactive = hasattr(sys, "ps1") or bool(sys.flags.interactive)
        if error is not None and error is not self._error_before and not is_interactive:
            return outcome_of(type(error), error)
        if self._logged_at_status == _logged():
            return _outcome_of_status(self._status)
        return PASSED, ""

    def watch_exits(self) -> None:
        """Note the status of sys.exit and os._exit, which nobody tells at exit."""
        exit_by_exception, exit_at_once = sys.exit, os._exit

        def exit(status: Any = None, /) -> NoReturn:
            """Exit the interpreter by raising SystemExit(status)."""
            if os.getpid() == self._pid and _thread.get_ident() == self._main_thread:
                # Whoever catches it goes on to log, or ends as this status says.
                self._status, self._logged_at_status = status, _logged()
            exit_by_exception(status)

        def _exit(status: int) -> NoReturn:
            """Exit to the system with specified status, without normal exit processing."""
            if os.getpid() == self._pid:
                self._end(*_outcome_of_status(status))
            exit_at_once(status)

        sys.exit = exit
        os._exit = _exit

    def watch_signals(self) -> None:
        """Take SIGTERM and SIGHUP where they would end the process anyway."""
        # Not the module signal: its enums cost milliseconds.
        signals: Any = __import__("_signal")

        def on_signal(number: int, _frame: FrameType | None) -> None:
            signals.signal(number, signals.SIG_DFL)
            try:
                if os.getpid() == self._pid:
                    self._end(CANCELLED, _SIGNAL_NAMES[number])
            finally:
                os.kill(os.getpid(), number)

        if _thread.get_ident() != self._main_thread:
            return
        for number in _SIGNAL_NAMES:
            if signals.getsignal(number) == signals.SIG_DFL:
                signals.signal(number, on_signal)

        def reset_in_child() -> None:
            for number in _SIGNAL_NAMES:
                if signals.getsignal(number) is on_signal:
                    signals.signal(number, signals.SIG_DFL)

        os.register_at_fork(after_in_child=reset_in_child)


_SIGNAL_NAMES = {1: "SIGHUP", 15: "SIGTERM"}
"""POSIX has fixed their numbers."""


def _outcome_of_status(status: Any) -> tuple[str, str]:
    if status is None or status == 0:
        return PASSED, ""
    said = status if isinstance(status, str) else f"exit status {status}"
    return FAILED, said


def _logged() -> int:
    """How much this process has logged where it logs now."""
    return -1 if here.steps is None else here.steps.extent


def _main_thread() -> int:
    threading = sys.modules.get("threading")
    ident = None if threading is None else threading.main_thread().ident
    return _thread.get_ident() if ident is None else int(ident)
