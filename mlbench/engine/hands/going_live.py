"""One step of an environment: staged, asked, in the ledger, live, and the world told."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Sequence

from mlbench.domain.clock import utc
from mlbench.domain.errors import GateRefusedError, ServingError
from mlbench.domain.events import Notice
from mlbench.domain.ledger import CANARY, ROLLBACK, SHADOW, TRAFFIC, shares_in_words
from mlbench.domain.release import Candidate, GateResult, LedgerEntry
from mlbench.domain.stages import EnvironmentSpec
from mlbench.engine.access import token_for
from mlbench.engine.assembling import user_name
from mlbench.engine.change import Change
from mlbench.engine.hands.outside import (
    OutsideNotToldError,
    failure_words,
    tell_outside,
    told_before,
)
from mlbench.engine.hands.step import TAKEN_BACK_BY, Step, ended_by, event_of, named
from mlbench.engine.hands.telling import Tell
from mlbench.engine.releases import Releases
from mlbench.project.layout import Layout
from mlbench.release.promotion import phrase
from mlbench.serving.supervise import ensure_up, status, wait_serving, wait_staged


class GoingLive:
    """Carries a step out, phase by phase; until the ledger has it nothing of it stays."""

    def __init__(self, layout: Layout, releases: Releases, ending: threading.Event) -> None:
        """Use this project's registry and ledger; once `ending` is set, `on_promote` is stopped."""
        self._layout = layout
        self._releases = releases
        self._ending = ending

    def carry_out(self, change: Change, step: Step, tell: Tell) -> str:
        """Stage and ask the version, append to the ledger, have it served, tell the world."""
        address = ""
        if step.version.signature is not None:
            address = self._have_up(change.environment)
            step = self._tried(change, step, address, tell)
        return self.complete(change, step, address, tell)

    def complete(self, change: Change, step: Step, address: str, tell: Tell) -> str:
        """What is left of a step once its version is staged, or where no server is to wait for.

        That is so for an empty `address`: then the server does it when it comes up.
        """
        ended = ended_by(step, change.traffic(step.version.model))
        why = "; ".join(filter(None, (step.why, ended, *step.overruled)))
        entry = self._append(change, dataclasses.replace(step, why=why))
        self._go_live(change, step, address)
        tell(event_of(entry, address))
        sentence = sentence_of(step, change.environment, address)
        if ended:
            sentence += f"; that {ended}"
        if entry.forced:
            sentence += f", forced: {entry.reason}"
        if step.makes_live:
            self._tell_outside(change.environment, entry, step.version, sentence, tell)
        return sentence

    def end(
        self,
        change: Change,
        begun: LedgerEntry,
        action: str,
        why: str,
        reason: str,
        tell: Tell,
    ) -> str:
        """End a canary or shadow that began with an entry; the server, if up, is waited for."""
        ended = dataclasses.replace(
            begun,
            at=utc(),
            action=action,
            by=user_name(),
            why=why,
            reason=reason.strip(),
            forced=False,
            gates=(),
        )
        entry = change.append(ended)
        deployment = change.settle()
        address = self.address_of(change.environment)
        if address:
            self._wait_live(change.environment, deployment.order, None)
        tell(event_of(entry, address))
        name = change.environment.name
        return f"{name}: the {begun.action} of {entry.model} v{entry.version} has ended: {why}"

    def address_of(self, environment: EnvironmentSpec) -> str:
        """Where an environment's server answers; empty where it is down."""
        found = status(self._layout, environment)
        return found.address if found.pid is not None else ""

    def _tried(self, change: Change, step: Step, address: str, tell: Tell) -> Step:
        """The versions staged and asked; GateRefusedError where answers are not the original's."""
        if not step.staged:
            return step
        self._stage(change, step.staged)
        for version in step.staged if step.is_asked else ():
            step = self._asked(change, step, version, address, tell)
        return step

    def _asked(
        self, change: Change, step: Step, version: Candidate, address: str, tell: Tell
    ) -> Step:
        told = f"{named(version)} is staged in {change.environment.name}: it is asked held-out rows"
        tell(Notice(utc(), "info", told))
        result = self._smoke(change.environment, address, version)
        if result.refuses:
            refused = "is not promoted" if step.makes_live else "gets no requests"
            against = f"{named(version)} {refused}: {phrase(result)}"
            if not step.is_forced:
                raise GateRefusedError(against)
            step = dataclasses.replace(step, overruled=(*step.overruled, against))
        return dataclasses.replace(step, gates=(*step.gates, result))

    def _have_up(self, environment: EnvironmentSpec) -> str:
        return ensure_up(self._layout, environment).address

    def _stage(self, change: Change, versions: Sequence[Candidate]) -> None:
        deployment = change.stage(*versions)
        wait_staged(self._layout, change.environment, deployment.order)

    def _smoke(self, environment: EnvironmentSpec, address: str, version: Candidate) -> GateResult:
        # Late: it brings numpy, and who only judges has this hand too.
        from mlbench.engine.hands.smoke import smoke_test

        folder = self._releases.registry.folder_of(version)
        token = token_for(self._layout, environment.settings.host)
        return smoke_test(address, version, folder, token)

    def _append(self, change: Change, step: Step) -> LedgerEntry:
        """The commit point: from here on the version is live, whoever brings it about."""
        version = step.version
        return change.append(
            LedgerEntry(
                sequence=0,
                at=utc(),
                action=step.action,
                environment=change.environment.name,
                model=version.model,
                version=version.version or 0,
                digest=version.digest,
                run=version.run,
                by=user_name(),
                why=step.why,
                reason=step.reason,
                forced=bool(step.overruled),
                commit=step.commit,
                gates=step.gates,
                weights=step.weights,
            )
        )

    def _go_live(self, change: Change, step: Step, address: str) -> None:
        """Have the server answer from what the ledger says; else the step is taken back.

        That is rare, for the version was loaded: a server that came up anew and can't load it.
        """
        deployment = change.settle()
        if not address:
            return
        live = step.version if step.makes_live else None
        try:
            self._wait_live(change.environment, deployment.order, live)
        except ServingError as error:
            action, weights = TAKEN_BACK_BY[step.action], step.weights_before
            undone = Step(action, step.version, why=str(error), weights=weights)
            self._append(change, dataclasses.replace(undone, reason=step.reason))
            change.settle()
            raise

    def _wait_live(
        self, environment: EnvironmentSpec, order: int, version: Candidate | None
    ) -> None:
        """Another model of the environment that has lost its file does not hold this one up."""
        awaited = (version.model, version.version or 0) if version is not None else None
        wait_serving(self._layout, environment, order, version=awaited)

    def still_live(self, change: Change, step: Step, standing: LedgerEntry, tell: Tell) -> str:
        """What is live already is served, and the world told where it was not."""
        deployment = change.settle()
        if step.version.signature is not None:
            self._have_up(change.environment)
            self._wait_live(change.environment, deployment.order, step.version)
        sentence = f"{change.environment.name} serves {step.named} already"
        told = told_before(self._layout, standing.sequence)
        if told is None or not told.succeeded:
            self._tell_outside(change.environment, standing, step.version, sentence, tell)
        return sentence

    def _tell_outside(
        self,
        environment: EnvironmentSpec,
        entry: LedgerEntry,
        version: Candidate,
        sentence: str,
        tell: Tell,
    ) -> None:
        """Run the environment's `on_promote`; OutsideNotToldError where it fails."""
        if environment.on_promote is None:
            return
        tell(Notice(utc(), "info", f"on_promote of {environment.name} runs"))
        values = {
            "path": str(self._releases.registry.file_of(version)),
            "version": str(entry.version),
            "model": entry.model,
            "environment": environment.name,
            "run": entry.run,
            "digest": entry.digest,
        }
        told = tell_outside(
            self._layout, environment.on_promote, values, entry.sequence, ending=self._ending
        )
        if not told.succeeded:
            words = failure_words(self._layout, told, entry.sequence)
            again = f"`mlbench promote {entry.model}@{entry.version} {environment.name}`"
            raise OutsideNotToldError(f"{sentence}, but {words}; {again} runs it once more")


def sentence_of(step: Step, environment: EnvironmentSpec, address: str) -> str:
    """What an environment does now, in words."""
    name, model = environment.name, step.version.model
    where = f" at {address}" if address else ""
    if step.action == CANARY:
        steps = ", then ".join(f"{100 * share:.4g} %" for share in environment.canary.steps)
        least = environment.canary.min_requests
        return (
            f"{name} gives {step.named} {steps} of the requests for {model}{where}, and moves on "
            f"when {least} of its own show no harm; it is promoted after that, or taken back by "
            "itself"
        )
    if step.action == SHADOW:
        return (
            f"{name} copies requests for {model} to {step.named}{where}; its answers are "
            "compared and never returned"
        )
    if step.action == TRAFFIC:
        if not step.weights:
            return f"{name} has {step.named} answer all requests{where}"
        return f"{name} shares the requests for {model}{where}: {shares_in_words(step.weights)}"
    again = " again" if step.action == ROLLBACK else ""
    served = "serves" if step.version.signature is not None else "has"
    return f"{name} {served} {step.named}{again}{where}"
