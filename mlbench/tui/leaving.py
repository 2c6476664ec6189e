"""The part of the app that has to do with its end: asked for, by a signal, or unseen."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING, NoReturn

from textual.app import App

if TYPE_CHECKING:
    from mlbench.tui.line import Line
    from mlbench.tui.readers import Readers
    from mlbench.tui.record_hand import RecordHand
    from mlbench.tui.situation import Situation
    from mlbench.tui.sweep_hand import SweepHand
    from mlbench.tui.toasts import Severity


class Leaving(App[int]):
    """An app that ends in good order; what it lets go is the workbench's."""

    line: Line
    readers: Readers
    record: RecordHand
    sweep_hand: SweepHand
    known: Situation

    def tell(self, message: str, severity: Severity = "information", title: str = "") -> None:
        """Show a toast."""
        raise NotImplementedError

    def listen_to_signals(self) -> None:
        """A lost terminal leaves what runs, and a service manager's stop ends it."""
        loop = asyncio.get_running_loop()
        for number, stop_run in ((signal.SIGHUP, False), (signal.SIGTERM, True)):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup's wish
                with contextlib.suppress(RuntimeError, ValueError):
                    loop.add_signal_handler(number, self._end_by, number, stop_run)

    def _end_by(self, number: int, stop_run: bool) -> None:
        if number == signal.SIGHUP:
            threading.Thread(target=self._end_unseen, args=(128 + number,), daemon=True).start()
        else:
            self._leave(128 + number, stop_run=stop_run, stop_servers=False)

    def _end_unseen(self, status: int) -> NoReturn:
        """Let the loop go and be gone: with the terminal lost, taking leave of it waits for ever.

        Textual's writer has ended by the first write that failed, and nobody empties its queue.
        """
        self.line.close(stop_run=False)
        os._exit(status)

    async def on_unmount(self) -> None:
        """However it ends, the loop is let go; a fault of ours stops nothing of the user's."""
        self.readers.close()
        self.sweep_hand.close()
        await asyncio.to_thread(self.record.close)
        stop_run = not self.return_code
        await asyncio.to_thread(lambda: self.line.close(stop_run=stop_run))

    def leave(self, *, stop_run: bool, stop_servers: bool) -> None:
        """Stop what has to be stopped, then end."""
        is_busy = self.known.board.is_busy
        self.tell("stopping what runs …" if is_busy and stop_run else "leaving …")
        self._leave(0, stop_run=stop_run, stop_servers=stop_servers)

    def _leave(self, status: int, *, stop_run: bool, stop_servers: bool) -> None:
        def stop() -> None:
            self.line.close(stop_run=stop_run)
            if stop_servers:
                self.readers.stop_servers()
            self.call_from_thread(self.exit, status)

        self.run_worker(stop, thread=True, exit_on_error=False)
