"""What shares an environment's requests beside what is live: pure decisions over the ledger."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from mlbench.domain.errors import UsageError
from mlbench.domain.ledger import CANARY, SHADOW, TRAFFIC, traffic_of, versions_in
from mlbench.domain.release import Candidate, DeployedModel, LedgerEntry, Signature, TensorSpec
from mlbench.domain.serving import Traffic

# Gives a version of a model by its number, None where it is lost.
Find = Callable[[str, int], DeployedModel | None]


def beside_live(
    live: Iterable[DeployedModel], shared: Mapping[str, Traffic], find: Find
) -> tuple[tuple[DeployedModel, ...], tuple[Traffic, ...]]:
    """The versions that share traffic with live ones or follow them, and what each model's is.

    A version that is lost is left out, and leaves its share to the others.
    """
    beside: dict[tuple[str, int], DeployedModel] = {}
    traffic: list[Traffic] = []
    for model in live:
        wanted = shared.get(model.name, Traffic(model.name))
        others = {
            number: found
            for number in versions_in(wanted) - {model.version}
            if (found := find(model.name, number)) is not None
        }
        beside |= {(model.name, number): others[number] for number in sorted(others)}
        here = Traffic(
            model.name,
            _without_lost(wanted.weights, {model.version, *others}),
            wanted.canary if wanted.canary in others else None,
            wanted.shadow if wanted.shadow in others else None,
            wanted.canary_entry if wanted.canary in others else 0,
        )
        traffic += [here] if here != Traffic(model.name) else []
    return tuple(beside.values()), tuple(traffic)


def _without_lost(weights: Mapping[str, float], there: set[int]) -> dict[str, float]:
    """The shares of what is there; none where only one version would be left."""
    left = {version: weight for version, weight in weights.items() if int(version) in there}
    total = sum(left.values())
    if len(left) < 2:
        return {}
    return {version: weight / total for version, weight in left.items()}


def shares(weights: Mapping[str, float], live: int) -> dict[str, float]:
    """Shares of 1 from shares or percents, the lowest version first; UsageError if they are none.

    The live version alone is what there is without shares, so the result is then empty.
    """
    for version, weight in weights.items():
        if not version.isdecimal():
            raise UsageError(f"{version}={weight:g}: say the number of a version before =")
        if not (math.isfinite(weight) and weight > 0):
            raise UsageError(f"{version}={weight:g}: a share of the requests must be over 0")
    weights = {str(int(version)): weight for version, weight in weights.items()}
    if str(live) not in weights:
        raise UsageError(
            f"v{live} is live and needs a share of its own ({live}=WEIGHT); "
            "`mlbench promote` makes another version live"
        )
    total = sum(weights.values())
    ordered = sorted(weights.items(), key=lambda item: int(item[0]))
    found = {version: weight / total for version, weight in ordered}
    if not (math.isfinite(total) and all(weight > 0 for weight in found.values())):
        raise UsageError("the shares of the requests are too unlike")
    return found if len(found) > 1 else {}


def other_inputs(live: Signature, item: Candidate) -> str:
    """How the inputs of a version differ from the live one's, in words; empty where it takes them.

    Names and datatypes must be the same, and a size that the version asks for the live one's.
    """
    mine = {spec.name: spec for spec in item.signature.inputs} if item.signature else {}
    theirs = {spec.name: spec for spec in live.inputs}
    if set(mine) != set(theirs):
        return f"takes {_named(mine)}, the live version {_named(theirs)}"
    for name, spec in mine.items():
        if not _takes(spec, theirs[name]):
            return f'takes "{name}" as {_words(spec)}, the live version as {_words(theirs[name])}'
    return ""


def _takes(spec: TensorSpec, other: TensorSpec) -> bool:
    if (spec.datatype, len(spec.shape)) != (other.datatype, len(other.shape)):
        return False
    return all(size in (-1, have) for size, have in zip(spec.shape, other.shape, strict=True))


def _named(inputs: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in sorted(inputs)) or "nothing"


def _words(spec: TensorSpec) -> str:
    shape = " × ".join("n" if size < 0 else str(size) for size in spec.shape)
    return f"{spec.datatype} {shape}"


def check_trial(
    action: str, traffic: Traffic, live: LedgerEntry | None, environment: str, model: str
) -> LedgerEntry:
    """The live entry that a trial is held against; UsageError where none can begin now."""
    if live is None:
        raise UsageError(
            f"{environment} serves no {model} yet, so there is nothing to compare with; "
            f"`mlbench promote {model} {environment}` comes first"
        )
    if traffic.canary is not None and action in (CANARY, TRAFFIC):
        raise UsageError(
            f"a canary of {model} v{traffic.canary} runs in {environment}; "
            f"`mlbench canary {model} {environment} --stop` ends it"
        )
    if traffic.shadow is not None and action == SHADOW:
        raise UsageError(
            f"{model} v{traffic.shadow} follows as a shadow in {environment}; "
            f"`mlbench shadow {model} {environment} --stop` ends it"
        )
    if traffic.weights and action == CANARY:
        raise UsageError(
            f"several versions of {model} share the requests of {environment}; "
            f"`mlbench traffic {environment} {model} --reset` gives them back to the live one"
        )
    return live


def strays(
    entries: Sequence[LedgerEntry], environment: str, traffic: Iterable[Traffic]
) -> tuple[str, int] | None:
    """The first model and version that a Deployment gives traffic and the ledger does not."""
    shared = traffic_of(entries).get(environment, {})
    for found in traffic:
        told = shared.get(found.model, Traffic(found.model))
        stray = versions_in(found) - versions_in(told)
        if stray:
            return found.model, min(stray)
    return None
