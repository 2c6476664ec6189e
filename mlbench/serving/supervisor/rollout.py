"""How versions reach all workers at one moment, whatever dies or fails in between: pure.

A preparation is brought into the memory of every worker, first of one and then of the others, and
only then committed. One that some worker can't load is begun anew without the versions at fault.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from mlbench.domain.release import DeployedModel
from mlbench.serving.control import Commit, Message, Prepare, Told, key_of, needed
from mlbench.serving.supervisor.progress import Preparation, Question, Rollout
from mlbench.serving.supervisor.servable import Refusal, servable

# A worker that died of a signal of its own while it loaded a version counts twice as much as one
# that was killed, which may be anybody's doing.
CRASHED, KILLED = 2, 1
STRIKES = 4


Sends = tuple[tuple[int, Message], ...]
Step = tuple[Rollout, Sends]


def target_of(state: Rollout) -> Preparation:
    """What the workers should answer from, as far as it can be loaded."""
    standing = state.standing.deployment if state.standing else None
    lost = [refusal.model for refusal in state.refused if refusal.is_lost]
    in_memory = state.standing.versions if state.standing else ()
    held = [model for model in in_memory if model not in lost]
    refused = [refusal.model for refusal in state.refused]

    def can_serve(model: DeployedModel) -> bool:
        return model not in refused or model in held

    wanted = state.wanted
    deployment = servable(wanted, standing, can_serve)
    loaded = tuple(filter(can_serve, state.asked))
    if standing is not None and any(model in refused for model in needed(deployment, loaded)):
        # It is in memory and can't be loaded again; under other settings all is loaded anew.
        deployment = dataclasses.replace(deployment, settings=standing.settings)
    return Preparation(
        state.numbers + 1,
        wanted,
        deployment,
        loaded,
        {key_of(model): why for model, why in _missing(state, needed(wanted, ()))},
        next((why for _, why in _missing(state, (*wanted.models, *wanted.beside))), ""),
        next((why for _, why in _missing(state, wanted.staged)), ""),
    )


def _missing(
    state: Rollout, models: Iterable[DeployedModel]
) -> Iterable[tuple[DeployedModel, str]]:
    for model in models:
        refusal = next((item for item in state.refused if item.model == model), None)
        if refusal is not None:
            yield model, refusal.why


def go_on(state: Rollout) -> Step:
    """Do all that can be done now."""
    sends: Sends = ()
    while True:
        step = next(filter(None, (rule(state) for rule in _RULES)), None)
        if step is None:
            return state, sends
        state, more = step
        sends += more


def _acknowledge(state: Rollout) -> Step | None:
    """What stands is what answers, once all who serve say so."""
    standing = state.standing
    if standing is None or standing is state.answering or not state.serving:
        return None
    if any(state.members[w].acknowledged != standing.number for w in state.serving):
        return None
    order = state.order if standing.error else standing.wanted.order
    return dataclasses.replace(state, answering=standing, order=order), ()


def _answer(state: Rollout) -> Step | None:
    """Tell who asked for a load or unload what became of it."""
    if state.standing is None or state.standing is not state.answering:
        return None
    for question in state.questions:
        told = _told(state, question)
        if told is not None:
            rest = tuple(item for item in state.questions if item is not question)
            refused = question.is_load and told.status != 200
            asked = tuple(m for m in state.asked if not (refused and m in question.versions))
            state = dataclasses.replace(state, questions=rest, asked=asked)
            return state, ((question.worker, told),)
    return None


def _told(state: Rollout, question: Question) -> Told | None:
    """What to answer; None while it is on its way. What was asked last counts."""
    assert state.standing is not None
    stand, asked = state.standing.versions, state.asked
    if not question.is_load:
        on_its_way = any(m in state.standing.loaded and m not in asked for m in question.versions)
        return None if on_its_way else Told(question.number)
    if all(model in stand for model in question.versions):
        return Told(question.number)
    why = next((why for _, why in _missing(state, question.versions)), None)
    if why is None and any(m not in stand and m not in asked for m in question.versions):
        why = "it was unloaded again meanwhile"
    return Told(question.number, 400, why) if why is not None else None


def _judge(state: Rollout) -> Step | None:
    """Commit a trial that all have in memory; begin anew without what somebody could not load."""
    trial, serving = state.trial, state.serving
    if trial is None or not serving:
        return None
    answers = [state.members[w] for w in serving if state.members[w].answered == trial.number]
    errors = {key: why for member in answers for key, why in member.errors.items()}
    if errors:
        return _refuse(state, trial, errors), ()
    if len(answers) < len(serving):
        return None
    members = dict(state.members)
    for worker in serving:
        members[worker] = dataclasses.replace(members[worker], committed=trial.number)
    keys = set(map(key_of, trial.versions))
    strikes = {key: count for key, count in state.strikes.items() if key not in keys}
    state = dataclasses.replace(state, standing=trial, trial=None, members=members, strikes=strikes)
    return state, tuple((w, Commit(trial.number, trial.without)) for w in serving)


def _refuse(state: Rollout, trial: Preparation, errors: Mapping[str, str]) -> Rollout:
    """Do without these versions; what stands and failed under the same settings is lost."""
    in_memory = state.standing.versions if state.standing else ()
    same = (
        state.standing is not None
        and trial.deployment.settings == state.standing.deployment.settings
    )
    refused = tuple(
        Refusal(model, errors[key_of(model)], is_lost=same and model in in_memory)
        for model in trial.versions
        if key_of(model) in errors
    )
    # A refusal that names nothing of the trial must not make it go round for ever.
    blamed = refused or tuple(Refusal(m, next(iter(errors.values()))) for m in trial.versions)
    return dataclasses.replace(state, refused=_with(state.refused, blamed), trial=None)


def _with(known: tuple[Refusal, ...], more: tuple[Refusal, ...]) -> tuple[Refusal, ...]:
    """These refusals, the newer of a version instead of the one before."""
    models = [refusal.model for refusal in more]
    return (*(refusal for refusal in known if refusal.model not in models), *more)


def _begin(state: Rollout) -> Step | None:
    """Try what should be served now and is not; the newest, whatever came in between."""
    if state.trial is not None:
        return None
    target = target_of(state)
    standing = state.standing
    if standing is not None and dataclasses.replace(target, number=standing.number) == standing:
        return None
    return dataclasses.replace(state, trial=target, numbers=target.number), ()


def _invite(state: Rollout) -> Step | None:
    """Have one worker prepare the trial, then the others, so that one alone dies of it.

    Before anything stands all begin at once. A version of which a worker died before is tried only
    while another worker serves.
    """
    trial, serving = state.trial, state.serving
    if trial is None or not serving:
        return None
    told = [w for w in serving if state.members[w].told == trial.number]
    rest = [w for w in serving if w not in told]
    if state.standing is not None and not told:
        suspect = any(key_of(model) in state.strikes for model in trial.versions)
        if suspect and len(serving) < min(2, state.size):
            return None
        rest = rest[:1]
    elif state.standing is not None and state.members[told[0]].answered != trial.number:
        return None
    return _prepare(state, trial, rest) if rest else None


def _catch_up(state: Rollout) -> Step | None:
    """Bring a new worker to what stands; it waits where it can't load what the others have."""
    standing = state.standing
    if standing is None:
        return None
    for worker, member in state.members.items():
        if member.committed == standing.number:
            continue
        if member.told != standing.number:
            return _prepare(state, standing, [worker])
        if member.answered == standing.number and not member.errors:
            members = {
                **state.members,
                worker: dataclasses.replace(member, committed=standing.number),
            }
            commit = Commit(standing.number, standing.without)
            return dataclasses.replace(state, members=members), ((worker, commit),)
    return None


