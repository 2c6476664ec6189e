"""A run that a script begins by itself, outside of any pipeline: what lies in its folder.

A run's folder `runs/<id>/` has, besides `stages/<script's name>/` with all that it logs:

- `alive.lock`: its flock is held while the script's main process lives;
- `script.json`, written when it begins and the lock is held: `id`, `name` (empty: whatever readers
  call it), `script` (the name of its one stage), `argv`, `cwd`, `root` (the project's folder),
  `python`, `pid`, `started` (seconds since the epoch), `by`, `parent` (an id, or empty);
  A further run of the same process has `described_in`: the id of its first, which has the code;
- `describing.lock`: its flock is held while another process notes code and environment here;
- `ended.json`, if it ends in order: `outcome` (passed, failed or cancelled), `seconds`, `message`.

And an empty file `unrecorded/<id>` names it until somebody has taken it into the index. Where the
lock is free and there is no `ended.json`, the process died.
"""

from __future__ import annotations

import os
import sys
import time

from mlbench.inside.place import Place, here, warn
from mlbench.inside.secrets import hide_in_words, of_this_process, without_secrets
from mlbench.inside.steplog import FOLDER_VARIABLE

TYPE_CHECKING = False  # type checkers take it for True; importing typing costs milliseconds
if TYPE_CHECKING:
    from typing import Any

SCRIPT_NAME = "script.json"
ENDED_NAME = "ended.json"
LOCK_NAME = "alive.lock"
DESCRIPTION_LOCK_NAME = "describing.lock"

_RUN_VARIABLE = "MLBENCH_RUN"
_ENDING_BYTES = 2048
_LONGEST_MESSAGE = 500


class ScriptRun:
    """A run that this process began, and is to end."""

    def __init__(self, folder: str, stage: str, started: float) -> None:
        """Take a folder that was made for it."""
        self.id = os.path.basename(folder)
        self.folder = folder
        self.stage = stage
        self.started = started
        self.place = Place(os.path.join(folder, "stages", stage.replace("/", "%2F")))
        self.pid = os.getpid()
        self.lock: int | None = None
        self._has_ended = False
        self._environment: dict[str, str | None] = {}

    def enter(self) -> None:
        """Log here from now on, this process and those that it starts."""
        given = {FOLDER_VARIABLE: self.place.folder, _RUN_VARIABLE: self.id}
        self._environment = {name: os.environ.get(name) for name in given}
        os.environ.update(given)
        here.enter(self.place)

    def leave(self) -> None:
        """Log where it was logged before."""
        if os.environ.get(FOLDER_VARIABLE) == self.place.folder:
            for name, value in self._environment.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
        here.leave(self.place)

    def end(self, outcome: str, message: str = "") -> None:
        """Write how it ended, once, and in the process that began it alone; OSError."""
        if self._has_ended or self.pid != os.getpid() or self.lock is None:
            return
        self._has_ended = True
        ending = {
            "outcome": outcome,
            "seconds": round(time.time() - self.started, 3),
            "message": without_secrets(message, of_this_process())[:_LONGEST_MESSAGE],
        }
        reserved = self._reserved()
        descriptor = os.open(reserved, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            said = _json(ending)
            os.pwrite(descriptor, said, 0)
            os.ftruncate(descriptor, len(said))
        finally:
            os.close(descriptor)
        os.replace(reserved, os.path.join(self.folder, ENDED_NAME))

    def release(self) -> None:
        """Let the lock go: nobody writes here any more. In a forked child, the parent keeps it."""
        if self.lock is not None:
            os.close(self.lock)
        self.lock = None

    def take_lock(self) -> bool:
        """Lock this new run's file; False where another rank has made it before."""
        import fcntl

        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            self.lock = os.open(os.path.join(self.folder, LOCK_NAME), flags, 0o644)
        except FileExistsError:
            return False
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            warn("run", f"has no lock ({error}), so it seems to have died until it ends")
        return True

    def describe(self, name: str, root: str, parent: str, described_in: str) -> None:
        """Write what it begins with; OSError."""
        described = {
            "id": self.id,
            "name": name,
            "script": self.stage,
            "argv": [without_secrets(word, of_this_process()) for word in hide_in_words(sys.argv)],
            "cwd": os.getcwd(),
            "root": root,
            "python": sys.executable,
            "pid": self.pid,
            "started": self.started,
            "by": _user(),
            "parent": parent,
            "described_in": described_in,
        }
        # Room on the disk for how it ends: a disk that is full by then changes nothing.
        with open(self._reserved(), "wb", buffering=0) as file:
            file.write(b" " * _ENDING_BYTES)
        part = os.path.join(self.folder, f".{SCRIPT_NAME}")
        with open(part, "wb") as file:
            file.write(_json(described))
        os.replace(part, os.path.join(self.folder, SCRIPT_NAME))

    def _reserved(self) -> str:
        return os.path.join(self.folder, f".{ENDED_NAME}")


def _json(value: dict[str, Any]) -> bytes:
    import json

    return json.dumps(value).encode()


def _user() -> str:
    for variable in ("LOGNAME", "USER", "USERNAME"):
        if os.environ.get(variable):
            return os.environ[variable]
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
