"""How far a rollout is: what is prepared, what stands, and where each worker is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from mlbench.domain.records import dataclass
from mlbench.domain.release import DeployedModel, Deployment
from mlbench.serving.control import needed
from mlbench.serving.supervisor.servable import Refusal


@dataclass(frozen=True, slots=True)
class Preparation:
    """What all workers are to have in memory, and then to answer from.

    `deployment` is what can be served of what was `wanted`. `without` says by `model@version` what
    is not among it though it should be; `error` is the first such reason of versions with traffic,
    `staged_error` of staged ones.
    """

    number: int
    wanted: Deployment
    deployment: Deployment
    loaded: tuple[DeployedModel, ...] = ()
    without: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    staged_error: str = ""

    @property
    def versions(self) -> tuple[DeployedModel, ...]:
        """All that is in memory then."""
        return needed(self.deployment, self.loaded)


@dataclass(frozen=True, slots=True)
class Member:
    """One worker: the preparation it was `told` last and `answered` last, with its `errors`.

    `committed` is the one that it was told to answer from, `acknowledged` the one that it does
    answer from; 0 for none. `loading` is the version that it loads now.
    """

    told: int = 0
    answered: int = 0
    errors: Mapping[str, str] = field(default_factory=dict)
    committed: int = 0
    acknowledged: int = 0
    loading: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """A load or unload that a client waits for, through a worker."""

    worker: int
    number: int
    versions: tuple[DeployedModel, ...]
    is_load: bool


@dataclass(frozen=True, slots=True)
class Rollout:
    """How far every worker is.

    `wanted` is the newest Deployment, `size` the number of workers there should be, `asked` the
    versions that somebody asked to load. `standing` was committed last and `trial` is on its way;
    `answering` is what all workers that serve said they answer from, `order` that of the newest
    Deployment that is served whole. `strikes` count deaths by the version that was being loaded.
    """

    wanted: Deployment
    size: int = 1
    asked: tuple[DeployedModel, ...] = ()
    refused: tuple[Refusal, ...] = ()
    strikes: Mapping[str, int] = field(default_factory=dict)
    standing: Preparation | None = None
    trial: Preparation | None = None
    answering: Preparation | None = None
    order: int = 0
    members: Mapping[int, Member] = field(default_factory=dict)
    numbers: int = 0
    questions: tuple[Question, ...] = ()

    @property
    def serving(self) -> tuple[int, ...]:
        """The workers that answer from what stands; before anything stands, all of them."""
        if self.standing is None:
            return tuple(sorted(self.members))
        number = self.standing.number
        return tuple(sorted(w for w, it in self.members.items() if it.committed == number))

    @property
    def waiting(self) -> Mapping[int, str]:
        """Workers that don't answer, for they can't load what the others have; and why."""
        serving = set(self.serving) if self.standing is not None else set()
        return {
            worker: next(iter(member.errors.values()))
            for worker, member in self.members.items()
            if worker not in serving and member.errors
        }
