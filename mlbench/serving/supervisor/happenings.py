"""What happens to a rollout, and what becomes of it then: pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from mlbench.domain.records import dataclass
from mlbench.domain.release import DeployedModel, Deployment
from mlbench.serving.control import Committed, Loading, Message, Prepared, key_of
from mlbench.serving.supervisor.progress import Member, Question, Rollout
from mlbench.serving.supervisor.rollout import (
    CRASHED,
    KILLED,
    STRIKES,
    Step,
    go_on,
)
from mlbench.serving.supervisor.servable import Refusal


@dataclass(frozen=True, slots=True)
class Death:
    """How a worker ended: `words` say it, as in `signal 11`; `was_hung` where it was given up."""

    words: str
    was_killed: bool = False
    was_hung: bool = False


def wanted(state: Rollout, deployment: Deployment) -> Step:
    """There is a newer Deployment; what could not be loaded is tried again."""
    refused = tuple(refusal for refusal in state.refused if refusal.is_deadly)
    return go_on(dataclasses.replace(state, wanted=deployment, refused=refused))


def changed(state: Rollout, paths: Collection[str]) -> Step:
    """Files of models changed: what they could not be loaded from is tried again."""
    refused = tuple(item for item in state.refused if item.model.path not in paths)
    strikes = {} if refused != state.refused else state.strikes
    members = {
        worker: dataclasses.replace(member, told=0, answered=0) if member.errors else member
        for worker, member in state.members.items()
    }
    return go_on(dataclasses.replace(state, refused=refused, strikes=strikes, members=members))


def sized(state: Rollout, size: int) -> Step:
    """There should be so many workers now."""
    return go_on(dataclasses.replace(state, size=size))


def joined(state: Rollout, worker: int) -> Step:
    """A worker started, with nothing in memory."""
    members = {**state.members, worker: Member()}
    return go_on(dataclasses.replace(state, members=members))


def left(state: Rollout, worker: int, death: Death | None) -> Step:
    """A worker is gone: as it was told to, or by a death, which its version may be guilty of."""
    members = dict(state.members)
    member = members.pop(worker)
    questions = tuple(item for item in state.questions if item.worker != worker)
    state = dataclasses.replace(state, members=members, questions=questions)
    if death is not None and member.loading:
        state = _struck(state, member.loading, death)
    return go_on(state)


def heard(state: Rollout, worker: int, message: Message) -> Step:
    """A worker said how far it is."""
    member = state.members[worker]
    if isinstance(message, Loading):
        member = dataclasses.replace(member, loading=message.version)
    elif isinstance(message, Prepared) and message.number == member.told:
        errors = dict(message.errors)
        member = dataclasses.replace(member, answered=message.number, errors=errors, loading="")
    elif isinstance(message, Committed):
        member = dataclasses.replace(member, acknowledged=message.number)
    return go_on(dataclasses.replace(state, members={**state.members, worker: member}))


def load(state: Rollout, worker: int, number: int, versions: tuple[DeployedModel, ...]) -> Step:
    """A client asks for versions to be loaded; those that failed before are tried again."""
    fresh = tuple(model for model in versions if model not in state.asked)
    refused = tuple(r for r in state.refused if r.is_deadly or r.model not in versions)
    return go_on(
        dataclasses.replace(
            state,
            asked=(*state.asked, *fresh),
            refused=refused,
            questions=(*state.questions, Question(worker, number, versions, is_load=True)),
        )
    )


def unload(state: Rollout, worker: int, number: int, versions: tuple[DeployedModel, ...]) -> Step:
    """A client asks for versions to be let go."""
    return go_on(
        dataclasses.replace(
            state,
            asked=tuple(model for model in state.asked if model not in versions),
            questions=(*state.questions, Question(worker, number, versions, is_load=False)),
        )
    )


def _struck(state: Rollout, key: str, death: Death) -> Rollout:
    """Hold a death against the version that was being loaded; refuse one that is deadly.

    Two crashes are enough, or one where no other worker would be left to serve meanwhile; what
    hangs takes long to be found out, and is not tried again.
    """
    known = [*(state.trial.versions if state.trial else ())]
    standing = state.standing.versions if state.standing else ()
    model = next((item for item in (*known, *standing) if key_of(item) == key), None)
    if model is None:
        return state
    weight = STRIKES if death.was_hung else KILLED if death.was_killed else CRASHED
    count = state.strikes.get(key, 0) + weight
    is_last = state.standing is not None and not state.serving and model not in standing
    strikes = {**state.strikes, key: count}
    if count < STRIKES and not (is_last and not death.was_killed):
        return dataclasses.replace(state, strikes=strikes)
    why = (
        f"{model.name} version {model.version}: a worker that loaded it died ({death.words}); "
        "export it anew, or promote another version"
    )
    refused = tuple(item for item in state.refused if item.model != model)
    strikes.pop(key)
    return dataclasses.replace(
        state,
        strikes=strikes,
        refused=(*refused, Refusal(model, why, is_deadly=True)),
        trial=None if model in known else state.trial,
    )
