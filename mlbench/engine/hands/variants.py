"""The hand that makes variants of the project, in which runs with their own parameters go on."""

from __future__ import annotations

import traceback
from collections.abc import Callable

from mlbench.domain.commands import RunStages
from mlbench.domain.errors import MlbenchError
from mlbench.domain.stages import Project
from mlbench.engine.inputs import Asked, Input, Kept, VariantFailed, VariantMade
from mlbench.engine.machine import Machine
from mlbench.pipeline.launch import Launch
from mlbench.pipeline.snapshots.variant import Variant, clear_unclaimed
from mlbench.pipeline.workspace import Workspace
from mlbench.project.config import load_project
from mlbench.project.layout import Layout

MachineFor = Callable[[Project], Machine]


class Variants:
    """Those that this holder of the loop has, by their slot."""

    def __init__(
        self,
        layout: Layout,
        workspace: Workspace,
        put: Callable[[Input], None],
        machine_for: MachineFor,
    ) -> None:
        """Beside the workspace of the project's own tree."""
        self._layout = layout
        self._workspace = workspace
        self._put = put
        self._machine_for = machine_for
        self._held: dict[str, Variant] = {}
        self._launches: dict[tuple[str, str], tuple[Variant, Launch]] = {}

    def get(self, slot: str) -> Variant | None:
        """The variant in a slot; None for the project's own tree, which has no slot."""
        return self._held[slot] if slot else None

    def make(self, request: Asked) -> None:
        """Make one for a run that is asked for, and plan there."""
        try:
            self._put(self._planned(self._made_for(request), request))
        except MlbenchError as error:
            self._put(VariantFailed(request, str(error), error.exit_status))
        except OSError as error:
            message = f"{error.filename or self._layout.snapshots}: {error.strerror or error}"
            self._put(VariantFailed(request, message, 1))
        except Exception:
            self._put(VariantFailed(request, f"internal error: {traceback.format_exc()}", 1))

    def take_up(self, kept: Kept) -> VariantMade | None:
        """The variant of a run that the holder before let go, or that has a stage going.

        None where it can't be gone on with; what is left of it is for `clear_others`.
        """
        variant = Variant.take_up(self._layout, self._workspace, kept.variant)
        if variant is None:
            return None
        launches = [one for one in variant.unfinished() if one.run == kept.run]
        if not (kept.was_left or launches):
            variant.let_go()
            return None
        self._held[variant.slot] = variant
        try:
            made = self._planned(variant, None)
        except MlbenchError:
            return None
        for launch in launches:
            self._launches[launch.run, launch.stage.name] = (variant, launch)
        return made

    def unfinished(self) -> list[tuple[str, str]]:
        """The stages, by run and name, that can be gone on with in what was taken up."""
        return list(self._launches)

    def adopted(self, run: str, stage: str) -> tuple[Variant, Launch] | None:
        """A stage that can be gone on with, once; None where it is none of a variant."""
        return self._launches.pop((run, stage), None)

    def clear_others(self) -> None:
        """Stop whatever runs in slots that nobody goes on with, and free them."""
        clear_unclaimed(self._layout, self._workspace, self._held)

    def drop(self, slot: str) -> None:
        """Free a slot: the run is closed, or never began."""
        self._held.pop(slot).release()

    def close(self) -> None:
        """Leave to the next holder what is still held."""
        for variant in self._held.values():
            variant.let_go()
        self._held.clear()

    def _made_for(self, request: Asked) -> Variant:
        command = request.command
        assert isinstance(command, RunStages)
        project = load_project(self._layout)
        variant = Variant.make(
            self._layout, self._workspace, project, command.stages, command.params
        )
        return self._held.setdefault(variant.slot, variant)

    def _planned(self, variant: Variant, request: Asked | None) -> VariantMade:
        try:
            plan = variant.plan()
        except BaseException:
            variant.clear()
            self.drop(variant.slot)
            raise
        machine = self._machine_for(variant.wanted)
        return VariantMade(variant.slot, plan, variant.wanted, machine, request)
