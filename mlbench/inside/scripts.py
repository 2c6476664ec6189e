"""The runs that this process began by itself, and when it begins and ends them."""

from __future__ import annotations

import _thread
import os
import sys
import time

from mlbench.inside.identity import new_run_id
from mlbench.inside.place import Place, here, warn
from mlbench.inside.project import find_root, prepare
from mlbench.inside.script import (
    DESCRIPTION_LOCK_NAME,
    ENDED_NAME,
    LOCK_NAME,
    SCRIPT_NAME,
    ScriptRun,
)
from mlbench.inside.steplog import FOLDER_VARIABLE

TYPE_CHECKING = False  # type checkers take it for True; importing typing costs milliseconds
if TYPE_CHECKING:
    from collections.abc import Callable

SWITCH_VARIABLE = "MLBENCH_LOGGING"
"""`off` in it keeps scripts from beginning runs."""

_RETRY_SECONDS = 10.0


class Scripts:
    """The runs that this process began and hasn't ended."""

    def __init__(self) -> None:
        """Begin with none."""
        self.open: list[ScriptRun] = []
        self.begun = 0
        self.described_in = ""
        self.retry_at = 0.0
        self.is_beginning = False
        self.lock = _thread.RLock()
        self._is_watching = False

    def add(self, run: ScriptRun) -> None:
        """Watch over a run until it ends."""
        self.open.append(run)
        if not self._is_watching:
            from mlbench.inside.ending import watch

            self._is_watching = True
            watch(self.end_all)

    def end_all(self, outcome: str, message: str) -> None:
        """End every run, the innermost first; they still take what is logged until the end."""
        for run in reversed(self.open):
            try:
                run.end(outcome, message)
            except Exception as error:
                warn("run", f"can't write how it ended ({error})")

    def forget_in_child(self) -> None:
        """After a fork: all that is open is the parent's to end, and its threads are gone."""
        # The flock dies with its last descriptor: a child that lives on must not keep it.
        for run in self.open:
            run.release()
        self.open.clear()
        self.is_beginning = self._is_watching = False
        self.lock = _thread.RLock()


scripts = Scripts()
os.register_at_fork(after_in_child=scripts.forget_in_child)


def current() -> Place | None:
    """Where this process logs; begins a run of its own where it has no place yet.

    None, with a sentence on standard error, where none can be begun, and where that is switched
    off.
    """
    with scripts.lock:
        if not here.places and not is_off():
            _begin_in_turn()
        return here.places[-1] if here.places else None


def _begin_in_turn() -> None:
    """Begin the run that nobody asked for, unless it was just tried, or a signal came meanwhile."""
    if scripts.is_beginning or time.monotonic() < scripts.retry_at:
        return
    scripts.is_beginning = True
    try:
        begin("", is_implicit=True)
    except Exception as error:
        scripts.retry_at = time.monotonic() + _RETRY_SECONDS
        warn("log", f"can't begin a run here ({error}); make the folder writable")
    finally:
        scripts.is_beginning = False


def is_off() -> bool:
    """Whether the user wants no runs of scripts."""
    return os.environ.get(SWITCH_VARIABLE, "").lower() in ("off", "0", "no", "false")


def inherited_run() -> str | None:
    """The id of a script's run that this process was started in; empty in a stage, None outside."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder:
        return None
    run = os.path.dirname(os.path.dirname(folder))
    return os.path.basename(run) if os.path.exists(os.path.join(run, SCRIPT_NAME)) else ""


def begin(name: str, parent: str = "", *, is_implicit: bool = False) -> ScriptRun:
    """Begin a run and log there from now on; OSError where it can't be written.

    Where ranks of one program each begin it, one does, and the others log into the same.
    """
    # Late: it costs as much as all else here, and stages don't need it.
    from mlbench.inside.ranks import id_among_ranks

    started, root, stage = time.time(), find_root(os.getcwd()), _script_name()
    own = prepare(root)
    scripts.begun += 1
    shared = id_among_ranks(scripts.begun, is_implicit)
    if shared and os.path.exists(os.path.join(own, "runs", shared, ENDED_NAME)):
        shared = ""
    run = ScriptRun(os.path.join(own, "runs", shared or new_run_id()), stage, started)
    os.makedirs(run.place.folder, exist_ok=bool(shared))
    try:
        is_ours = run.take_lock()
        if is_ours:
            run.describe(name, root, parent, scripts.described_in)
            _name_it_unrecorded(own, run.id)
    except BaseException:
        if run.lock is not None or not shared:
            _take_back(run)
        raise
    if is_ours:
        scripts.add(run)
    run.enter()
    if run.lock is not None and not scripts.described_in:
        from mlbench.inside.background import describe_in_background

        scripts.described_in = run.id
        describe_in_background(os.path.join(run.folder, DESCRIPTION_LOCK_NAME), run.folder)
    return run


def _name_it_unrecorded(own: str, run: str) -> None:
    unrecorded = os.path.join(own, "unrecorded")
    os.makedirs(unrecorded, exist_ok=True)
    os.close(os.open(os.path.join(unrecorded, run), os.O_WRONLY | os.O_CREAT, 0o644))


def _take_back(run: ScriptRun) -> None:
    """Leave nothing of a run that couldn't begin, for it is tried again.

    First by names alone: to list a folder takes a descriptor, and there may be none left.
    """
    run.release()
    for name in (LOCK_NAME, SCRIPT_NAME, ENDED_NAME):
        _without_error(os.unlink, os.path.join(run.folder, name))
    stages = os.path.dirname(run.place.folder)
    for folder in (run.place.folder, stages, run.folder):
        _without_error(os.rmdir, folder)
    if os.path.isdir(run.folder):
        from mlbench.inside.artifacts import remove

        remove(run.folder)


def _without_error(remove: Callable[[str], None], path: str) -> None:
    try:
        remove(path)
    except OSError:
        return


def finish(run: ScriptRun, outcome: str, message: str = "") -> None:
    """End a run before its process does; OSError."""
    run.leave()
    try:
        run.end(outcome, message)
    finally:
        run.release()
        if run in scripts.open:
            scripts.open.remove(run)


def _script_name() -> str:
    """`train` for `python train.py` and `python -m pkg.train`, `pkg` for `python -m pkg`."""
    if "ipykernel" in sys.modules:
        return "notebook"
    stem = os.path.splitext(os.path.basename(sys.argv[0] if sys.argv else ""))[0]
    if stem == "__main__":
        stem = os.path.basename(os.path.dirname(os.path.abspath(sys.argv[0])))
    return stem if stem not in ("", "-c", "-m", "-") else "python"
