"""What can be served of what should be, where some versions can't be loaded: pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

from mlbench.domain.records import dataclass
from mlbench.domain.release import DeployedModel, Deployment
from mlbench.domain.serving import Traffic


@dataclass(frozen=True, slots=True)
class Refusal:
    """A version that can't be loaded, and why.

    `is_deadly` where workers died of it: it is tried again only once its file has changed.
    `is_lost` where it stood, and no worker has it in memory any more.
    """

    model: DeployedModel
    why: str
    is_deadly: bool = False
    is_lost: bool = False


def servable(
    wanted: Deployment, standing: Deployment | None, can_serve: Callable[[DeployedModel], bool]
) -> Deployment:
    """The deployment without what can't be loaded.

    A model whose live version can't be served stays as it stands, its traffic too. Of one whose
    other versions can't be these are left out, and their share goes to the others.
    """
    models: list[DeployedModel] = []
    as_it_stands = set()
    for model in wanted.models:
        stood = _named(standing.models, model.name) if standing else None
        if can_serve(model):
            models.append(model)
        elif stood is not None and can_serve(stood):
            models.append(stood)
            as_it_stands.add(model.name)
    beside, traffic = _beside(wanted, standing, as_it_stands)
    beside = [model for model in beside if can_serve(model)]
    return dataclasses.replace(
        wanted,
        models=tuple(models),
        staged=tuple(filter(can_serve, wanted.staged)),
        beside=tuple(beside),
        traffic=tuple(trimmed(item, models, beside) for item in traffic),
    )


def trimmed(
    traffic: Traffic, models: Iterable[DeployedModel], beside: Iterable[DeployedModel]
) -> Traffic:
    """A model's traffic among the versions that there are; all of it is the live one's otherwise.

    The shares of versions that are not there go to the others in proportion.
    """
    live = _named(models, traffic.model)
    if live is None:
        return Traffic(traffic.model)
    here = {live.version, *(model.version for model in beside if model.name == traffic.model)}
    weights = {text: share for text, share in traffic.weights.items() if text in map(str, here)}
    total = sum(weights.values())
    if len(weights) < len(traffic.weights):
        weights = {text: share / total for text, share in weights.items()} if total > 0 else {}
    return Traffic(
        traffic.model,
        weights,
        traffic.canary if traffic.canary in here else None,
        traffic.shadow if traffic.shadow in here else None,
        traffic.canary_entry if traffic.canary in here else 0,
    )


def _beside(
    wanted: Deployment, standing: Deployment | None, as_it_stands: set[str]
) -> tuple[list[DeployedModel], list[Traffic]]:
    """What shares traffic: as it stands for the models named so, as it is wanted for the rest."""
    beside = [model for model in wanted.beside if model.name not in as_it_stands]
    traffic = [item for item in wanted.traffic if item.model not in as_it_stands]
    if standing is not None:
        beside += [model for model in standing.beside if model.name in as_it_stands]
        traffic += [item for item in standing.traffic if item.model in as_it_stands]
    return beside, traffic


def _named(models: Iterable[DeployedModel], name: str) -> DeployedModel | None:
    return next((model for model in models if model.name == name), None)
