"""One step of an environment: staged, asked, in the ledger, live, and the world told."""

from __future__ import annotations

import dataclasses
import threading

from mlbench.domain.clock import utc
from mlbench.domain.errors import GateRefusedError, ServingError
from mlbench.domain.events import Notice, Promoted
from mlbench.domain.ledger import ROLLBACK, WITHDRAW
from mlbench.domain.records import dataclass
from mlbench.domain.release import Candidate, GateResult, LedgerEntry
from mlbench.domain.stages import EnvironmentSpec
from mlbench.engine.assembling import user_name
from mlbench.engine.change import Change
from mlbench.engine.hands.outside import (
    OutsideNotToldError,
    failure_words,
    tell_outside,
    told_before,
)
from mlbench.engine.hands.telling import Tell
from mlbench.engine.releases import Releases
from mlbench.project.layout import Layout
from mlbench.release.promotion import phrase
from mlbench.serving.supervise import ensure_up, wait_serving, wait_staged


@dataclass(frozen=True, slots=True)
class Step:
    """What is about to be done to an environment, and what the ledger will say of it.

    `overruled` are the sentences that spoke against it, where it was forced.
    """

    action: str
    version: Candidate
    gates: tuple[GateResult, ...] = ()
    why: str = ""
    reason: str = ""
    is_forced: bool = False
    overruled: tuple[str, ...] = ()
    commit: str = ""

    @property
    def named(self) -> str:
        """`digits v3`."""
        return f"{self.version.model} v{self.version.version}"


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
        if step.overruled:
            why = "; ".join(filter(None, (step.why, *step.overruled)))
            step = dataclasses.replace(step, why=why)
        entry = self._append(change, step)
        self._go_live(change, step)
        tell(self._promoted(entry, address))
        where = f" at {address}" if address else ""
        again = " again" if step.action == ROLLBACK else ""
        served = "serves" if address else "has"
        sentence = f"{change.environment.name} {served} {step.named}{again}{where}"
        if entry.forced:
            sentence += f", forced: {entry.reason}"
        self._tell_outside(change.environment, entry, step.version, sentence, tell)
        return sentence

    def _tried(self, change: Change, step: Step, address: str, tell: Tell) -> Step:
        """The version staged and asked; GateRefusedError where its answers are not the original's.

        A version that goes back was live before: it only has to load.
        """
        self._stage(change, step.version)
        if step.action == ROLLBACK:
            return step
        told = f"{step.named} is staged in {change.environment.name}: it is asked held-out rows"
        tell(Notice(utc(), "info", told))
        result = self._smoke(address, step.version)
        if result.refuses:
            against = f"{step.named} is not promoted: {phrase(result)}"
            if not step.is_forced:
                raise GateRefusedError(against)
            step = dataclasses.replace(step, overruled=(*step.overruled, against))
        return dataclasses.replace(step, gates=(*step.gates, result))

    def _have_up(self, environment: EnvironmentSpec) -> str:
        return ensure_up(self._layout, environment).address

    def _stage(self, change: Change, version: Candidate) -> None:
        deployment = change.stage(version)
        wait_staged(self._layout, change.environment, deployment.order)

    def _smoke(self, address: str, version: Candidate) -> GateResult:
        # Late: it brings numpy, and who only judges has this hand too.
        from mlbench.engine.hands.smoke import smoke_test

        return smoke_test(address, version, self._releases.registry.folder_of(version))

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
            )
        )

    def _go_live(self, change: Change, step: Step) -> None:
        """Have the server answer from what the ledger says; else the step is withdrawn.

        That is rare, for the version was loaded: a server that came up anew and can't load it.
        """
        deployment = change.settle()
        if step.version.signature is None:
            return
        try:
            self._wait_live(change.environment, deployment.order, step.version)
        except ServingError as error:
            undone = dataclasses.replace(
                step, action=WITHDRAW, why=str(error), gates=(), overruled=()
            )
            self._append(change, undone)
            change.settle()
            raise

    def _wait_live(self, environment: EnvironmentSpec, order: int, version: Candidate) -> None:
        """Another model of the environment that has lost its file does not hold this one up."""
        named = (version.model, version.version or 0)
        wait_serving(self._layout, environment, order, version=named)

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

    def _promoted(self, entry: LedgerEntry, address: str) -> Promoted:
        return Promoted(
            utc(),
            entry.action,
            entry.environment,
            entry.model,
            entry.version,
            entry.run,
            address,
        )
