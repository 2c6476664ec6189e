"""The hand that sets shares of traffic, and begins and ends canaries and shadows."""

from __future__ import annotations

import dataclasses

from mlbench.domain.commands import EndTrial, SetTraffic, StartCanary, StartShadow
from mlbench.domain.errors import UsageError
from mlbench.domain.ledger import (
    CANARY,
    CANARY_ENDED,
    SHADOW,
    SHADOW_ENDED,
    TRAFFIC,
    began,
)
from mlbench.domain.release import Candidate, LedgerEntry
from mlbench.domain.stages import EnvironmentSpec, ModelSpec, Project
from mlbench.engine.change import Change, changing
from mlbench.engine.hands.choosing import Choosing, check_force
from mlbench.engine.hands.going_live import GoingLive, sentence_of
from mlbench.engine.hands.step import Step, named
from mlbench.engine.hands.telling import Tell
from mlbench.engine.releases import Releases, find_environment, find_model
from mlbench.project.layout import Layout
from mlbench.release.sharing import check_trial, other_inputs, shares

_TRIALS = {CANARY: CANARY_ENDED, SHADOW: SHADOW_ENDED}


class SharingHand:
    """Gives versions requests beside what is live; one command at a time."""

    def __init__(
        self, layout: Layout, releases: Releases, choosing: Choosing, going_live: GoingLive
    ) -> None:
        """Use what the loop has open."""
        self._layout = layout
        self._releases = releases
        self._choosing = choosing
        self._going_live = going_live

    def canary(self, project: Project, command: StartCanary, tell: Tell) -> str:
        """Begin a canary; gives the sentence that says what happens now.

        GateRefusedError, UsageError, PortTakenError or ServingError leave everything as it was.
        """
        environment = find_environment(project, command.environment)
        check_force(command)
        with changing(self._layout, self._releases, environment) as change:
            model = _served(find_model(project, command.model))
            live = self._checked(CANARY, change, model)
            candidate = self._choosing.candidate(project, model, command, environment, change)
            _refuse_itself(candidate, live, environment)
            against = self._unlike(live, candidate)
            step = self._choosing.judged(CANARY, project, candidate, command, change, tell, against)
            version = self._releases.registry.register(step.version)
            step = dataclasses.replace(step, version=version)
            return self._going_live.carry_out(change, step, tell)

    def shadow(self, project: Project, command: StartShadow, tell: Tell) -> str:
        """Begin a shadow, which needs no gates, for it answers nobody; errors as `canary`."""
        environment = find_environment(project, command.environment)
        with changing(self._layout, self._releases, environment) as change:
            model = _served(find_model(project, command.model))
            live = self._checked(SHADOW, change, model)
            candidate = self._choosing.candidate(project, model, command, environment, change)
            _refuse_itself(candidate, live, environment)
            unlike = self._unlike(live, candidate)
            if unlike:
                raise UsageError(unlike[0])
            version = self._releases.registry.register(candidate)
            return self._going_live.carry_out(change, Step(SHADOW, version), tell)

    def share(self, project: Project, command: SetTraffic, tell: Tell) -> str:
        """Share the requests for a model among versions, or give all back to the live one.

        A version that gets none yet is judged as for a promotion; errors as `canary`.
        """
        environment = find_environment(project, command.environment)
        check_force(command)
        with changing(self._layout, self._releases, environment) as change:
            model = _served(find_model(project, command.model))
            live = self._checked(TRAFFIC, change, model)
            before = change.traffic(model.name).weights
            weights = shares(command.weights, live.version) if command.weights else {}
            version = self._releases.registry.version(model.name, live.version)
            step = Step(
                TRAFFIC,
                version,
                why="" if weights else "the live version answers all requests",
                reason=command.reason.strip(),
                commit=live.commit,
                weights=weights,
                weights_before=before,
            )
            if weights == before:
                change.settle()
                return f"{sentence_of(step, environment, '')}: it does so already"
            new = [int(number) for number in weights if number not in before]
            for number in new:
                if number != live.version:
                    step = self._joined(project, step, number, command, change, tell)
            return self._going_live.carry_out(change, step, tell)

    def _joined(
        self,
        project: Project,
        step: Step,
        number: int,
        command: SetTraffic,
        change: Change,
        tell: Tell,
    ) -> Step:
        """The step with one more version that gets requests from now on, as it was judged."""
        model = find_model(project, command.model)
        live = self._checked(TRAFFIC, change, model)
        candidate = self._choosing.version(model, number, change.environment, change)
        against = self._unlike(live, candidate)
        judged = self._choosing.judged(TRAFFIC, project, candidate, command, change, tell, against)
        version = self._releases.registry.register(judged.version)
        return dataclasses.replace(
            step,
            gates=(*step.gates, *judged.gates),
            why="; ".join(filter(None, (step.why, judged.why))),
            is_forced=judged.is_forced,
            overruled=(*step.overruled, *judged.overruled),
            joining=(*step.joining, version),
        )

    def end(self, project: Project, command: EndTrial, tell: Tell) -> str:
        """End a canary or shadow by hand; UsageError where none is going."""
        environment = find_environment(project, command.environment)
        if command.kind not in _TRIALS:
            raise UsageError(f'there is no trial "{command.kind}"; there are: {", ".join(_TRIALS)}')
        with changing(self._layout, self._releases, environment) as change:
            model = find_model(project, command.model).name
            traffic = change.traffic(model)
            number = traffic.canary if command.kind == CANARY else traffic.shadow
            entry = began(change.entries, environment.name, model, command.kind)
            if number is None or entry is None:
                raise UsageError(f"{environment.name} has no {command.kind} of {model}")
            return self._going_live.end(
                change, entry, _TRIALS[command.kind], "stopped by hand", command.reason, tell
            )

    def _checked(self, action: str, change: Change, model: ModelSpec) -> LedgerEntry:
        """The live entry of a model; UsageError where there is none or a trial is in the way."""
        name = model.name
        traffic, live = change.traffic(name), change.standing(name)
        return check_trial(action, traffic, live, change.environment.name, name)

    def _unlike(self, live: LedgerEntry, candidate: Candidate) -> tuple[str, ...]:
        """A sentence where the requests for the live version don't suit a candidate."""
        versions = self._releases.registry.versions(live.model)
        signature = next((one.signature for one in versions if one.version == live.version), None)
        unlike = other_inputs(signature, candidate) if signature is not None else ""
        which = named(candidate) if candidate.version else f"{live.model} of run {candidate.run}"
        return (f"{which} gets no requests in {live.environment}: it {unlike}",) if unlike else ()


def _served(model: ModelSpec) -> ModelSpec:
    """The model; UsageError where no server has it."""
    if model.format != "onnx":
        raise UsageError(
            f'{model.name} is released as a file (format = "{model.format}"), and not served'
        )
    return model


def _refuse_itself(candidate: Candidate, live: LedgerEntry, environment: EnvironmentSpec) -> None:
    if candidate.digest == live.digest:
        raise UsageError(
            f"{live.model} v{live.version} is what {environment.name} serves already: "
            "there is nothing to compare; say another one after @"
        )
