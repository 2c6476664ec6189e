"""What is read about servers in the background, and what is asked of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbench.domain.errors import MlbenchError
from mlbench.domain.records import dataclass
from mlbench.domain.release import Candidate, DeployedModel
from mlbench.domain.serving import LoggedRequest, Replayed
from mlbench.tui.background import Background
from mlbench.tui.reading import queries_of
from mlbench.tui.serving_history import Meter, Place, Point

if TYPE_CHECKING:
    from mlbench.engine.serving_queries import EnvironmentNow, Reply, SampleRow, ServerWatch

MOST_REQUESTS = 200
"""How many of the newest requests the log shows."""

_SHOWN_SECONDS, _UNSEEN_SECONDS = 0.25, 2.0
_REQUESTS_SECONDS = 0.5
Inputs = tuple[Mapping[str, Any], ...]
"""The tensors of a request as the protocol has them."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """Every environment at one moment, and how it went since the moments before."""

    at: float = 0.0
    environments: tuple[EnvironmentNow, ...] = ()
    points: Mapping[Place, Point] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class RequestsQuestion:
    """Whose newest requests; of all models and versions where these are empty."""

    environment: str
    model: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Requests:
    """The newest requests, the newest first."""

    question: RequestsQuestion
    rows: tuple[LoggedRequest, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class SampleQuestion:
    """Which held-out row of which version."""

    deployed: DeployedModel
    row: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """That row, or why there is none."""

    question: SampleQuestion
    row: SampleRow | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class AskQuestion:
    """What to ask which version at an address; whatever answers there where it is None.

    `token` is what the server asks for, None where it asks for none.
    """

    address: str
    model: str
    version: int | None
    inputs: Inputs
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What was answered, or why it was refused."""

    question: AskQuestion
    reply: Reply | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Switch:
    """A server to start or to stop."""

    environment: str
    up: bool


@dataclass(frozen=True, slots=True)
class Switched:
    """What came of it, in one sentence."""

    question: Switch
    message: str
    is_refused: bool = False


@dataclass(frozen=True, slots=True)
class ReplayQuestion:
    """Which candidate or version to ask what an environment was asked lately."""

    environment: str
    candidate: Candidate


@dataclass(frozen=True, slots=True)
class ReplayDone:
    """How its answers compare with those of then, or why they can't be."""

    question: ReplayQuestion
    found: Replayed | None = None
    problem: str = ""


ServingAsk = RequestsQuestion | SampleQuestion | AskQuestion | Switch | ReplayQuestion
ServingAnswer = Pulse | Requests | Sample | Asked | Switched | ReplayDone


class ServingReaders:
    """A thread for each kind of question, begun when it is asked first."""

    def __init__(self, folder: Path, deliver: Callable[[object], object]) -> None:
        """Read the project that this folder belongs to."""
        self._folder, self._deliver = folder, deliver
        self._meter = Meter()
        self._watch: ServerWatch | None = None
        self._known: Requests | None = None
        self._stamp: tuple[object, ...] = ()
        self._ending = threading.Event()
        self._threads: dict[type, Background[Any, Any]] = {}
        self._pulse_at = self._requests_at = -_UNSEEN_SECONDS

    def ask(self, question: ServingAsk) -> None:
        """Answer this in the background."""
        answers: dict[type, Callable[[Any], ServingAnswer]] = {
            RequestsQuestion: self._requests,
            SampleQuestion: _sample,
            AskQuestion: _ask,
            Switch: self._switch,
            ReplayQuestion: self._replay,
        }
        kind = type(question)
        self._thread(kind, answers[kind]).ask(question)

    def tick(self, elapsed: float, *, is_shown: bool, requests: RequestsQuestion | None) -> None:
        """Look at the counters, often while the screen is seen, and at the log it shows."""
        every = _SHOWN_SECONDS if is_shown else _UNSEEN_SECONDS
        if elapsed - self._pulse_at >= every:
            self._pulse_at = elapsed
            self._thread(Pulse, self._pulse).ask(None)
        if requests is not None and elapsed - self._requests_at >= _REQUESTS_SECONDS:
            self._requests_at = elapsed
            self.ask(requests)

    def close(self) -> None:
        """Let the threads end, and stop what takes long."""
        self._ending.set()
        for thread in self._threads.values():
            thread.close()

    def _thread(self, kind: type, answer: Callable[[Any], object]) -> Background[Any, Any]:
        if kind not in self._threads:
            self._threads[kind] = Background(answer, self._deliver)
        return self._threads[kind]

    def _pulse(self, _: object) -> Pulse:
        from mlbench.engine.serving_queries import ServerWatch

        at = time.monotonic()
        try:
            self._watch = self._watch or ServerWatch(queries_of(self._folder))
            found = self._watch.look()
        except (MlbenchError, OSError) as error:
            return Pulse(at, problem=str(error))
        tallies = ((now.name, tally) for now in found for tally in now.tallies)
        return Pulse(at, found, self._meter.take(at, tallies))

    def _requests(self, question: RequestsQuestion) -> Requests:
        from mlbench.engine.serving_queries import newest_requests, requests_stamp

        queries, known = queries_of(self._folder), self._known
        try:
            stamp = requests_stamp(queries, question.environment)
            if known is None or known.question != question or stamp != self._stamp:
                rows = newest_requests(
                    queries, question.environment, MOST_REQUESTS, question.model, question.version
                )
                self._stamp, self._known = stamp, Requests(question, rows)
            return self._known or Requests(question)
        except (MlbenchError, OSError) as error:
            self._known = None
            return Requests(question, problem=str(error))

    def _switch(self, question: Switch) -> Switched:
        from mlbench.engine.sandbox import Sandbox

        name = question.environment
        try:
            sandbox = Sandbox(queries_of(self._folder).layout)
            (environment,) = sandbox.stoppable((name,))
            if not question.up:
                was_up = sandbox.down(environment)
                return Switched(question, f"{name} is down" if was_up else f"{name} was down")
            status = sandbox.up(environment)
            said = f"{name} answers at {status.address}"
            return Switched(question, status.error or said, is_refused=bool(status.error))
        except (MlbenchError, OSError) as error:
            return Switched(question, str(error), is_refused=True)

    def _replay(self, question: ReplayQuestion) -> ReplayDone:
        from mlbench.engine.replaying import replay

        item, queries = question.candidate, queries_of(self._folder)
        which = item.run if item.version is None else str(item.version)
        try:
            found = replay(
                queries,
                item.model,
                which,
                environment=question.environment,
                stop=self._ending,
            )
            return ReplayDone(question, found)
        except (MlbenchError, OSError) as error:
            return ReplayDone(question, problem=str(error))


def _sample(question: SampleQuestion) -> Sample:
    from mlbench.engine.serving_queries import sample_row

    try:
        return Sample(question, sample_row(question.deployed, question.row))
    except (MlbenchError, OSError) as error:
        return Sample(question, problem=str(error))


def _ask(question: AskQuestion) -> Asked:
    from mlbench.engine.serving_queries import ask

    try:
        to, token = (question.address, question.model), question.token
        return Asked(question, ask(*to, question.inputs, question.version, token))
    except (MlbenchError, OSError) as error:
        return Asked(question, problem=str(error))
