"""Slow questions in a thread of their own: asked at any time, answered with the newest state."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class Broken:
    """A question could not be answered; says why."""

    message: str


class Background(Generic[Q, A]):
    """One thread, one kind of question; questions that came while it worked become one.

    `answer` runs in the thread and may be slow; `deliver` runs there too and has to be safe from
    any thread, as Textual's `post_message` is.
    """

    def __init__(self, answer: Callable[[Q], A], deliver: Callable[[A | Broken], object]) -> None:
        """Start the thread; it waits until something is asked."""
        self._answer = answer
        self._deliver = deliver
        self._condition = threading.Condition()
        self._question: list[Q] = []
        self._last: list[Q] = []
        self._is_closed = False
        threading.Thread(target=self._work, name="workbench", daemon=True).start()

    def ask(self, question: Q) -> None:
        """Ask; a question that nobody has begun to answer is dropped for this one."""
        with self._condition:
            self._question = self._last = [question]
            self._condition.notify()

    def ask_again(self) -> None:
        """Ask once more what was asked last; nothing where nothing was."""
        with self._condition:
            self._question = self._last
            self._condition.notify()

    def close(self) -> None:
        """Let the thread end once it has answered what it is at."""
        with self._condition:
            self._is_closed = True
            self._condition.notify()

    def _work(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._question or self._is_closed)
                if self._is_closed:
                    return
                (question,), self._question = self._question, []
            answer: A | Broken
            try:
                answer = self._answer(question)
            except Exception as error:
                # A thread that died would leave the screen as it is, without a word.
                answer = Broken(str(error) or repr(error))
            if not self._is_closed:
                self._deliver(answer)
