"""The supervisor's desk for canaries: tallies in, shares and verdicts out."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlbench.domain.clock import utc
from mlbench.domain.plain import finite, from_plain, to_plain
from mlbench.domain.release import DeployedModel, Deployment
from mlbench.domain.serving import CanaryState, Traffic
from mlbench.domain.tally import Tally
from mlbench.project.layout import Layout
from mlbench.serving.control import Message, Share
from mlbench.serving.counters import TallyReader
from mlbench.serving.traffic.settling import Settler
from mlbench.serving.traffic.trial import Trial, begun, not_served, observed, without_worker
from mlbench.system.files import read_json, write_json

_WRITE_SECONDS = 1.0
_MALFORMED = (ValueError, TypeError, KeyError, AttributeError)

Tallies = Mapping[tuple[str, str], Tally]


class CanaryDesk:
    """Moves the canaries of one environment; each stands in the state file and survives a restart.

    After a restart a canary is at the step where it was, and counts anew there. A verdict stands
    until a Deployment without that canary comes.
    """

    def __init__(self, layout: Layout, environment: str, settle: Sequence[str] = ()) -> None:
        """`settle` is the command that carries a verdict out, by default mlbench's own."""
        self._file = layout.canaries(environment)
        self._reader = TallyReader(layout.counters(environment))
        self._settler = Settler(layout, environment, settle)
        self._trials: dict[str, Trial] = {}
        self._traffic: dict[str, Traffic] = {}
        self._unsent: set[str] = set()
        self._write_at = 0.0
        self._left = _left_in(self._file)
        self._written = tuple(self._left.values())

    def deployed(self, deployment: Deployment, prepared: frozenset[str]) -> None:
        """Begin, go on with or end canaries as a Deployment says, which the workers committed to.

        `prepared` names the versions that all of them have in memory, as `model@version`.
        """
        before, left, tallies = self._trials, self._left, self._tallies()
        self._traffic = {item.model: item for item in deployment.traffic}
        self._trials, self._left = {}, {}
        for traffic in deployment.traffic:
            trial = _trial(deployment, traffic, before.get(traffic.model), left, tallies)
            if trial is not None:
                key = f"{traffic.model}@{traffic.canary}"
                lost = f"version {traffic.canary} can't be loaded by every worker"
                self._trials[traffic.model] = trial if key in prepared else not_served(trial, lost)
        # A commit resets what workers share, whatever it was for.
        self._unsent = set(self._trials)
        self._write()

    def tick(self, now: float) -> Sequence[Message]:
        """Judge what was counted; the shares that changed. `now` is in seconds of any clock."""
        if any(trial.is_running for trial in self._trials.values()):
            self._judge(self._tallies())
        changed = [model for model in self._trials if model in self._unsent]
        self._unsent.clear()
        if changed or now >= self._write_at:
            self._write_at = now + _WRITE_SECONDS
            self._write()
        if all(trial.is_running for trial in self._trials.values()):
            self._settler.rest()
        else:
            self._settler.tick(now)
        return [self._share(model) for model in changed]

    def worker_died(self, index: int) -> None:  # noqa: ARG002
        """Count a death against every canary that was served meanwhile."""
        for model, trial in self._trials.items():
            self._take(model, without_worker(trial))

    def greeting(self) -> Sequence[Message]:
        """What a worker is told that begins now."""
        return [self._share(model) for model in self._trials]

    def close(self) -> None:
        """Write down how all stand."""
        self._write()

    @property
    def is_settling(self) -> bool:
        """Whether a verdict is being carried out."""
        return self._settler.is_running

    def _judge(self, tallies: Tallies) -> None:
        for model, trial in self._trials.items():
            state = trial.state
            live = _tally(tallies, model, state.live)
            self._take(model, observed(trial, live, _tally(tallies, model, state.version)))

    def _take(self, model: str, trial: Trial) -> None:
        if trial.state.share != self._trials[model].state.share:
            self._unsent.add(model)
        self._trials[model] = trial

    def _share(self, model: str) -> Share:
        """What is left of the traffic is shared as it was before the canary."""
        state, traffic = self._trials[model].state, self._traffic[model]
        base = dict(traffic.weights) or {str(state.live): 1.0}
        base.pop(str(state.version), None)
        total = sum(base.values()) or 1.0
        weights = {text: share / total * (1 - state.share) for text, share in base.items()}
        weights[str(state.version)] = state.share
        return Share(model, {text: share for text, share in weights.items() if share > 0})

    def _tallies(self) -> Tallies:
        return {(tally.model, tally.version): tally for tally in self._reader.read()}

    def _write(self) -> None:
        states = tuple(self._trials[model].state for model in sorted(self._trials))
        if states == self._written:
            return
        # A full disk must not keep what was decided from the workers: it is written later.
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._file, finite(to_plain(states)))
            self._written = states


def _left_in(file: Path) -> dict[str, CanaryState]:
    """How canaries stood when the server before this one ended, by model."""
    try:
        states = [from_plain(CanaryState, plain) for plain in read_json(file) or ()]
    except _MALFORMED:
        return {}
    return {state.model: state for state in states}


def _trial(
    deployment: Deployment,
    traffic: Traffic,
    standing: Trial | None,
    left: Mapping[str, CanaryState],
    tallies: Tallies,
) -> Trial | None:
    """The canary of one model: as it stands, as it was left, or new; None where there is none.

    Another Deployment with this very canary, as when another model is promoted or the server was
    started again, changes nothing.
    """
    live = _version(deployment.models, traffic.model)
    canary = _version(deployment.beside, traffic.model, traffic.canary)
    if live is None or traffic.canary is None:
        return None
    same = (traffic.model, traffic.canary, live.version, traffic.canary_entry)
    if standing is not None and _which(standing.state) == same:
        return standing
    state = left.get(traffic.model)
    if state is None or _which(state) != same:
        state = CanaryState(*same, started=utc())
    return begun(
        state,
        deployment.canary,
        _tally(tallies, traffic.model, live.version),
        _tally(tallies, traffic.model, traffic.canary),
        (live.signature.classes, canary.signature.classes if canary else ()),
    )


def _version(
    models: Sequence[DeployedModel], name: str, version: int | None = None
) -> DeployedModel | None:
    found = (item for item in models if item.name == name and version in (None, item.version))
    return next(found, None)


def _which(state: CanaryState) -> tuple[str, int, int, int]:
    return state.model, state.version, state.live, state.entry


def _tally(tallies: Tallies, model: str, version: int) -> Tally:
    return tallies.get((model, str(version)), Tally(model, str(version)))
