"""What became of a stage whose commands have ended."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlbench.domain.errors import ProjectFileError
from mlbench.domain.outcomes import StageOutcome
from mlbench.domain.stages import Project
from mlbench.pipeline.bytecode import drop_stale_bytecode
from mlbench.pipeline.fingerprint import moved_since
from mlbench.pipeline.found import Found, FoundInputs, path_of
from mlbench.pipeline.launch import Launch, stats_in
from mlbench.pipeline.results import failed_tests
from mlbench.pipeline.tree import Stat, Tree
from mlbench.pipeline.workspace import Workspace
from mlbench.system.processes import StageExit

_ERROR_LINE = re.compile(rb"^(?:\w+\.)*\w*(?:Error|Exception|Interrupt|Exit)\b.*", re.MULTILINE)
_TAIL_BYTES = 8192


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome with its sentence; `moved` is the input that overtook it."""

    outcome: StageOutcome
    message: str = ""
    moved: str | None = None
    moved_by_itself: bool = False


def judge_ending(
    space: Workspace,
    project: Project,
    launch: Launch,
    ending: StageExit,
    found: Found,
    params_read: Mapping[str, frozenset[Stat]],
    stopping: StageOutcome | None,
) -> Verdict:
    """The verdict on what a stage left, before anything is kept of it."""
    moved = moved_input(space, project, launch, found, params_read)
    if moved is not None:
        message = f"{moved} changed while it ran"
        return Verdict(StageOutcome.OVERTAKEN, message, moved, moved in found.touched)
    if stopping is not None or ending.stopped:
        return Verdict(stopping or StageOutcome.CANCELLED, "was stopped")
    if ending.timed_out:
        limit = launch.stage.timeout or 0.0
        return Verdict(StageOutcome.FAILED, f"took longer than its timeout of {limit:g} s")
    if not ending.succeeded:
        return Verdict(StageOutcome.FAILED, _why_failed(space, launch, ending))
    missing = space.outs.missing(launch.stage)
    if missing:
        return Verdict(StageOutcome.FAILED, f'ended well but did not write its out "{missing[0]}"')
    return Verdict(StageOutcome.RAN)


def moved_input(
    space: Workspace,
    project: Project,
    launch: Launch,
    found: Found,
    params_read: Mapping[str, frozenset[Stat]],
) -> str | None:
    """The input that moved under the stage: what it began with, or what it was found to read."""
    read = {path_of(name) for name in found.names}
    # What it read the last time but not now is no input of this run; nor is what it wrote itself.
    seen = {
        name: stat
        for name, stat in stats_in(launch.seen_before).items()
        if name in read and name not in found.written
    }
    mark, watched = space.intents.mark(launch.stage.name), launch.fingerprint.watched
    return (
        moved_since(space.tree, space.root, {**seen, **watched})
        or _moved_values(space.found, launch, found)
        or space.found.moved_since(mark, found, launch.stage, launch.settled)
        or _moved_params(space.tree, space.root, launch, found.traced, params_read)
        or changed_part(space, project, launch)
    )


def moved_known(space: Workspace, project: Project, launch: Launch) -> str | None:
    """The input that moved since the launch, as far as is known before the stage has ended."""
    watched = {**stats_in(launch.seen_before), **launch.fingerprint.watched}
    return moved_since(space.tree, space.root, watched) or changed_part(space, project, launch)


def changed_part(space: Workspace, project: Project, launch: Launch) -> str | None:
    """The input that is another by now, by what it holds; the file that can't be read any more."""
    try:
        now = space.fingerprint(launch.stage, project)
    except ProjectFileError as error:
        return error.file
    names = (*launch.parts, *now.parts)
    changed = [name for name in names if now.parts.get(name) != launch.parts.get(name)]
    return changed[0].partition(":")[2] if changed else None


def _moved_values(inputs: FoundInputs, launch: Launch, found: Found) -> str | None:
    names = found.names | found.packages.keys()
    # Of no others: a folder of thousands of files takes its time to look at.
    settled = {name: value for name, value in launch.settled.items() if name in names}
    now = inputs.values(settled, launch.stage)
    for name, value in settled.items():
        what = name.partition(":")[2]
        folder = what.rstrip("/")
        is_own = any((os.path.dirname(path) or ".") == folder for path in found.written)
        if now[name] != value and not is_own:
            return what
    return None


def _moved_params(
    tree: Tree,
    root: Path,
    launch: Launch,
    traced: bool,
    params_read: Mapping[str, frozenset[Stat]],
) -> str | None:
    """The params file of which the stage may have read another version than it began with.

    Another key of the file may be edited at any time: what was read before that is no other
    version. What no trace saw being read may have been read at any moment.
    """
    for name, stat in launch.fingerprint.params_files.items():
        path = root / name
        if tree.stat(path) == stat:
            continue
        read = params_read.get(str(path), frozenset())
        if not traced or any(version != stat for version in read):
            return name
    return None


def _why_failed(space: Workspace, launch: Launch, ending: StageExit) -> str:
    folder, stage = Path(launch.folder), launch.stage
    tests = failed_tests(folder)
    if tests:
        more = f" and {len(tests) - 1} more" if len(tests) > 1 else ""
        return f"{tests[0]} failed{more}"
    if not space.tree.is_folder(space.root / stage.wdir):
        return f"{stage.wdir}: there is no such folder; it is the stage's wdir"
    if ending.code == 127:
        return f"command not found: {ending.command}; is it installed, and on the PATH?"
    how = f"signal {-ending.code}" if ending.code < 0 else f"exit status {ending.code}"
    last = _last_error(folder / "log")
    return f"{ending.command}: {how}{f': {last}' if last else ''}"


def _last_error(log: Path) -> str:
    """The last line of a log's end that looks like an exception, else its last line at all."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            tail = file.read()
    except OSError:
        return ""
    errors = _ERROR_LINE.findall(tail)
    lines = [line for line in tail.splitlines() if line.strip()]
    found = errors[-1] if errors else lines[-1] if lines else b""
    return str(found.decode(errors="replace").strip())


def code_of(launch: Launch) -> list[str]:
    """Every module that the stage may run: what it imports, and what it was seen to load."""
    return [*launch.chains, *(name for name in launch.seen_before if name.endswith(".py"))]


def ran_old_code(space: Workspace, launch: Launch, found: Found) -> Verdict | None:
    """Overtaken where a module that nobody foresaw may have run from stale bytecode."""
    loaded = sorted({path_of(name) or "" for name in found.names} - {*code_of(launch)})
    code = [path for path in loaded if path.endswith(".py")]
    mark = space.intents.mark(launch.stage.name)
    stale = drop_stale_bytecode(space.tree, space.root, code, until=mark)
    if not stale:
        return None
    message = f"{stale[0]} may have run from what an older version of it was compiled to"
    return Verdict(StageOutcome.OVERTAKEN, message, stale[0])
