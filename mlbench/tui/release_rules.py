"""What can be done to the candidate, version or ledger entry that is looked at: pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlbench.domain.graph import with_ancestors
from mlbench.domain.release import LedgerEntry
from mlbench.domain.stages import EnvironmentSpec, Project
from mlbench.tui.reading import Released
from mlbench.tui.situation import LEDGER, Situation, no_ended_run, no_run
from mlbench.tui.words import version_of


@dataclass(frozen=True, slots=True)
class Counterpart:
    """What a candidate or version is compared with, and why with that: `production`, `before`."""

    release: Released
    place: str


def counterpart(situation: Situation) -> Counterpart | None:
    """What the row under the cursor is compared with.

    The last environment that serves another version of the model, which production is by custom;
    else the version before it.
    """
    release, project = situation.release, situation.surroundings.project
    if release is None:
        return None
    item = release.candidate
    others = [
        row
        for row in situation.releases.rows
        if row.candidate.model == item.model and row.candidate.digest != item.digest
    ]
    for environment in _latest_first(project):
        for row in others:
            if environment.name in row.environments:
                return Counterpart(row, environment.name)
    before = [row for row in others if _number(row) and (_number(row) < _number(release, 10**9))]
    return Counterpart(max(before, key=_number), "before") if before else None


def no_release(situation: Situation) -> str:
    """Why nothing can be done to a version."""
    return "" if situation.release is not None else "there is no model under the cursor"


def nothing_to_compare_with(situation: Situation) -> str:
    """Why a version stands beside no other."""
    if situation.release is None or counterpart(situation) is not None:
        return no_release(situation)
    model = situation.release.candidate.model
    return f"no other version of {model} is live, and none was before it"


def no_run_on_record(situation: Situation) -> str:
    """Why the run of what is looked at can't be opened."""
    if situation.screen == LEDGER and situation.entry is None:
        return "there is no entry under the cursor"
    if situation.screen != LEDGER and situation.release is None:
        return no_release(situation)
    return "" if situation.run is not None else "the record of its run is gone"


def not_both_runs(situation: Situation) -> str:
    """Why the runs of two versions can't be put side by side."""
    if not situation.sides:
        return "there are no two versions to compare"
    gone = [side for side in situation.sides if side.run is None]
    return f"the record of the run of {version_of(gone[0].candidate)} is gone" if gone else ""


def nothing_to_copy(situation: Situation) -> str:
    """Why nothing can be copied."""
    if situation.screen == LEDGER:
        return "" if situation.entry else "there is no entry under the cursor"
    return no_release(situation)


def no_model_of_run(situation: Situation) -> str:
    """Why nothing of a run can be exported."""
    project, run = situation.surroundings.project, situation.run
    if run is None or no_ended_run(situation):
        return no_ended_run(situation) or no_run(situation)
    if project is not None and not project.models:
        return "mlbench.toml names no model to export: add [models.NAME]"
    makers = {model.stage for model in project.models} if project else set()
    # What the list knows of a run may leave its stages out.
    if run.stages and not any(map(run.has, makers)):
        return f"{run.name} made no model: {', '.join(sorted(makers))} did not come to an end in it"
    return ""


def copies(situation: Situation) -> list[tuple[str, str]]:
    """What can be copied of what is looked at: what it is, and the text itself."""
    if situation.screen == LEDGER:
        return _copies_of_entry(situation.entry) if situation.entry else []
    release = situation.release
    if release is None:
        return []
    item = release.candidate
    version = str(item.version) if item.version is not None else item.run
    found = [("name", f"{item.model}@{version}"), ("run", item.run)]
    found.append(("digest", item.digest))
    if situation.files is not None:
        found.append(("path", str(situation.files.model)))
        if situation.files.curl:
            found.append(("curl", situation.files.curl))
    return found


def release_of(entry: LedgerEntry, rows: Sequence[Released]) -> Released | None:
    """The version that an entry is about, as far as the registry has it."""
    return next(
        (
            row
            for row in rows
            if (row.candidate.model, row.candidate.version) == (entry.model, entry.version)
        ),
        None,
    )


def _copies_of_entry(entry: LedgerEntry) -> list[tuple[str, str]]:
    name = f"{entry.model}@{entry.version}"
    found = [("name", name), ("run", entry.run), ("digest", entry.digest)]
    return [*found, ("entry", entry.checksum)]


def _latest_first(project: Project | None) -> list[EnvironmentSpec]:
    """Environments by how many others come before them, near and far, the last one first."""
    known = list(project.environments) if project else []
    needs = {item.name: frozenset(item.require) for item in known}
    depths = {name: len(with_ancestors([name], needs)) for name in needs}
    return sorted(known, key=lambda item: depths[item.name], reverse=True)


def _number(row: Released, default: int = 0) -> int:
    return default if row.candidate.version is None else row.candidate.version
