"""The versions that a worker has in memory: what a preparation adds, and what a commit lets go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from mlbench.domain.errors import ServingError
from mlbench.domain.release import DeployedModel, Deployment
from mlbench.serving.control import Loading, Prepare, key_of, needed
from mlbench.serving.worker.table import Served, Table, table_of

Load = Callable[[DeployedModel, Deployment], Served]


class Memory:
    """Loads in two phases, so that all workers begin to answer from a version at one moment.

    `table` is replaced as a whole. `prepare` runs in a thread; all else in the event loop.
    """

    def __init__(self, load: Load, tell: Callable[[Loading], None] = lambda _: None) -> None:
        """`load` brings one version into memory, warm; ServingError where it can't.

        `tell` hears, in the thread, of each version before it is loaded.
        """
        self.table = Table()
        self._load = load
        self._tell = tell
        self._prepared: tuple[Prepare, dict[str, Served]] | None = None
        self._superseded: dict[int, Served] = {}

    def prepare(self, wanted: Prepare) -> Mapping[str, str]:
        """Load what is not in memory yet; why a version can't be, by `model@version`."""
        deployment = wanted.deployment
        known = self._in_memory(deployment)
        if self._prepared is not None:
            self._superseded |= _by_id(self._prepared[1].values())
        memory: dict[str, Served] = {}
        errors: dict[str, str] = {}
        for deployed in needed(deployment, wanted.loaded):
            key = key_of(deployed)
            served = _kept(known, deployed)
            if served is None:
                self._tell(Loading(wanted.number, key))
                try:
                    served = self._load(deployed, deployment)
                except Exception as error:
                    # Whatever it is, the supervisor must hear of it: it waits for an answer.
                    errors[key] = _sentence(deployed, error)
                    continue
            memory[key] = served
        self._prepared = (wanted, memory)
        return errors

    def commit(self, number: int, without: Mapping[str, str]) -> list[Served]:
        """Answer from what was prepared under this number; gives the versions that are let go.

        `without` says why versions that should be served are not. ValueError where something else
        was prepared since: its own commit follows.
        """
        if self._prepared is None or self._prepared[0].number != number:
            raise ValueError(f"preparation {number} is not what was prepared last")
        wanted, memory = self._prepared
        before, self.table = self.table, table_of(wanted.deployment, memory, without)
        still = set(map(id, self.table.served))
        held = _by_id((*before.served, *memory.values())) | self._superseded
        self._prepared, self._superseded = None, {}
        return [item for key, item in held.items() if key not in still]

    def _in_memory(self, deployment: Deployment) -> list[Served]:
        """What may go on as it is: the settings are made into what runs a version."""
        known = list(self.table.served) if deployment.settings == self.table.settings else []
        if self._prepared is not None:
            wanted, memory = self._prepared
            known += memory.values() if deployment.settings == wanted.deployment.settings else ()
        return known


def _by_id(versions: Iterable[Served]) -> dict[int, Served]:
    return {id(served): served for served in versions}


def _sentence(deployed: DeployedModel, error: Exception) -> str:
    if isinstance(error, ServingError):
        return str(error)
    why = f"{type(error).__name__}: {error}"
    return f"{deployed.name} version {deployed.version}: can't be brought into memory ({why})"


def _kept(known: Iterable[Served], wanted: DeployedModel) -> Served | None:
    """The version that is wanted, where it is in memory already."""
    return next((served for served in known if served.deployed == wanted), None)
