"""The hand that promotes and rolls back."""

from __future__ import annotations

import dataclasses

from mlbench.domain.commands import Promote, Rollback
from mlbench.domain.ledger import PROMOTE, ROLLBACK
from mlbench.domain.stages import Project
from mlbench.engine.change import changing
from mlbench.engine.hands.choosing import Choosing, check_force
from mlbench.engine.hands.going_live import GoingLive
from mlbench.engine.hands.step import Step
from mlbench.engine.hands.telling import Tell
from mlbench.engine.releases import Releases, find_environment, find_model
from mlbench.project.layout import Layout
from mlbench.release.promotion import previous_version


class ReleasingHand:
    """Promotes and rolls back; one command at a time, in the order of asking."""

    def __init__(
        self, layout: Layout, releases: Releases, choosing: Choosing, going_live: GoingLive
    ) -> None:
        """Use what the loop has open."""
        self._layout = layout
        self._releases = releases
        self._choosing = choosing
        self._going_live = going_live

    def promote(self, project: Project, command: Promote, tell: Tell) -> str:
        """Make a candidate or version what an environment serves; gives the sentence that says so.

        GateRefusedError, UsageError, PortTakenError or ServingError leave everything as it was;
        OutsideNotToldError says that it is live, but `on_promote` failed.
        """
        environment = find_environment(project, command.environment)
        check_force(command)
        with changing(self._layout, self._releases, environment) as change:
            model = find_model(project, command.model)
            candidate = self._choosing.candidate(project, model, command, environment, change)
            step = self._choosing.judged(PROMOTE, project, candidate, command, change, tell)
            version = self._releases.registry.register(step.version)
            step = dataclasses.replace(step, version=version)
            standing = change.standing(version.model)
            if standing is not None and standing.version == version.version:
                return self._going_live.still_live(change, step, standing, tell)
            return self._going_live.carry_out(change, step, tell)

    def rollback(self, project: Project, command: Rollback, tell: Tell) -> str:
        """Make an environment serve what it served before; UsageError where there is nothing.

        No gate is judged and nothing is compared: it was live there. It must load, though.
        """
        environment = find_environment(project, command.environment)
        with changing(self._layout, self._releases, environment) as change:
            named = command.model
            # What is live goes back also where mlbench.toml has it no more, or by another name.
            is_live = named is not None and change.standing(named) is not None
            model = named if named and is_live else find_model(project, named).name
            _, before = previous_version(change.entries, environment.name, model)
            version = self._releases.registry.version(model, before.version)
            step = Step(ROLLBACK, version, reason=command.reason.strip(), commit=before.commit)
            return self._going_live.carry_out(change, step, tell)
