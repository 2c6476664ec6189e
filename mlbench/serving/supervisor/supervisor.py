"""The supervisor: carries out what the rollout decides, with real processes and files."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from mlbench.domain.release import Deployment
from mlbench.domain.serving import ServerSettings
from mlbench.project.layout import Layout
from mlbench.serving.control import Ask, Commit, Committed, Message, Pong, Share, Told, key_of
from mlbench.serving.cores import worker_count
from mlbench.serving.counters import forget_old
from mlbench.serving.logging_lines import keep_bounded, log
from mlbench.serving.state import ServerState, write_state
from mlbench.serving.supervisor import happenings
from mlbench.serving.supervisor.crew import Crew
from mlbench.serving.supervisor.desks import Desk, Desks
from mlbench.serving.supervisor.following import Follower
from mlbench.serving.supervisor.happenings import Death
from mlbench.serving.supervisor.pacing import load_seconds
from mlbench.serving.supervisor.process import WORKER
from mlbench.serving.supervisor.progress import Rollout
from mlbench.serving.supervisor.repository import Load, decide, read_available
from mlbench.serving.supervisor.rollout import Step
from mlbench.serving.supervisor.telling import Processes, state_of

_LOOK_SECONDS = 0.02
_DESK_SECONDS = 0.25
_CHORE_SECONDS = 1.0
_GRACE_SECONDS = 5.0


class Supervisor:
    """One environment's server, between taking its socket and letting it go."""

    def __init__(
        self,
        layout: Layout,
        environment: str,
        listener: socket.socket,
        host: str,
        *,
        worker: Sequence[str] = WORKER,
        make_desks: Callable[[], Sequence[Desk]] = tuple,
        is_ousted: Callable[[], bool] = lambda: False,
    ) -> None:
        """`worker` is the command that workers are started by; nothing is started yet.

        `make_desks` is called while the first workers start. Once `is_ousted`, the environment's
        files are somebody else's, or nobody's any more, and this server ends.
        """
        self._layout = layout
        self._environment = environment
        self._listener = listener
        self._address = (host, int(listener.getsockname()[1]))
        self._follower = Follower(layout.deployment(environment))
        self._make_desks = make_desks
        self._is_ousted = is_ousted
        self._desks = Desks(())
        self._selector = selectors.DefaultSelector()
        command = [*worker, "--root", str(layout.root), "--environment", environment]
        self._crew = Crew(command, layout.root, listener, self._selector, self)
        nothing = Deployment(environment, self._address[1], 0, settings=ServerSettings(host=host))
        self._rollout = Rollout(nothing)
        self._file_error = ""
        self._shares: dict[str, Mapping[str, float]] = {}
        self._deployed = 0
        self._said: ServerState | None = None
        self._due = {"look": 0.0, "desks": 0.0, "chores": 0.0}

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT, or ousted; requests under way get five seconds."""
        with _signals() as signals, self._selector:
            self._selector.register(signals, selectors.EVENT_READ, lambda _: signals.recv(64))
            self._look()
            self._resize()
            try:
                self._crew.tick(time.monotonic())
                self._desks = Desks(self._make_desks())
                self._serve_until(signals)
            finally:
                self._finish()
                self._desks.close()

    def started(self, index: int) -> None:
        """A worker process began."""
        self._carry_out(happenings.joined(self._rollout, index))

    def left(self, index: int, death: Death | None) -> None:
        """A worker is gone, or about to go."""
        has_served = self._rollout.members[index].acknowledged
        self._carry_out(happenings.left(self._rollout, index, death))
        if death is not None and has_served:
            self._desks.worker_died(index)

    def heard(self, index: int, message: Message) -> None:
        """A worker said something."""
        if isinstance(message, Ask):
            self._decide(index, message)
        elif not isinstance(message, Pong):
            if isinstance(message, Committed):
                self._crew.served(index)
            self._carry_out(happenings.heard(self._rollout, index, message))

    def load_seconds(self, index: int) -> float | None:
        """How long what a worker loads may take; None where it loads nothing."""
        member = self._rollout.members.get(index)
        if member is None or member.told == member.answered:
            return None
        return load_seconds(self._size_of(member.loading))

    def _size_of(self, key: str) -> int:
        """The bytes of a version's file; 0 where it is not there, or not known yet."""
        rollout = self._rollout
        every = [
            m for it in (rollout.trial, rollout.standing) if it is not None for m in it.versions
        ]
        path = next((model.path for model in every if key_of(model) == key), None)
        try:
            return os.stat(path).st_size if path is not None else 0
        except OSError:
            return 0

    def _serve_until(self, signals: socket.socket) -> None:
        while True:
            now = time.monotonic()
            if not self._tick(now):
                return
            self._tell()
            for key, events in self._selector.select(max(0.0, self._due["look"] - now)):
                if key.fileobj is signals:
                    key.data(events)
                    return
                # What an event before this one did may have ended what this one is about.
                if key.fileobj in self._selector.get_map():
                    key.data(events)

    def _tick(self, now: float) -> bool:
        """Do what is due; False where it is to end."""
        if now >= self._due["look"]:
            self._due["look"] = now + _LOOK_SECONDS
            if self._is_ousted():
                log("ousted", message="its lock file is gone or another server's: it ends")
                return False
            self._look()
            self._crew.tick(now)
        if now >= self._due["desks"]:
            self._due["desks"] = now + _DESK_SECONDS
            self._broadcast(self._desks.tick(now))
        if now >= self._due["chores"]:
            self._due["chores"] = now + _CHORE_SECONDS
            keep_bounded(self._layout.server_log(self._environment))
        return True

    def _look(self) -> None:
        """Take in what changed in the files."""
        refused = {refusal.model.path for refusal in self._rollout.refused}
        asked = {model.path for model in self._rollout.asked}
        sight = self._follower.look(refused | asked)
        if sight is None:
            return
        if sight.changed:
            self._carry_out(happenings.changed(self._rollout, sight.changed))
        if sight.error is None:
            return
        self._file_error = sight.error
        if sight.deployment is not None:
            # Where it listens is settled; whoever must bring a token is decided by that alone.
            settings = dataclasses.replace(sight.deployment.settings, host=self._address[0])
            deployment = dataclasses.replace(sight.deployment, settings=settings)
            self._carry_out(happenings.wanted(self._rollout, deployment))
            self._resize()

    def _resize(self) -> None:
        size = worker_count(self._rollout.wanted.settings)
        if size != self._crew.size:
            self._carry_out(happenings.sized(self._rollout, size))
            self._crew.resize(size, _GRACE_SECONDS)

    def _decide(self, index: int, ask: Ask) -> None:
        decision = decide(ask, read_available(self._layout.available), self._rollout)
        if isinstance(decision, Told):
            self._crew.send(index, decision)
            return
        log(ask.what, model=ask.model, versions=[model.version for model in decision.versions])
        self._follower.watch(model.path for model in decision.versions)
        act = happenings.load if isinstance(decision, Load) else happenings.unload
        self._carry_out(act(self._rollout, index, ask.number, decision.versions))

    def _carry_out(self, step: Step) -> None:
        """Send what the rollout decided; after a commit, what the desks add to it."""
        self._rollout, sends = step
        for index, message in sends:
            self._crew.send(index, message)
        committed = [index for index, message in sends if isinstance(message, Commit)]
        standing = self._rollout.standing
        if not committed or standing is None:
            return
        if standing.number != self._deployed:
            self._forget_old()
            self._deployed = standing.number
            self._shares = {}
            self._desks.deployed(standing.wanted, frozenset(map(key_of, standing.versions)))
        for message in self._desks.greeting():
            self._note(message)
            for index in committed:
                self._crew.send(index, message)

    def _forget_old(self) -> None:
        """Let go the counters of versions long gone; not while others are on their way."""
        rollout = self._rollout
        if rollout.trial is None and rollout.standing is not None:
            kept = {(model.name, model.version) for model in rollout.standing.versions}
            with contextlib.suppress(OSError):
                forget_old(self._layout.counters(self._environment), kept)

    def _broadcast(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self._note(message)
            for index in self._rollout.serving if self._rollout.standing else ():
                self._crew.send(index, message)

    def _note(self, message: Message) -> None:
        if isinstance(message, Share):
            self._shares[message.model] = message.weights

    def _tell(self) -> None:
        """Write down how it stands, where that changed; on a full disk again and again."""
        crew = Processes(
            self._crew.pids, self._crew.births, self._crew.restarts, self._crew.failing
        )
        said = state_of(
            os.getpid(), self._address, self._rollout, crew, self._file_error, self._shares
        )
        if said == self._said:
            return
        before = self._said
        with contextlib.suppress(OSError):
            write_state(self._layout.server_state(self._environment), said)
            self._said = said
            _log_change(before, said)

    def _finish(self) -> None:
        """Take no more connections, and end when the workers have."""
        self._listener.close()
        self._crew.finish(_GRACE_SECONDS)
        while self._crew.pids:
            self._crew.tick(time.monotonic())
            for key, events in self._selector.select(_LOOK_SECONDS):
                if key.fileobj in self._selector.get_map():
                    key.data(events)


def _log_change(before: ServerState | None, said: ServerState) -> None:
    """A line where other versions answer, or something else is wrong."""

    def gist(state: ServerState | None) -> tuple[object, ...]:
        if state is None:
            return ()
        return (state.order, state.serving, state.staged, state.loaded, state.error, state.workers)

    if gist(before) == gist(said):
        return
    log(
        "deployment_refused" if said.error else "serving",
        order=said.order,
        serving=said.serving,
        staged=said.staged,
        loaded=said.loaded,
        workers=said.workers,
        error=said.error or said.staged_error,
    )


@contextlib.contextmanager
def _signals() -> Iterator[socket.socket]:
    """A socket that can be read once SIGTERM or SIGINT came."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    descriptor = signal.set_wakeup_fd(theirs.fileno())
    try:
        yield ours
    finally:
        signal.set_wakeup_fd(descriptor)
        for number, handler in before.items():
            signal.signal(number, handler)
        ours.close()
        theirs.close()
