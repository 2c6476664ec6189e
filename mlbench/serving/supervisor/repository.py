"""What clients may load and unload beside what is deployed: pure, but for reading the list of it.

The protocol's repository extension, as Triton has it: https://github.com/triton-inference-server
/server/blob/main/docs/protocol/extension_model_repository.md. Neither ever moves traffic.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from mlbench.domain.errors import nearest
from mlbench.domain.plain import from_plain
from mlbench.domain.records import dataclass
from mlbench.domain.release import DeployedModel
from mlbench.serving.control import Ask, Indexed, Told, key_of, needed
from mlbench.serving.supervisor.progress import Preparation, Rollout
from mlbench.system.files import read_json

READY, UNAVAILABLE = "READY", "UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class Load:
    """These versions are to be loaded."""

    versions: tuple[DeployedModel, ...]


@dataclass(frozen=True, slots=True)
class Unload:
    """These versions are to be let go."""

    versions: tuple[DeployedModel, ...]


def read_available(path: Path) -> tuple[DeployedModel, ...]:
    """Every version that may be loaded; none where the list is not there or can't be read."""
    try:
        return tuple(from_plain(DeployedModel, plain) for plain in read_json(path) or ())
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return ()


def decide(ask: Ask, available: Sequence[DeployedModel], state: Rollout) -> Load | Unload | Told:
    """What a client's question asks for, or the answer where it changes nothing."""
    standing = state.standing or Preparation(0, state.wanted, state.wanted)
    if ask.what == "index":
        return Told(ask.number, index=tuple(_index(available, standing, state)))
    known = {key_of(model): model for model in (*available, *state.asked, *standing.versions)}
    mine = sorted(
        (model for model in known.values() if model.name == ask.model),
        key=lambda model: model.version,
    )
    if not mine:
        meant = nearest(ask.model, {model.name for model in known.values()})
        return Told(ask.number, 404, f'no model "{ask.model}"{meant} has a version here')
    by_number = {str(model.version): model for model in mine}
    for text in ask.versions:
        if text not in by_number:
            listed = ", ".join(by_number)
            sentence = f'{ask.model} has no version "{text}"; there are: {listed}'
            return Told(ask.number, 404, sentence)
    named = tuple(by_number[text] for text in ask.versions)
    if ask.what == "load":
        return Load(named or (mine[-1],))
    if ask.what == "unload":
        return _unload(ask, named, mine, state)
    return Told(ask.number, 400, f'"{ask.what}" is nothing that a repository does')


def _unload(
    ask: Ask, named: tuple[DeployedModel, ...], mine: Iterable[DeployedModel], state: Rollout
) -> Unload | Told:
    deployed = needed(state.wanted, ())
    kept = [model for model in named or mine if model in deployed]
    if named and kept:
        which = f"{ask.model} version {kept[0].version}"
        return Told(ask.number, 400, f"{which} {_use_of(kept[0], state)}, so it stays loaded")
    free = tuple(model for model in named or state.asked if model.name == ask.model)
    free = tuple(model for model in free if model not in deployed)
    if not free and kept:
        which = f"{ask.model} version {kept[0].version}"
        sentence = f"{which} {_use_of(kept[0], state)} and no other is loaded; name no live version"
        return Told(ask.number, 400, sentence)
    return Unload(free)


def _use_of(model: DeployedModel, state: Rollout) -> str:
    if model in state.wanted.models:
        return "is live"
    return "is being promoted" if model in state.wanted.staged else "has a share of the traffic"


def _index(
    available: Iterable[DeployedModel], standing: Preparation, state: Rollout
) -> Iterable[Indexed]:
    """Every version that is loaded or may be, by name and number."""
    loaded = {key_of(model) for model in standing.versions}
    refused = {key_of(refusal.model): refusal.why for refusal in state.refused}
    every = {key_of(m): m for m in (*available, *needed(state.wanted, ()), *standing.versions)}
    for key, model in sorted(every.items(), key=lambda item: (item[1].name, item[1].version)):
        if key in loaded:
            yield Indexed(model.name, str(model.version), READY)
        else:
            why = refused.get(key, "unloaded")
            yield Indexed(model.name, str(model.version), UNAVAILABLE, why)
