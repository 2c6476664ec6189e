"""The versions that a worker has in memory: what a preparation adds, and what a commit lets go."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from mlbench.domain.errors import ServingError
from mlbench.domain.release import DeployedModel
from mlbench.serving.control import Prepare
from mlbench.serving.worker.table import Served, Table, key_of, needed, table_of

Load = Callable[[DeployedModel, Prepare], Served]


class Memory:
    """Loads in two phases, so that all workers begin to answer from a version at one moment.

    `table` is replaced as a whole. `prepare` runs in a thread; all else in the event loop.
    """

    def __init__(self, load: Load) -> None:
        """`load` brings one version into memory, warm; ServingError where it can't."""
        self.table = Table()
        self._load = load
        self._prepared: tuple[Prepare, dict[str, Served], dict[str, str]] | None = None
        self._superseded: list[Served] = []

    def prepare(self, wanted: Prepare) -> Mapping[str, str]:
        """Load what is not in memory yet; why a version can't be, by `model@version`."""
        known = list(self.table.served) if self._goes_on(wanted) else []
        if self._prepared is not None:
            self._superseded += self._prepared[1].values()
            known += self._superseded if self._goes_on(self._prepared[0]) else []
        memory: dict[str, Served] = {}
        errors: dict[str, str] = {}
        for deployed in needed(wanted.deployment, wanted.loaded):
            try:
                memory[key_of(deployed)] = _kept(known, deployed) or self._load(deployed, wanted)
            except ServingError as refused:
                errors[key_of(deployed)] = str(refused)
        self._prepared = (wanted, memory, errors)
        return errors

    def commit(self, number: int, without: Collection[str]) -> list[Served]:
        """Answer from what was prepared under this number; gives the versions that are let go.

        ValueError where something else was prepared since: its own commit follows.
        """
        if self._prepared is None or self._prepared[0].number != number:
            raise ValueError(f"preparation {number} is not what was prepared last")
        wanted, memory, errors = self._prepared
        before = self.table
        missing = {key: errors.get(key, f"{key} could not be loaded") for key in without}
        self.table = table_of(before, wanted.deployment, memory, without, {**errors, **missing})
        still = set(map(id, self.table.served))
        held = {id(item): item for item in (*before.served, *memory.values(), *self._superseded)}
        self._prepared, self._superseded = None, []
        return [item for key, item in held.items() if key not in still]

    def _goes_on(self, wanted: Prepare) -> bool:
        """Whether what runs the versions in memory may go on as it is: settings are made into it."""
        return wanted.deployment.settings == self.table.settings


def _kept(known: Iterable[Served], wanted: DeployedModel) -> Served | None:
    """The version that is wanted, where it is in memory already."""
    return next((served for served in known if served.deployed == wanted), None)
