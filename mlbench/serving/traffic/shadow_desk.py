"""The supervisor's desk for shadows: their process, and how much is copied to it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mlbench.domain.plain import finite, to_plain
from mlbench.domain.release import DeployedModel, Deployment
from mlbench.domain.serving import ShadowSpec, ShadowState
from mlbench.domain.tally import Tally
from mlbench.project.layout import Layout
from mlbench.serving.control import Copy, Message
from mlbench.serving.counters import TallyReader
from mlbench.serving.traffic.budget import Budget
from mlbench.serving.traffic.copies import socket_path
from mlbench.serving.traffic.counted import Counted, counted_file, pairs_file, read_counted
from mlbench.system.files import write_json

_WRITE_SECONDS = 0.5
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
# A process that lived this long gets the shortest pause when it ends.
_STEADY_SECONDS = 60.0


@dataclass(frozen=True)
class _Shadow:
    """One model's shadow: the versions that are compared, and what its copies may cost."""

    live: DeployedModel
    shadow: DeployedModel
    spec: ShadowSpec
    budget: Budget


class ShadowDesk:
    """Has one process compare all shadows of an environment, and stops copying where that costs."""

    def __init__(self, layout: Layout, environment: str, *, stands_back: bool = True) -> None:
        """No process is started before a Deployment has a shadow.

        One that does not stand back takes processors from others, as for whoever waits for it.
        """
        self._options = () if stands_back else ("--as-others",)
        self._layout = layout
        self._environment = environment
        self._file = layout.shadows(environment)
        # Latencies are all that it looks at.
        self._reader = TallyReader(layout.counters(environment), predictions=False)
        self._shadows: dict[str, _Shadow] = {}
        self._told: dict[str, float] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._start_at = 0.0
        self._pause = _FIRST_PAUSE
        self._ended = ""
        self._write_at = 0.0
        # What the server before this one left is not known: it is replaced by what stands.
        self._written: tuple[ShadowState, ...] | None = None

    def deployed(self, deployment: Deployment, prepared: frozenset[str]) -> None:  # noqa: ARG002
        """Begin, go on with or end shadows as a Deployment says.

        The process loads what it compares by itself; that the workers have it says nothing.
        """
        before = self._shadows
        self._shadows = {
            found.live.name: _standing(before.get(found.live.name), found)
            for found in _shadows_of(deployment)
        }
        pairs = [_pair(shadow) for shadow in self._shadows.values()]
        if pairs != [_pair(shadow) for shadow in before.values()]:
            self._stop()
            self._pause, self._start_at, self._ended = _FIRST_PAUSE, 0.0, ""
            file = pairs_file(self._layout, self._environment)
            file.parent.mkdir(parents=True, exist_ok=True)
            write_json(file, to_plain(pairs))
        if not pairs:
            counted_file(self._layout, self._environment).unlink(missing_ok=True)

    def tick(self, now: float) -> Sequence[Message]:
        """Watch the process and what copying costs; what changed of it."""
        self._watch(now)
        if self._shadows:
            tallies = {(tally.model, tally.version): tally for tally in self._reader.read()}
            for model, shadow in self._shadows.items():
                version = str(shadow.live.version)
                shadow.budget.tick(now, tallies.get((model, version), Tally(model, version)))
        if now >= self._write_at:
            self._write_at = now + _WRITE_SECONDS
            self._write()
        wanted = self._wanted()
        changed = {
            model: share for model, share in wanted.items() if self._told.get(model) != share
        }
        self._told = wanted
        return [Copy(model, share) for model, share in changed.items()]

    def worker_died(self, index: int) -> None:
        """A worker's death is none of a shadow's doing: it runs elsewhere."""

    def greeting(self) -> Sequence[Message]:
        """What a worker is told that begins now."""
        return [Copy(model, share) for model, share in self._wanted().items()]

    def close(self) -> None:
        """End the process."""
        self._stop()

    @property
    def pid(self) -> int | None:
        """The process, where there is one."""
        return None if self._process is None else self._process.pid

    def _wanted(self) -> dict[str, float]:
        """The share of each model's requests to copy now; nothing to a process that is not there.

        Models that had a shadow stay in it with 0.
        """
        is_up = self._process is not None
        none = dict.fromkeys(self._told, 0.0)
        return none | {
            model: shadow.budget.copying if is_up else 0.0
            for model, shadow in self._shadows.items()
        }

    def _watch(self, now: float) -> None:
        if self._process is not None and self._process.poll() is not None:
            code = self._process.returncode
            words = f"signal {-code}" if code < 0 else f"exit status {code}"
            self._stop()
            if now - self._started >= _STEADY_SECONDS:
                self._pause = _FIRST_PAUSE
            self._start_at = now + self._pause
            self._ended = f"its process ended ({words}) and starts anew after {self._pause:g} s"
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        if self._shadows and self._process is None and now >= self._start_at:
            self._start(now)

    def _start(self, now: float) -> None:
        command = [sys.executable, "-P", "-m", "mlbench.serving.traffic.shadowing"]
        command += ["--root", str(self._layout.home), "--environment", self._environment]
        command += self._options
        self._started = now
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, cwd=self._layout.home, start_new_session=True
        )

    def _stop(self) -> None:
        """By force: it holds nothing that could get lost, and may be starved of any processor."""
        if self._process is None:
            return
        self._process.kill()
        threading.Thread(target=self._process.wait, name="shadow", daemon=True).start()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process = None
        socket_path(self._layout, self._environment).unlink(missing_ok=True)

    def _write(self) -> None:
        counted = read_counted(counted_file(self._layout, self._environment))
        states = tuple(
            self._state(shadow, counted.get(model)) for model, shadow in self._shadows.items()
        )
        if states == self._written or not (states or self._file.exists()):
            return
        # A full disk must not keep what was decided from the workers: it is written later.
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._file, finite(to_plain(states)))
            self._written = states

    def _state(self, shadow: _Shadow, counted: Counted | None) -> ShadowState:
        budget = shadow.budget
        versions = shadow.shadow.version, shadow.live.version
        found = ShadowState(shadow.live.name, *versions, share=budget.share)
        if counted is not None and (counted.version, counted.live) == versions:
            kept = {name: value for name, value in to_plain(counted).items() if name in _COUNTS}
            found = replace(found, **kept)
        why = "; ".join(filter(None, (self._ended if self._process is None else "", found.why)))
        return replace(
            found,
            p99_with=budget.p99_with,
            p99_without=budget.p99_without,
            why=why or budget.why,
        )


_COUNTS = ("compared", "flips", "failed", "dropped", "max_abs_error", "why")


def _shadows_of(deployment: Deployment) -> list[_Shadow]:
    live = {model.name: model for model in deployment.models}
    beside = {(model.name, model.version): model for model in deployment.beside}
    found = []
    for traffic in deployment.traffic:
        shadow = beside.get((traffic.model, traffic.shadow or 0))
        if shadow is not None and traffic.model in live:
            spec = deployment.shadow
            found.append(_Shadow(live[traffic.model], shadow, spec, Budget(spec)))
    return found


def _standing(before: _Shadow | None, found: _Shadow) -> _Shadow:
    """The shadow as it stands, with what was measured, where the same versions are compared."""
    if before is None or (before.live, before.shadow) != (found.live, found.shadow):
        return found
    return before if before.spec == found.spec else found


def _pair(shadow: _Shadow) -> Mapping[str, DeployedModel]:
    """What its process is told, as its Pair has it."""
    return {"live": shadow.live, "shadow": shadow.shadow}
