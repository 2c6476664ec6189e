"""How each guard of the decision core is left out: one named function of it is another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlbench.domain.graph import needs_of
from mlbench.domain.outcomes import ReasonKind, StageOutcome
from mlbench.domain.stages import Project, Stage
from mlbench.pipeline import builder, code, digests, fingerprint, params, verdict
from mlbench.pipeline.builder import Build
from mlbench.pipeline.fingerprint import Fingerprinter
from mlbench.pipeline.found import Found, FoundInputs
from mlbench.pipeline.launch import Intents, Launch
from mlbench.pipeline.outs import Outs
from mlbench.pipeline.traces import Trace
from mlbench.pipeline.verdict import Verdict
from mlbench.pipeline.workspace import Workspace
from tests.model.fakes import FakeTree
from tests.model.runner import DiskView

LeaveOut = Callable[[pytest.MonkeyPatch], None]


def gives(owner: object, name: str, value: object) -> LeaveOut:
    """Leave a guard out by letting one function give always the same."""

    def leave_out(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(owner, name, lambda *args, **kwargs: value)

    return leave_out


def uses(owner: object, name: str, function: object) -> LeaveOut:
    def leave_out(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(owner, name, function)

    return leave_out


def without_part(kind: ReasonKind, what: str = "") -> LeaveOut:
    """Leave an input out of the key."""

    def leave_out(patch: pytest.MonkeyPatch) -> None:
        add = fingerprint._Taking.add

        def add_others(taking: Any, kind_: ReasonKind, what_: str, value: str) -> None:
            if kind_ is not kind or what not in ("", what_):
                add(taking, kind_, what_, value)

        patch.setattr(fingerprint._Taking, "add", add_others)

    return leave_out


def no_racy_rule(patch: pytest.MonkeyPatch) -> None:
    for module in (digests, fingerprint, code, params):
        patch.setattr(module, "is_racy", lambda stat, begun: False)


def every_trace_matches(traces: Iterable[Trace], found_now: object) -> tuple[Trace, ...]:
    return tuple(traces)


def failed_opens_unseen(view: DiskView, path: str) -> str | None:
    text = view._disk.text(f"/p/{path}")
    if text is not None:
        view.reads.add(f"/p/{path}")
    return text


def listings_unseen(view: DiskView, folder: str) -> list[str]:
    return [name for name in view._disk.names(f"/p/{folder}") if not name.endswith((".swp", "~"))]


def no_old_outs_after(outcome: StageOutcome) -> LeaveOut:
    """What this outcome leaves stays where the old outs were."""

    def leave_out(patch: pytest.MonkeyPatch) -> None:
        last: list[StageOutcome] = []
        put_back = Outs.put_back

        def note(*args: Any) -> Verdict:
            found = verdict.judge_ending(*args)
            last[:] = [found.outcome]
            return found

        def lose(outs: Outs, launch: Launch, keep_in: Path | None = None) -> None:
            if keep_in is not None and last == [outcome]:
                outs.forget(launch.stage)
            else:
                put_back(outs, launch, keep_in)

        patch.setattr(builder, "judge_ending", note)
        patch.setattr(Outs, "put_back", lose)

    return leave_out


def overtaken_is_kept(patch: pytest.MonkeyPatch) -> None:
    def judge_kindly(*args: Any) -> Verdict:
        found = verdict.judge_ending(*args)
        return Verdict(StageOutcome.RAN) if found.outcome is StageOutcome.OVERTAKEN else found

    patch.setattr(builder, "judge_ending", judge_kindly)


def hardlinked(outs: Outs, launch: Launch) -> None:
    tree = outs._tree
    assert isinstance(tree, FakeTree)
    for path in launch.moved:
        source, target = outs._root / path, outs._place(launch.stage.name) / path
        if tree.is_file(source):
            tree.disk.link(str(source), str(target))
        else:
            tree.move(source, target)


def persisted_can_come_back(outs: Outs, stage: Stage, wanted: Mapping[str, str]) -> bool:
    now = outs.now(stage)
    return all(outs._store.has(digest) for path, digest in wanted.items() if now[path] != digest)


def restore_rewriters(build: Build, reasons: Iterable[Any], hit: Trace) -> bool:
    only_outs = all(reason.kind is ReasonKind.OUTPUT for reason in reasons)
    return only_outs and build._workspace.outs.can_restore(build._stage, hit.outs)


def params_by_file(taker: Fingerprinter, taking: Any, stage: Stage) -> None:
    """The whole file counts, whatever keys are named."""
    for wanted in stage.params:
        file = taker._params.file(wanted)
        taking.watched[file] = taker._tree.stat(taker._root / file)
        value = taker._digests.content(taker._root / file) or "missing"
        taking.add(ReasonKind.FILE, file, value)


def write_late(patch: pytest.MonkeyPatch) -> None:
    """The intent comes after the renames."""
    write, set_aside = Intents.write, Outs.set_aside

    def later(intents: Intents, launch: Launch) -> int:
        return write(intents, launch) if launch.is_lost and launch.run else 0

    def aside(outs: Outs, launch: Launch) -> None:
        set_aside(outs, launch)
        write(outs._intents, launch)

    patch.setattr(Intents, "write", later)
    patch.setattr(Outs, "set_aside", aside)


def no_exchange_written(patch: pytest.MonkeyPatch) -> None:
    write = Intents.write

    def write_runs(intents: Intents, launch: Launch) -> int:
        return write(intents, launch) if launch.run else 0

    patch.setattr(Intents, "write", write_runs)


def declared_needs(space: Workspace, project: Project) -> dict[str, frozenset[str]]:
    return needs_of(project.stages)


def values_at_the_end(patch: pytest.MonkeyPatch) -> None:
    keep = Build._keep

    def keep_late(build: Build, launch: Launch, found: Found, values: object) -> Trace:
        late = build._workspace.found.values(found.names, build._stage)
        return keep(build, launch, found, {**late, **found.packages})

    patch.setattr(Build, "_keep", keep_late)


def clock_of_inputs(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(builder, "pause_until_later", lambda launch, mark, now: 0)


def files_of_packages_unseen(patch: pytest.MonkeyPatch) -> None:
    of = FoundInputs.of

    def of_project(*args: Any) -> Found:
        return replace(of(*args), installed=frozenset())

    patch.setattr(FoundInputs, "of", of_project)
