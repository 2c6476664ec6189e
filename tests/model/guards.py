"""The guards of the decision core, each with a way to leave it out and histories that need it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from mlbench.domain.outcomes import ReasonKind, StageOutcome
from mlbench.pipeline import builder, judge, verdict, workspace
from mlbench.pipeline.builder import Build
from mlbench.pipeline.digests import Digests
from mlbench.pipeline.fingerprint import Fingerprinter
from mlbench.pipeline.found import FoundInputs
from mlbench.pipeline.launch import Intents
from mlbench.pipeline.outs import Outs
from mlbench.pipeline.workspace import Workspace
from tests.model import leaving_out as out
from tests.model.disk import WHOLE_SECOND_NS
from tests.model.fakes import FakeStore, FakeVersions
from tests.model.profiles import Profile
from tests.model.runner import DiskView, Fate

_QUIET = Profile(meddling=0.0, steps=(50, 10, 5, 35, 0))
_EDITS = {"edit": 10, "undo": 10, "edit_same_size": 5}
_PACKAGES = {"edit": 1, "undo": 1, "package": 3}


@dataclass(frozen=True)
class Guard:
    """One guard: what it says, how it is left out, and histories that then break a law."""

    name: str
    leave_out: out.LeaveOut
    profile: Profile


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
        out.gives(builder, "moved_known", None),
        replace(_MEDDLED, before_start=0.9, while_it_runs=0.0),
    ),
    Guard(
        "overtaken by the stat of a known input, not its content",
        out.gives(verdict, "moved_since", None),
        replace(_MEDDLED, stages=("prepare",), paths=("data/rows.txt",), chances=_EDITS),
    ),
    Guard(
        "a found input touched from the mark on",
        out.gives(FoundInputs, "moved_since", None),
        replace(_DYNAMIC, **_reads("read('extra/a.txt')"), paths=("side.py", "extra/a.txt")),
    ),
    Guard(
        "the mark is later than all inputs",
        out.clock_of_inputs,
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
        out.uses(workspace, "valid", out.every_trace_matches),
        replace(_FOUND, **_reads("read('extra/a.txt')"), paths=("extra/a.txt",)),
    ),
    Guard(
        "failed opens are found",
        out.uses(DiskView, "read", out.failed_opens_unseen),
        replace(_FOUND, **_reads("probe('extra/b.txt')"), paths=("extra/b.txt",)),
    ),
    Guard(
        "listings are found",
        out.uses(DiskView, "listing", out.listings_unseen),
        replace(_FOUND, **_reads("ls('extra')"), paths=("extra/c.txt",)),
    ),
    Guard(
        "outs on disk are compared",
        out.gives(judge, "_explain_outs", []),
        replace(_QUIET, chances={**_EDITS, "tamper": 20}),
    ),
    Guard(
        "the racy rule",
        out.no_racy_rule,
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
        out.gives(builder, "drop_stale_bytecode", []),
        replace(
            _QUIET,
            stages=("prepare",),
            paths=("util.py",),
            chances={"edit_same_size": 1, "edit_keeping_mtime": 1},
        ),
    ),
    Guard(
        "bytecode of a module that nobody foresaw",
        out.gives(builder, "ran_old_code", None),
        replace(
            _FOUND,
            **_reads("load('plug')"),
            paths=("side.py", "plug.py"),
            chances={"edit": 3, "edit_same_size": 3, "edit_keeping_mtime": 3},
        ),
    ),
    Guard(
        "old outs come back after a failure",
        out.no_old_outs_after(StageOutcome.FAILED),
        replace(_ENDS, fates=0.5),
    ),
    Guard(
        "old outs come back when it was stopped",
        out.no_old_outs_after(StageOutcome.CANCELLED),
        replace(_ENDS, disasters=3.0),
    ),
    Guard(
        "old outs come back when it was overtaken",
        out.no_old_outs_after(StageOutcome.OVERTAKEN),
        _MEDDLED,
    ),
    Guard("what was overtaken is not kept", out.overtaken_is_kept, _MEDDLED),
    Guard(
        "outs are set aside by rename",
        out.uses(Outs, "set_aside", out.hardlinked),
        replace(_ENDS, fates=0.5),
    ),
    Guard(
        "what persists is never restored",
        out.uses(Outs, "can_restore", out.persisted_can_come_back),
        replace(
            _QUIET, stages=("prepare", "fit"), paths=("fit.py", "data/side.txt"), chances=_EDITS
        ),
    ),
    Guard(
        "what rewrites its input is never restored",
        out.uses(Build, "_is_restorable", out.restore_rewriters),
        replace(
            _QUIET,
            stages=("prepare", "fit"),
            paths=("fit.py", "data/side.txt"),
            chances={**_EDITS, "tamper": 10},
        ),
    ),
    Guard(
        "params count by key",
        out.uses(Fingerprinter, "_take_params", out.params_by_file),
        replace(_QUIET, stages=("prepare",), chances={"param": 1}),
    ),
    Guard(
        "params count",
        out.without_part(ReasonKind.PARAM),
        replace(_QUIET, stages=("prepare",), chances={"param": 1}),
    ),
    Guard(
        "the version of the params that was read",
        out.gives(verdict, "_moved_params", None),
        replace(_MEDDLED, chances={"param": 1}),
    ),
    Guard(
        "code counts by its syntax tree",
        out.uses(Digests, "meaning", Digests.content),
        replace(_QUIET, stages=("prepare",), paths=("prepare.py", "util.py"), chances=_EDITS),
    ),
    Guard(
        "packages count",
        out.gives(FakeVersions, "seen", {}),
        replace(_FOUND, **_reads("import alpha"), paths=("side.py",), chances=_PACKAGES),
    ),
    Guard(
        "files of packages count like found inputs",
        out.files_of_packages_unseen,
        replace(_DYNAMIC, **_reads("import alpha"), paths=("side.py",), chances=_PACKAGES),
    ),
    Guard(
        "the interpreter counts",
        out.without_part(ReasonKind.PYTHON),
        replace(_QUIET, stages=("prepare",), chances={"python": 1}),
    ),
    Guard(
        "env counts",
        out.without_part(ReasonKind.ENV),
        replace(_QUIET, stages=("prepare",), chances={"env": 1}),
    ),
    Guard(
        "the command counts",
        out.without_part(ReasonKind.COMMAND, "cmd"),
        replace(_QUIET, stages=("prepare",), chances={"command": 1}),
    ),
    Guard(
        "the working directory counts",
        out.without_part(ReasonKind.COMMAND, "wdir"),
        replace(_QUIET, stages=("where",), chances={"wdir": 1}),
    ),
    Guard(
        "deps count",
        out.without_part(ReasonKind.FILE),
        replace(_QUIET, stages=("prepare",), paths=("data/rows.txt",), chances=_EDITS),
    ),
    Guard(
        "code that is reached by import counts",
        out.without_part(ReasonKind.CODE),
        replace(_QUIET, stages=("prepare",), paths=("util.py",), chances=_EDITS),
    ),
    Guard(
        "out paths count",
        out.without_part(ReasonKind.COMMAND, "outs"),
        replace(_QUIET, stages=("prepare",), chances={"outs": 1, "tamper": 1}),
    ),
    Guard(
        "the intent before the renames",
        out.write_late,
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
        out.no_exchange_written,
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
        out.gives(Intents, "lose", None),
        replace(
            _CRASHES,
            stages=("prepare",),
            paths=("util.py",),
            chances={**_EDITS, "outs": 2},
            crashes=0.0,
            crashes_at_end=0.9,
            crash_within=300,
            disasters=0.0,
            while_it_runs=0.0,
            fates=0.9,
            kinds_of_fate=(Fate.FORGETS_OUT, Fate.NONE),
        ),
    ),
    Guard(
        "the store checks what it keeps",
        out.gives(FakeStore, "keeps", True),
        replace(_MEDDLED, stages=("prepare",), while_it_runs=0.0, tampers=0.5),
    ),
    Guard(
        "what a restore replaces is kept",
        out.gives(Outs, "_keep_aside", None),
        replace(_QUIET, stages=("prepare",), chances={**_EDITS, "tamper": 20}),
    ),
    Guard(
        "a traced read is an edge",
        out.uses(Workspace, "needs", out.declared_needs),
        replace(
            _QUIET, stages=("prepare", "side"), chances=_EDITS, paths=("side.py", "data/rows.txt")
        ),
    ),
    Guard(
        "found inputs are noted before the last look",
        out.values_at_the_end,
        replace(
            _DYNAMIC,
            while_it_runs=0.0,
            **_reads("read('extra/a.txt')"),
            paths=("extra/a.txt",),
            chances={"edit": 1},
        ),
    ),
)