def _shrink(state: Rollout) -> Step | None:
    """What stood is given up where no worker has it in memory and none can load it."""
    standing = state.standing
    if standing is None or state.serving:
        return None
    errors = {
        key: why
        for member in state.members.values()
        if member.answered == standing.number
        for key, why in member.errors.items()
    }
    known = [refusal for refusal in state.refused if refusal.model in standing.versions]
    lost = tuple(
        Refusal(model, errors[key_of(model)], is_lost=True)
        for model in standing.versions
        if key_of(model) in errors
    ) + tuple(dataclasses.replace(refusal, is_lost=True) for refusal in known)
    gone = [refusal.model for refusal in lost]
    if not gone:
        return None
    number = state.numbers + 1
    left = Preparation(
        number,
        standing.wanted,
        servable(standing.deployment, None, lambda model: model not in gone),
        tuple(model for model in standing.loaded if model not in gone),
        {**standing.without, **{key_of(item.model): item.why for item in lost}},
        standing.error or lost[0].why,
        standing.staged_error,
    )
    refused = _with(state.refused, lost)
    return dataclasses.replace(state, standing=left, refused=refused, numbers=number), ()


def _prepare(state: Rollout, preparation: Preparation, workers: Iterable[int]) -> Step:
    message = Prepare(preparation.number, preparation.deployment, preparation.loaded)
    members = dict(state.members)
    for worker in workers:
        told = dataclasses.replace(members[worker], told=preparation.number, errors={})
        members[worker] = told
    return dataclasses.replace(state, members=members), tuple((w, message) for w in workers)


_RULES = (_acknowledge, _answer, _judge, _shrink, _begin, _invite, _catch_up)
