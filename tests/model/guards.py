"""The guards of the decision core, each with a way to leave it out and histories that need it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from mlbench.domain.graph import needs_of
from mlbench.domain.outcomes import ReasonKind, StageOutcome
from mlbench.domain.stages import Project, Stage
from mlbench.pipeline import builder, code, digests, fingerprint, judge, params, verdict, workspace
from mlbench.pipeline.builder import Build
from mlbench.pipeline.digests import Digests
from mlbench.pipeline.fingerprint import Fingerprinter
from mlbench.pipeline.found import Found, FoundInputs
from mlbench.pipeline.launch import Intents, Launch
from mlbench.pipeline.outs import Outs
from mlbench.pipeline.traces import Trace
from mlbench.pipeline.verdict import Verdict
from mlbench.pipeline.workspace import Workspace
from tests.model.disk import WHOLE_SECOND_NS
from tests.model.fakes import FakeStore, FakeTree, FakeVersions
from tests.model.profiles import Profile
from tests.model.runner import DiskView, Fate

LeaveOut = Callable[[pytest.MonkeyPatch], None]
_QUIET = Profile(meddling=0.0, steps=(50, 10, 5, 35, 0))
_EDITS = {"edit": 10, "undo": 10, "edit_same_size": 5}
_PACKAGES = {"edit": 1, "undo": 1, "package": 3}


@dataclass(frozen=True)
class Guard:
    """One guard: what it says, how it is left out, and histories that then break a law."""

    name: str
    leave_out: LeaveOut
    profile: Profile


def _gives(owner: object, name: str, value: object) -> LeaveOut:
    """Leave a guard out by letting one function give always the same."""

    def leave_out(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(owner, name, lambda *args, **kwargs: value)

    return leave_out


def _is(owner: object, name: str, function: object) -> LeaveOut:
    def leave_out(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(owner, name, function)

    return leave_out


def _without_part(kind: ReasonKind, what: str = "") -> LeaveOut:
    """Leave an input out of the key."""

    def leave_out(patch: pytest.MonkeyPatch) -> None:
        add = fingerprint._Taking.add

        def add_others(taking: Any, kind_: ReasonKind, what_: str, value: str) -> None:
            if kind_ is not kind or what not in ("", what_):
                add(taking, kind_, what_, value)

        patch.setattr(fingerprint._Taking, "add", add_others)

    return leave_out


def _no_racy_rule(patch: pytest.MonkeyPatch) -> None:
    for module in (digests, fingerprint, code, params):
        patch.setattr(module, "is_racy", lambda stat, begun: False)


def _every_trace_matches(traces: Iterable[Trace], found_now: object) -> tuple[Trace, ...]:
    return tuple(traces)


def _failed_opens_unseen(view: DiskView, path: str) -> str | None:
    text = view._disk.text(f"/p/{path}")
    if text is not None:
        view.reads.add(f"/p/{path}")
    return text


def _listings_unseen(view: DiskView, folder: str) -> list[str]:
    return [name for name in view._disk.names(f"/p/{folder}") if not name.endswith((".swp", "~"))]


def _no_old_outs_after(outcome: StageOutcome) -> LeaveOut:
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


def _overtaken_is_kept(patch: pytest.MonkeyPatch) -> None:
    def judge_kindly(*args: Any) -> Verdict:
        found = verdict.judge_ending(*args)
        return Verdict(StageOutcome.RAN) if found.outcome is StageOutcome.OVERTAKEN else found

    patch.setattr(builder, "judge_ending", judge_kindly)


def _hardlinked(outs: Outs, launch: Launch) -> None:
    tree = outs._tree
    assert isinstance(tree, FakeTree)
    for path in launch.moved:
        source, target = outs._root / path, outs._place(launch.stage.name) / path
        if tree.is_file(source):
            tree.disk.link(str(source), str(target))
        else:
            tree.move(source, target)


def _persisted_can_come_back(outs: Outs, stage: Stage, wanted: Mapping[str, str]) -> bool:
    now = outs.now(stage)
    return all(outs._store.has(digest) for path, digest in wanted.items() if now[path] != digest)


def _restore_rewriters(build: Build, reasons: Iterable[Any], hit: Trace) -> bool:
    only_outs = all(reason.kind is ReasonKind.OUTPUT for reason in reasons)
    return only_outs and build._workspace.outs.can_restore(build._stage, hit.outs)


def _params_by_file(taker: Fingerprinter, taking: Any, stage: Stage) -> None:
    """The whole file counts, whatever keys are named."""
    for wanted in stage.params:
        file = taker._params.file(wanted)
        taking.watched[file] = taker._tree.stat(taker._root / file)
        value = taker._digests.content(taker._root / file) or "missing"
        taking.add(ReasonKind.FILE, file, value)


def _write_late(patch: pytest.MonkeyPatch) -> None:
    """The intent comes after the renames."""
    write, set_aside = Intents.write, Outs.set_aside

    def later(intents: Intents, launch: Launch) -> int:
        return write(intents, launch) if launch.is_lost and launch.run else 0

    def aside(outs: Outs, launch: Launch) -> None:
        set_aside(outs, launch)
        write(outs._intents, launch)

    patch.setattr(Intents, "write", later)
    patch.setattr(Outs, "set_aside", aside)


def _no_exchange_written(patch: pytest.MonkeyPatch) -> None:
    write = Intents.write

    def write_runs(intents: Intents, launch: Launch) -> int:
        return write(intents, launch) if launch.run else 0

    patch.setattr(Intents, "write", write_runs)


def _declared_needs(space: Workspace, project: Project) -> dict[str, frozenset[str]]:
    return needs_of(project.stages)


def _values_at_the_end(patch: pytest.MonkeyPatch) -> None:
    keep = Build._keep

    def keep_late(build: Build, launch: Launch, found: Found, values: object) -> Trace:
        late = build._workspace.found.values(found.names, build._stage)
        return keep(build, launch, found, {**late, **found.packages})

    patch.setattr(Build, "_keep", keep_late)


def _clock_of_inputs(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(builder, "pause_until_later", lambda launch, mark, now: 0)


def _files_of_packages_unseen(patch: pytest.MonkeyPatch) -> None:
    of = FoundInputs.of

    def of_project(*args: Any) -> Found:
        return replace(of(*args), installed=frozenset())

    patch.setattr(FoundInputs, "of", of_project)


_MEDDLED = Profile(
    stages=("prepare", "train"),
    chances=_EDITS,
    steps=(50, 10, 5, 35, 0),
    meddling=0.8,
    disasters=0.0,
    fates=0.0,
    crashes=0.0,
    before_start=0.0,
)
_DYNAMIC = replace(_MEDDLED, stages=("side",))


def _reads(*statements: str) -> dict[str, Any]:
    """The sources of a stage with one of these statements, or none of them."""
    scripts = tuple(f"{statement}\n" for statement in statements)
    return {"versions": {"side.py": (*scripts, "K = 1\n")}}


_FOUND = replace(_DYNAMIC, meddling=0.0)
_CRASHES = replace(
    _MEDDLED,
    stages=("prepare", "train"),
    crashes=0.9,
    while_it_runs=0.05,
    disasters=1.0,
    fates=0.3,
    chances={**_EDITS, "tamper": 5, "branch": 10},
)
_ENDS = replace(_MEDDLED, meddling=0.9, while_it_runs=0.0)

GUARDS = (
    Guard(
        "look again before the start",
        _gives(builder, "moved_known", None),
        replace(_MEDDLED, before_start=0.9, while_it_runs=0.0),
    ),
    Guard(
        "overtaken by the stat of a known input, not its content",
        _gives(verdict, "moved_since", None),
        replace(_MEDDLED, stages=("prepare",), paths=("data/rows.txt",), chances=_EDITS),
    ),
    Guard(
        "a found input touched from the mark on",
        _gives(FoundInputs, "moved_since", None),
        replace(_DYNAMIC, **_reads("read('extra/a.txt')"), paths=("side.py", "extra/a.txt")),
    ),
    Guard(
        "the mark is later than all inputs",
        _clock_of_inputs,
        replace(
            _MEDDLED,
            granularity=WHOLE_SECOND_NS,
            stages=("prepare",),
            paths=("data/rows.txt",),
            chances={"edit_same_size": 1},
            while_it_runs=0.8,
        ),
    ),
    Guard(
        "found inputs have to match",
        _is(workspace, "valid", _every_trace_matches),
        replace(_FOUND, **_reads("read('extra/a.txt')"), paths=("extra/a.txt",)),
    ),
    Guard(
        "failed opens are found",
        _is(DiskView, "read", _failed_opens_unseen),
        replace(_FOUND, **_reads("probe('extra/b.txt')"), paths=("extra/b.txt",)),
    ),
    Guard(
        "listings are found",
        _is(DiskView, "listing", _listings_unseen),
        replace(_FOUND, **_reads("ls('extra')"), paths=("extra/c.txt",)),
    ),
    Guard(
        "outs on disk are compared",
        _gives(judge, "_explain_outs", []),
        replace(_QUIET, chances={**_EDITS, "tamper": 20}),
    ),
    Guard(
        "the racy rule",
        _no_racy_rule,
        replace(
            _QUIET,
            stages=("prepare",),
            paths=("data/rows.txt", "util.py"),
            steps=(50, 0, 25, 25, 0),
            chances={"edit_same_size": 1},
        ),
    ),
    Guard(
        "stale bytecode is dropped",
        _gives(builder, "drop_stale_bytecode", []),
        replace(
            _QUIET,
            stages=("prepare",),
            paths=("util.py",),
            chances={"edit_same_size": 1, "edit_keeping_mtime": 1},
        ),
    ),
    Guard(
        "bytecode of a module that nobody foresaw",
        _gives(Build, "_ran_old_code", None),
        replace(
            _FOUND,
            **_reads("load('plug')"),
            paths=("side.py", "plug.py"),
            chances={"edit": 3, "edit_same_size": 3, "edit_keeping_mtime": 3},
        ),
    ),
    Guard(
        "old outs come back after a failure",
        _no_old_outs_after(StageOutcome.FAILED),
        replace(_ENDS, fates=0.5),
    ),
    Guard(
        "old outs come back when it was stopped",
        _no_old_outs_after(StageOutcome.CANCELLED),
        replace(_ENDS, disasters=3.0),
    ),
    Guard(
        "old outs come back when it was overtaken",
        _no_old_outs_after(StageOutcome.OVERTAKEN),
        _MEDDLED,
    ),
    Guard("what was overtaken is not kept", _overtaken_is_kept, _MEDDLED),
    Guard(
        "outs are set aside by rename",
        _is(Outs, "set_aside", _hardlinked),
        replace(_ENDS, fates=0.5),
    ),
    Guard(
        "what persists is never restored",
        _is(Outs, "can_restore", _persisted_can_come_back),
        replace(
            _QUIET, stages=("prepare", "fit"), paths=("fit.py", "data/side.txt"), chances=_EDITS
        ),
    ),
    Guard(
        "what rewrites its input is never restored",
        _is(Build, "_is_restorable", _restore_rewriters),
        replace(
            _QUIET,
            stages=("prepare", "fit"),
            paths=("fit.py", "data/side.txt"),
            chances={**_EDITS, "tamper": 10},
        ),
    ),
    Guard(
        "params count by key",
        _is(Fingerprinter, "_take_params", _params_by_file),
        replace(_QUIET, stages=("prepare",), chances={"param": 1}),
    ),
    Guard(
        "params count",
        _without_part(ReasonKind.PARAM),
        replace(_QUIET, stages=("prepare",), chances={"param": 1}),
    ),
    Guard(
        "the version of the params that was read",
        _gives(verdict, "_moved_params", None),
        replace(_MEDDLED, chances={"param": 1}),
    ),
    Guard(
        "code counts by its syntax tree",
        _is(Digests, "meaning", Digests.content),
        replace(_QUIET, stages=("prepare",), paths=("prepare.py", "util.py"), chances=_EDITS),
    ),
    Guard(
        "packages count",
        _gives(FakeVersions, "seen", {}),
        replace(_FOUND, **_reads("import alpha"), paths=("side.py",), chances=_PACKAGES),
    ),
    Guard(
        "files of packages count like found inputs",
        _files_of_packages_unseen,
        replace(_DYNAMIC, **_reads("import alpha"), paths=("side.py",), chances=_PACKAGES),
    ),
    Guard(
        "the interpreter counts",
        _without_part(ReasonKind.PYTHON),
        replace(_QUIET, stages=("prepare",), chances={"python": 1}),
    ),
    Guard(
        "env counts",
        _without_part(ReasonKind.ENV),
        replace(_QUIET, stages=("prepare",), chances={"env": 1}),
    ),
    Guard(
        "the command counts",
        _without_part(ReasonKind.COMMAND, "cmd"),
        replace(_QUIET, stages=("prepare",), chances={"command": 1}),
    ),
    Guard(
        "out paths count",
        _without_part(ReasonKind.COMMAND, "outs"),
        replace(_QUIET, stages=("prepare",), chances={"outs": 1, "tamper": 1}),
    ),
    Guard(
        "the intent before the renames",
        _write_late,
        replace(
            _CRASHES,
            stages=("prepare",),
            paths=("util.py",),
            while_it_runs=0.0,
            fates=0.0,
            disasters=0.0,
            crash_within=150,
        ),
    ),
    Guard(
        "a restore has its intent",
        _no_exchange_written,
        replace(
            _CRASHES,
            stages=("prepare",),
            paths=("util.py",),
            while_it_runs=0.0,
            fates=0.0,
            disasters=0.0,
            crash_within=150,
        ),
    ),
    Guard(
        "that outs are lost is written down before the old ones come back",
        _gives(Intents, "lose", None),
        replace(
            _CRASHES,
            crashes=0.0,
            crashes_at_end=1.0,
            fates=0.9,
            disasters=0.0,
            while_it_runs=0.0,
            kinds_of_fate=(Fate.FORGETS_OUT,),
        ),
    ),
    Guard(
        "the store checks what it keeps",
        _gives(FakeStore, "keeps", True),
        replace(_MEDDLED, stages=("prepare",), while_it_runs=0.0, tampers=0.5),
    ),
    Guard(
        "what a restore replaces is kept",
        _gives(Outs, "_keep_aside", None),
        replace(_QUIET, stages=("prepare",), chances={**_EDITS, "tamper": 20}),
    ),
    Guard(
        "a traced read is an edge",
        _is(Workspace, "needs", _declared_needs),
        replace(
            _QUIET, stages=("prepare", "side"), chances=_EDITS, paths=("side.py", "data/rows.txt")
        ),
    ),
    Guard(
        "found inputs are noted before the last look",
        _values_at_the_end,
        replace(
            _DYNAMIC,
            while_it_runs=0.0,
            **_reads("read('extra/a.txt')"),
            paths=("extra/a.txt",),
            chances={"edit": 1},
        ),
    ),
)
