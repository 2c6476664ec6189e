"""What a supervisor says of itself: pure."""

from __future__ import annotations

from collections.abc import Mapping

from mlbench.domain.records import dataclass
from mlbench.domain.release import Deployment
from mlbench.serving.state import ServerState
from mlbench.serving.supervisor.progress import Rollout


@dataclass(frozen=True, slots=True)
class Processes:
    """The worker processes: `pids` by worker, `births` by process id as a text.

    `failing` says why workers die before they answer, and is empty where they don't.
    """

    pids: Mapping[int, int]
    births: Mapping[str, str]
    restarts: int = 0
    failing: str = ""


def state_of(
    pid: int,
    address: tuple[str, int],
    rollout: Rollout,
    crew: Processes,
    file_error: str,
    shares: Mapping[str, Mapping[str, float]],
) -> ServerState:
    """What stands in the state file; `shares` are those that canaries set since the last commit."""
    host, port = address
    answering = rollout.answering
    acknowledged = {
        worker
        for worker in rollout.serving
        if rollout.standing is not None and rollout.members[worker].acknowledged
    }
    workers = tuple(crew.pids[worker] for worker in sorted(acknowledged) if worker in crew.pids)
    waiting = [
        f"{len(workers)} of {rollout.size} workers serve: {why}" for why in rollout.waiting.values()
    ]
    if answering is None:
        return ServerState(
            pid,
            port,
            error=file_error or crew.failing,
            host=host,
            processes=crew.births,
            restarts=crew.restarts,
        )
    deployment = answering.deployment
    loaded: dict[str, tuple[int, ...]] = {}
    for model in answering.loaded:
        loaded[model.name] = tuple(sorted({*loaded.get(model.name, ()), model.version}))
    return ServerState(
        pid,
        port,
        rollout.order,
        {model.name: model.version for model in deployment.models},
        file_error or answering.error or next(iter(waiting), "") or crew.failing,
        answering.wanted.order,
        {model.name: model.version for model in deployment.staged},
        answering.staged_error,
        host,
        loaded,
        {**_weights(deployment), **shares},
        workers,
        crew.births,
        crew.restarts,
    )


def _weights(deployment: Deployment) -> dict[str, Mapping[str, float]]:
    """The shares that were set, where more than one version gets any."""
    return {item.model: item.weights for item in deployment.traffic if len(item.weights) > 1}
