"""One candidate or version as a face shows it: found by its name, its card, its state on disk."""

from __future__ import annotations

from mlbench.domain.errors import UsageError, nearest
from mlbench.domain.release import Candidate
from mlbench.engine.queries import ModelRow, Queries
from mlbench.release.registry import Registry

_NEWEST_RUNS = ("last", "best", "baseline")


def find_row(queries: Queries, name: str) -> ModelRow:
    """The candidate or version of MODEL@VERSION, MODEL@RUN or MODEL@ENVIRONMENT.

    MODEL alone is its highest version, or its newest candidate. UsageError where there is none.
    """
    model, _, which = name.partition("@")
    rows = rows_of(queries, model)
    if not which:
        versions = [row for row in rows if row.candidate.version is not None]
        return (versions or rows)[0]
    for row in rows:
        if which == str(row.candidate.version) or which in row.environments:
            return row
    if which.isdecimal():
        known = ", ".join(str(row.candidate.version) for row in rows if row.candidate.version)
        damage = Registry(queries.layout.models).damaged(model).get(int(which))
        problem = f"is damaged: {damage}" if damage else f"does not exist; there are: {known or 0}"
        raise UsageError(f"{name}: this version {problem}")
    return _of_run(queries, name, which, rows)


def rows_of(queries: Queries, model: str) -> list[ModelRow]:
    """A model's candidates, newest first, then its versions, highest first; UsageError if none."""
    everything = queries.models()
    rows = [row for row in everything if row.candidate.model == model]
    if not rows:
        names = {row.candidate.model for row in everything}
        listed = ", ".join(sorted(names)) or "none; a run that passes its gates makes a candidate"
        raise UsageError(
            f'there is no candidate or version of "{model}"{nearest(model, names)}; '
            f"there are those of: {listed}"
        )
    return rows


def damaged_versions(queries: Queries) -> dict[str, dict[int, str]]:
    """What is wrong with versions, by model and number; every file of every version is read."""
    registry = Registry(queries.layout.models)
    found = {model: registry.damaged(model) for model in registry.models()}
    return {model: damaged for model, damaged in found.items() if damaged}


def damage_of(queries: Queries, candidate: Candidate) -> str:
    """What is wrong with a candidate or version, empty where it is whole; reads every file."""
    return Registry(queries.layout.models).damage_of(candidate)


def card_of(queries: Queries, candidate: Candidate) -> str:
    """The model card as of now, in Markdown."""
    return Registry(queries.layout.models).card(candidate)


def write_words(queries: Queries, candidate: Candidate, words: str) -> None:
    """Put words of whoever knows the model into its card, in place of those before."""
    Registry(queries.layout.models).write_words(candidate, words)


def files_of(queries: Queries, candidate: Candidate) -> dict[str, int]:
    """The files of a candidate's or version's folder with their bytes."""
    return Registry(queries.layout.models).files(candidate)


def _of_run(queries: Queries, name: str, which: str, rows: list[ModelRow]) -> ModelRow:
    run = queries.run(f"@{which}" if which in _NEWEST_RUNS else which)
    for row in rows:
        if row.candidate.run == run.id:
            return row
    raise UsageError(
        f"{name}: run {run.name} has no candidate or version; "
        f"`mlbench export {run.name}` exports it by hand"
    )
