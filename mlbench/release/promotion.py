"""Which model goes where, and whether it may: pure decisions over ledger, registry and gates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mlbench.domain.errors import GateRefusedError, MlbenchError, UsageError
from mlbench.domain.ledger import history_of, live, traffic_of, was_live
from mlbench.domain.release import Candidate, DeployedModel, Deployment, GateResult, LedgerEntry
from mlbench.domain.stages import EnvironmentSpec
from mlbench.release.gates import hold
from mlbench.release.sharing import beside_live

PRODUCTION = "production"


def choose(
    model: str,
    which: str | None,
    environment: EnvironmentSpec,
    *,
    candidates: Sequence[Candidate],
    versions: Sequence[Candidate],
    entries: Sequence[LedgerEntry],
    force: bool = False,
) -> Candidate:
    """The candidate or version to promote; UsageError where there is none.

    Without `which`: what the required environment serves, else the newest candidate whose gates
    held; with `force` the newest where there is neither. After @, digits alone are a version,
    anything else is a run's id.
    """
    if which is not None and which.isdecimal():
        return _version(model, int(which), versions)
    if which is not None:
        return _of_run(model, which, [*candidates, *versions])
    if environment.require:
        required = environment.require[-1]
        entry = live(entries).get(required, {}).get(model)
        if entry is not None:
            return _version(model, entry.version, versions)
        if not force:
            raise UsageError(
                f"environments.{environment.name}.require: {required} serves no {model} yet; "
                f"`mlbench promote {model} {required}` comes first"
            )
    return _newest(model, [*candidates, *versions], force=force)


def _newest(model: str, known: Iterable[Candidate], *, force: bool) -> Candidate:
    known = sorted(known, key=lambda item: item.created, reverse=True)
    passing = [item for item in known if hold(item.gates)]
    if passing or (known and force):
        return (passing or known)[0]
    if known:
        refused = next(result for result in known[0].gates if result.refuses)
        raise GateRefusedError(
            f"{model}: no candidate passes its gates; the newest misses {phrase(refused)}"
        )
    raise UsageError(f"{model}: there is no candidate yet; a passing run makes one (`mlbench run`)")


def objections(
    candidate: Candidate,
    gates: Iterable[GateResult],
    environment: EnvironmentSpec,
    entries: Iterable[LedgerEntry],
    *,
    dirty: bool,
    allow_dirty: bool,
    promotes: bool = True,
) -> tuple[str, ...]:
    """What speaks against giving a version requests, a sentence each, the weightiest first.

    Gates that do not hold today, an environment that it has not been in, uncommitted code. Without
    `promotes` it would only share them with what is live.
    """
    entries = tuple(entries)
    name, run = candidate.model, candidate.run
    shared = f"gets no requests in {environment.name}"
    refused = "is not promoted" if promotes else shared
    refused_there = f"is not promoted to {environment.name}" if promotes else shared
    found = [f"{name} of run {run} {refused}: {phrase(gate)}" for gate in gates if gate.refuses]
    found += [
        f"{name} {refused_there}: it has not been in {required}; "
        f"`mlbench promote {name}@{run} {required}` first"
        for required in environment.require
        if not was_live(entries, required, candidate.digest)
    ]
    is_guarded = bool(environment.require) or environment.name == PRODUCTION
    if is_guarded and dirty and not allow_dirty:
        found.append(
            f"{name} {refused_there}: run {run} is from uncommitted code; commit it "
            "(nothing has to run again), or say --allow-dirty"
        )
    return tuple(found)


def phrase(result: GateResult) -> str:
    """`accuracy >= 0.95 (0.912, missed by 0.038)`."""
    value = "" if result.value is None else f"{result.value:.6g}, "
    return f"{result.gate} ({value}{result.why or 'does not hold'})"


def previous_version(
    entries: Iterable[LedgerEntry], environment: str, model: str
) -> tuple[LedgerEntry, LedgerEntry]:
    """The live entry and the one before it; UsageError where there is nothing to go back to."""
    standing = history_of(entries, environment, model)
    if len(standing) < 2:
        live_now = f"only version {standing[-1].version}" if standing else "nothing"
        raise UsageError(
            f"{environment}: there is nothing to roll back to: it has had {live_now} of {model}"
        )
    return standing[-1], standing[-2]


def deployment_of(
    environment: EnvironmentSpec,
    entries: Sequence[LedgerEntry],
    versions: Mapping[tuple[str, int], tuple[Candidate, str]],
    *,
    order: int = 0,
    staged: Sequence[DeployedModel] = (),
    before: Sequence[DeployedModel] = (),
) -> Deployment:
    """What the ledger says an environment serves; `versions` gives facts and model files.

    A model of another format than ONNX is live without being served. One that has gone from the
    registry stays as it was deployed `before`: the server has it in memory, and other models, or
    another version of it, can still be promoted. MlbenchError where it was not; what is lost
    beside a live version is left out.
    """
    name = environment.name

    def find(model: str, number: int) -> DeployedModel | None:
        if (model, number) in versions:
            return deployed_model(*versions[model, number])
        return next((one for one in before if (one.name, one.version) == (model, number)), None)

    models = []
    for model, entry in sorted(live(entries).get(name, {}).items()):
        found = find(model, entry.version)
        is_lost = (model, entry.version) not in versions
        if is_lost and (found is None or found.digest != entry.digest):
            raise _lost(entry)
        models += [found] if found else []
    beside, traffic = beside_live(models, traffic_of(entries).get(name, {}), find)
    last = max((entry.sequence for entry in entries if entry.environment == name), default=0)
    return Deployment(
        name,
        environment.port,
        last,
        tuple(models),
        tuple(staged),
        order,
        entries[-1].checksum if entries else "",
        len(entries),
        beside,
        traffic,
        environment.settings,
        environment.canary,
        environment.shadow,
    )


def _lost(entry: LedgerEntry) -> MlbenchError:
    name, number = entry.model, entry.version
    return MlbenchError(
        f"{name} v{number} is live in {entry.environment} by the ledger, but "
        f".mlbench/models/{name}/{number} is missing or damaged; bring that folder "
        f"back from a backup, or promote another version of {name}"
    )


def deployed_model(version: Candidate, path: str) -> DeployedModel | None:
    """A version as a server takes it; None where its format is not served."""
    if version.signature is None:
        return None
    return DeployedModel(
        name=version.model,
        version=version.version or 0,
        digest=version.digest,
        run=version.run,
        path=path,
        signature=version.signature,
        timings=version.timings,
    )


def _version(model: str, number: int, versions: Sequence[Candidate]) -> Candidate:
    for item in versions:
        if item.version == number:
            return item
    known = ", ".join(str(item.version) for item in versions) or "none"
    raise UsageError(f"{model}@{number}: there is no such version; there are: {known}")


def _of_run(model: str, run: str, known: Sequence[Candidate]) -> Candidate:
    for item in known:
        if item.run == run:
            return item
    raise UsageError(
        f"{model}@{run}: this run has no exported model any more (the last five are kept) "
        f"or its gates did not hold; `mlbench export {run}` exports it by hand"
    )
