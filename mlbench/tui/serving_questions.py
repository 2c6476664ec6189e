"""What screen 5 asks before it changes who answers: pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.content import Content

from mlbench.domain.commands import Command, EndTrial, StartCanary, StartShadow
from mlbench.domain.names import friendly_name
from mlbench.domain.release import Candidate, GateResult
from mlbench.tui.draw.lines import line
from mlbench.tui.questions import Choice, Question
from mlbench.tui.served import canary_of, canary_on, shadow_of, shadow_on
from mlbench.tui.serving_rules import live_version, model_of, named, others
from mlbench.tui.situation import Situation, refusal
from mlbench.tui.words import missed, version_of

STOP = "stop"


def ask_stop(environment: str) -> Question:
    """Before a server stops: its clients get no answers then."""
    said = line("Who asks it gets no answer until it is started again; what it serves stays.")
    return Question(f"Stop {environment}?", (said,), (Choice(f"stop {environment}", STOP),))


def ask_canary(situation: Situation) -> Question | None:
    """Which version becomes the canary, or whether the one that goes on ends."""
    served, model = situation.served, model_of(situation)
    if served is None:
        return None
    now, name = served.environment, served.environment.name
    version = canary_on(now, model)
    if version is not None:
        state = canary_of(now, model)
        live = live_version(now, model)
        share = f" It gets {round(state.share * 100)} % of the requests." if state else ""
        said = line(f"{model} v{version} is the canary beside v{live}.{share}")
        end = Choice(f"end it: v{live} answers all again", EndTrial("canary", name, model))
        return Question("End the canary?", (said,), (end,))
    offered = others(situation)
    choices = [(item, StartCanary(name, model, named(item))) for item in offered]
    spec = now.deployment.canary if now.deployment is not None else None
    steps = ", ".join(f"{round(step * 100)} %" for step in spec.steps) if spec else "a few steps"
    least = f" of {spec.min_requests} requests each" if spec else ""
    said = line(f"It gets {steps} of the requests in steps{least}, and the rest where it passes.")
    back = line("Errors, latency or predictions that are worse take it back by themselves.")
    refusals = [refusal(situation, item, name) for item in offered]
    return _offered(f"A canary in {name}?", (said, back), choices, refusals)


def ask_shadow(situation: Situation) -> Question | None:
    """Which version follows as a shadow, or whether the one that does ends."""
    served, model = situation.served, model_of(situation)
    if served is None:
        return None
    now, name = served.environment, served.environment.name
    version = shadow_on(now, model)
    if version is not None:
        state = shadow_of(now, model)
        compared = f": {state.flips} of {state.compared} answers differ" if state else ""
        said = line(f"{model} v{version} is the shadow{compared}.")
        end = Choice("end it", EndTrial("shadow", name, model))
        return Question("End the shadow?", (said,), (end,))
    choices = [(item, StartShadow(name, model, named(item))) for item in others(situation)]
    said = line("Requests are copied to it while there is idle capacity; nobody gets its answers.")
    return _offered(f"A shadow in {name}?", (said,), choices)


def ask_replay(situation: Situation) -> Question | None:
    """Which version is asked what was asked lately; each choice has its place as its value."""
    served, model = situation.served, model_of(situation)
    if served is None:
        return None
    name = served.environment.name
    found = others(situation)
    choices = tuple(
        Choice(_label(item), str(place), "$warn" if _refusing(item) else "")
        for place, item in enumerate(found)
    )
    said = line(f"The newest logged requests of {name} are asked again; {name} itself is not.")
    return Question(f"Replay on which {model}?", (said,), choices) if choices else None


def weights_in(text: str) -> Mapping[str, float]:
    """`12=90 13=10` as shares of 1 by version; empty gives all back. ValueError, saying why."""
    found: dict[str, float] = {}
    for word in text.replace(",", " ").split():
        version, sign, weight = word.partition("=")
        version = version.removeprefix("v")
        if not sign or not version.isdecimal():
            raise ValueError(f'"{word}" is no share: write VERSION=WEIGHT, as in 12=90 13=10')
        try:
            value = float(weight.removesuffix("%"))
        except ValueError:
            raise ValueError(f'"{weight}" is no number') from None
        if not 0 <= value < float("inf"):
            raise ValueError(f"v{version}: a weight is 0 or more")
        if version in found:
            raise ValueError(f"v{version} stands there twice")
        found[version] = value
    whole = sum(found.values())
    if found and not whole:
        raise ValueError("one of the weights must be over 0")
    return {version: value / whole for version, value in found.items() if value}


def fault_in_weights(text: str) -> str:
    """What is wrong with the text; empty where nothing is."""
    try:
        weights_in(text)
    except ValueError as error:
        return str(error)
    return ""


def weights_to_edit(weights: Mapping[int, float], offered: Sequence[Candidate]) -> str:
    """What stands in the field to begin with: the split as it is, else one to begin with."""
    if len(weights) > 1:
        return " ".join(f"{version}={share * 100:.4g}" for version, share in weights.items())
    versions = [item.version for item in offered if item.version is not None]
    live = next(iter(weights), None)
    if live is None or not versions:
        return ""
    return f"{live}=90 {versions[0]}=10"


def _offered(
    title: str,
    lines: tuple[Content, ...],
    commands: Sequence[tuple[Candidate, Command]],
    refusals: Sequence[str] = (),
) -> Question | None:
    """A choice each; `refusals` say of each why the loop would not have it lately."""
    choices = tuple(
        Choice(
            _label(item) + ("  refused just now" if said else ""),
            command,
            "$warn" if said or _refusing(item) else "",
        )
        for (item, command), said in zip(commands, refusals or [""] * len(commands), strict=True)
    )
    told = [line((f"Refused: {said}", "$warn")) for said in dict.fromkeys(refusals) if said]
    return Question(title, (*lines, *told), choices) if choices else None


def _label(candidate: Candidate) -> str:
    refusing = _refusing(candidate)
    why = f"  {missed(refusing[0])}" if refusing else ""
    name = friendly_name(candidate.run)
    return f"{candidate.model} {version_of(candidate)} ({name}){why}"


def _refusing(candidate: Candidate) -> list[GateResult]:
    return [gate for gate in candidate.gates if gate.refuses]
