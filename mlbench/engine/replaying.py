"""Logged requests, asked again of a candidate or version in a process of its own."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from mlbench.domain.errors import MlbenchError, ServingError, UsageError
from mlbench.domain.serving import Replayed

if TYPE_CHECKING:
    from mlbench.domain.release import Candidate
    from mlbench.engine.queries import Queries

PRODUCTION = "production"
_REPLAY_SECONDS = 600.0


def replay(
    queries: Queries,
    model: str | None,
    which: str | None = None,
    *,
    last: int = 1000,
    environment: str | None = None,
    stop: threading.Event | None = None,
) -> Replayed:
    """Ask a candidate or version what an environment was asked last, and compare the answers.

    Without `environment` it is production where that has requests for the model, else the first
    that has some. It runs in a child with limits. UsageError where there is no such candidate or no
    request, ServingError where the version can't be loaded or the child ends badly.
    """
    from mlbench.engine.releases import find_environment, find_model

    project = queries.project()
    name = find_model(project, model).name
    asked_in = environment or _asked_in(queries, name)
    chosen = _chosen(queries, name, which, find_environment(project, asked_in).name)
    return _replay_in_child(queries, chosen, asked_in, last, stop)


def _asked_in(queries: Queries, model: str) -> str:
    """The environment whose requests are replayed; UsageError where none has any."""
    from mlbench.serving.requests.reader import newest_kept

    names = [item.name for item in queries.project().environments]
    for name in sorted(names, key=lambda name: name != PRODUCTION):
        if next(newest_kept(queries.layout.requests(name), model), None) is not None:
            return name
    raise UsageError(
        f"no environment has a logged request for {model}; "
        "`mlbench predict` or any client makes some"
    )


def _chosen(queries: Queries, model: str, which: str | None, environment: str) -> Candidate:
    """What would be promoted there by the same words, whatever its gates say."""
    from mlbench.engine.releases import find_environment
    from mlbench.release.promotion import choose
    from mlbench.release.registry import Registry

    if which is not None and not which.isdecimal():
        which = queries.run(f"@{which}" if which in ("last", "best") else which).id
    registry = Registry(queries.layout.models)
    return choose(
        model,
        which,
        find_environment(queries.project(), environment),
        candidates=registry.candidates(model),
        versions=registry.versions(model),
        entries=queries.ledger(),
        force=True,
    )


def _replay_in_child(
    queries: Queries, chosen: Candidate, environment: str, last: int, stop: threading.Event | None
) -> Replayed:
    from mlbench.domain.plain import from_plain, to_plain
    from mlbench.release.limited import Limits, run_limited
    from mlbench.release.promotion import deployed_model
    from mlbench.release.registry import Registry
    from mlbench.serving.python_path import variables
    from mlbench.serving.requests.replay import RESULT_NAME, Job, command_for
    from mlbench.system.files import read_json, write_json

    layout = queries.layout
    registry = Registry(layout.models)
    deployed = deployed_model(chosen, str(registry.file_of(chosen)))
    if deployed is None:
        raise UsageError(f"{chosen.model} is released as a file, and can't be asked")
    classes = {
        str(item.version): item.signature.classes
        for item in registry.versions(chosen.model)
        if item.signature is not None
    }
    log = layout.requests(environment).resolve()
    with tempfile.TemporaryDirectory(prefix="mlbench-replay-") as folder:
        place = Path(folder).resolve()
        job, said = place / "job.json", place / "said.log"
        write_json(job, to_plain(Job(str(log), deployed, last, environment, classes)))
        ending = run_limited(
            command_for(job),
            cwd=place,
            env=variables(),
            log=said,
            mark=place,
            limits=Limits.of_machine(_REPLAY_SECONDS),
            stop=stop,
        )
        found = read_json(place / RESULT_NAME)
        if not isinstance(found, dict):
            words = said.read_text(errors="replace").strip().splitlines()
            last_words = f": {words[-1][:300]}" if words else ""
            raise ServingError(f"replaying on {_named(chosen)} {ending.said}{last_words}")
    if "problem" in found:
        raise ServingError(str(found["problem"]))
    replayed = from_plain(Replayed, found)
    if not replayed.asked:
        raise MlbenchError(f"{environment} has no answered request for {chosen.model} in its log")
    return replayed


def _named(candidate: Candidate) -> str:
    number = candidate.version
    return f"{candidate.model} v{number}" if number else f"{candidate.model} of {candidate.run}"
