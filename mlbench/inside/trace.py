"""The audit hook that sees what a stage's Python processes read and write.

`onpath/sitecustomize.py` starts it in each of them, on any Python from 3.9 on. It judges nothing,
for that would cost the user's process time: `pipeline/seen.py` does.

The first process holds its opens back, a thousand at a time, and writes the rest when it ends.
Its children, forked or not, write each at once, for Pool.terminate and the like leave no time.
"""

from __future__ import annotations

import atexit
import os
import sys
from _thread import allocate_lock

# Relative, for onpath/sitecustomize.py imports it under a name of its own.
from .seenlog import (
    END,
    LISTING,
    LOADED,
    PARAMS,
    PARAMS_VARIABLE,
    READ,
    SEEN_FOLDER,
    WRITE,
    SeenLog,
    encoded,
)

TYPE_CHECKING = False  # type checkers take it for True; importing typing costs milliseconds
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

_HELD_BACK = 1000
_PATIENCE = 1.0
_TO_WRITE = os.O_WRONLY | os.O_RDWR
_STARTS_EMPTY = os.O_TRUNC | os.O_EXCL
_NO_FOLDER = -1
_STDLIB = os.path.dirname(os.__file__)
# They list all folders of sys.path, the project's among them, in search of modules and packages.
_SEARCHERS = ("<frozen importlib", f"{_STDLIB}/importlib/metadata")
_INSTALLED_SEARCHERS = ("/importlib_metadata/__init__.py", "/pkg_resources/__init__.py")
_FIRST_VARIABLE = "MLBENCH_TRACE_FIRST"
"""Tells the children of a traced process that they are: it names that process."""


def start(stage_folder: str) -> None:
    """Trace this process and its forks from now on; OSError where the folder can't be written."""
    folder = os.path.join(os.path.abspath(stage_folder), SEEN_FOLDER)
    try:
        os.mkdir(folder)
    except FileExistsError:
        if not os.path.isdir(folder):
            raise
    params = os.environ.get(PARAMS_VARIABLE, "").split(os.pathsep)
    trace = Trace(SeenLog(folder), [file for file in params if file])
    trace.begin()


class Trace:
    """What one process, and after a fork its child, does at each audit event."""

    def __init__(self, log: SeenLog, params: Iterable[str]) -> None:
        """Prepare; `begin` starts it."""
        self._log = log
        self._params = {os.path.realpath(file): file for file in params}
        self._params_spelled = {name for file in params for name in _spellings(file)}
        self._params_names = tuple(file.rpartition("/")[2] for file in params)
        self._held: list[tuple[Any, Any, int]] = []
        self._holds = os.environ.setdefault(_FIRST_VARIABLE, str(os.getpid())) == str(os.getpid())
        self._flushing = allocate_lock()
        self._noted: set[tuple[bytes, str]] = set()
        self._known: set[str] = set()
        self._loaded_before = set(sys.modules)
        self._is_finalizing = sys.is_finalizing  # a late finalizer finds modules emptied
        self._handlers: dict[str, Callable[..., None]] = {
            "os.listdir": self._listed,
            "os.scandir": self._listed,
            "os.chdir": self._moving,
            "os.rename": self._renamed,
            "os.link": self._made,
            "os.symlink": self._made,
            "os.remove": self._removed,
            "os.mkdir": self._made_folder,
            "os.rmdir": self._removed,
            "os.truncate": self._cut,
            "import": self._imported,
            "ctypes.dlopen": self._linked,
            "os.exec": self._leaving,
        }

    def begin(self) -> None:
        """Write that a process began, and listen."""
        if not self._holds:
            self._log.start_over()
        try:
            self._log.put(b"")
        except OSError:
            self._log.lose()
            return
        sys.addaudithook(self._listener())
        atexit.register(self._leaving)
        os.register_at_fork(before=self._forking, after_in_child=self._start_over_in_child)
        really_exit = os._exit

        def _exit(status: int) -> None:
            """Exit to the system with specified status, without normal exit processing."""
            self._leaving()
            really_exit(status)

        os._exit = _exit  # type: ignore[assignment]

    def _listener(self) -> Callable[[str, tuple[Any, ...]], None]:
        """The hook itself, spelled out: whatever it does, every open of the user's pays for."""
        held, hold, known = self._held, self._held.append, self._known
        log, handlers = self._log, self._handlers
        params, params_names = self._params_spelled, self._params_names

        def hear(event: str, args: tuple[Any, ...]) -> None:
            try:
                if event == "open":
                    if self._holds:
                        hold(args)
                        if args[0] in params:
                            self._note_params(args[0])
                        if len(held) > _HELD_BACK:
                            self._flush()
                        return
                    path, mode, flags = args
                    if flags & _TO_WRITE or not mode or type(path) is not str:
                        self._opened(path, mode, flags)
                    elif path not in known:
                        if path.endswith(params_names):
                            self._note_params(path)
                        try:
                            log.write(path.encode() + READ)
                        except ValueError:  # full, or no plain UTF-8
                            self._opened(path, mode, flags)
                        if log.is_long and not path.endswith(params_names):
                            known.add(path)
                elif event in handlers:
                    handlers[event](*args)
            except Exception as error:
                self._failed(error)

        return hear

    def _failed(self, error: Exception) -> None:
        """Let the user's program go on; but what a signal's handler raised in here goes up."""
        at = error.__traceback__
        while at is not None and at.tb_next is not None:
            at = at.tb_next
        if at is not None and at.tb_frame.f_code.co_filename not in _OURS:
            raise error
        if not self._is_finalizing():
            self._log.lose()

    def _flush(self, patience: float = 0.0) -> bool:
        """Write down what is held back, unless another thread is at it; tells whether it did."""
        if not self._flushing.acquire(timeout=patience):
            return False
        try:
            opens = self._held[:]
            plain = [path for path, mode, flags in opens if mode and not flags & _TO_WRITE]
            if len(plain) < len(opens):
                for path, mode, flags in opens:
                    if not mode or flags & _TO_WRITE:
                        self._opened(path, mode, flags)
            self._note_plain(plain)
            # Not before: a signal's handler may raise on the way.
            del self._held[: len(opens)]
        finally:
            self._flushing.release()
        return True

    def _note_plain(self, paths: list[Any]) -> None:
        if self._log.is_long:
            paths = [path for path in paths if path not in self._known]
            self._known.update(path for path in paths if path not in self._params_spelled)
        if not paths:
            return
        try:
            record = "\0".join(paths).encode() + READ
        except (TypeError, UnicodeEncodeError):
            for path in paths:
                self._opened(path, "r", os.O_RDONLY)
            return
        self._log.put(record)
        if any(name.encode() in record for name in self._params_names):
            # Spelled in a way that nobody guessed: what it is now is no older than what was read.
            for path in paths:
                if path.endswith(self._params_names) and path not in self._params_spelled:
                    self._note_params(path)

    def _opened(self, path: Any, mode: Any, flags: int) -> None:
        """Note an open of any kind."""
        name = _text(path)
        if name is None or name.startswith(self._log.folder):
            return
        if flags & _TO_WRITE:
            self._note(WRITE, name)
            if flags & _STARTS_EMPTY:
                return
        elif not mode and name[:1] != "/" and not os.path.isfile(name):
            return  # os.open with dir_fd, as a rule: relative to a folder that isn't told
        if name.endswith(self._params_names):
            self._note_params(name)
        self._note(READ, name)

    def _note(self, kind: bytes, text: str) -> None:
        """Write it down, once."""
        if (kind, text) not in self._noted:
            self._noted.add((kind, text))
            self._log.put(encoded(text) + kind)

    def _note_params(self, name: str) -> None:
        """Note which version of a declared params file this is, where it is one and is there."""
        file = self._params.get(os.path.realpath(name))
        if file is None:
            return
        try:
            found = os.stat(file)
        except OSError:
            return
        stat = f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"
        self._note(PARAMS, f"{stat} {file}")

    def _listed(self, path: Any = None) -> None:
        caller = sys._getframe(2).f_code
        file = caller.co_filename
        if file.startswith(_SEARCHERS) or file.endswith(_INSTALLED_SEARCHERS):
            return
        if caller.co_name.startswith("_rmtree"):  # shutil's, which is about to remove it all
            return
        if type(path) is int:
            try:
                path = os.readlink(f"/proc/self/fd/{path}")
            except OSError:
                return
        name = _text("." if path is None else path)
        if name is not None:
            self._note(LISTING, name)

    def _moving(self, _path: Any) -> None:
        self._flush(_PATIENCE)
        self._noted.clear()
        self._known.clear()
        self._log.move()

    def _renamed(self, source: Any, target: Any, source_in: int, target_in: int) -> None:
        self._removed(source, source_in)
        self._removed(target, target_in)

    def _made(self, _source: Any, target: Any, *folders: int) -> None:
        self._removed(target, folders[-1])

    def _made_folder(self, path: Any, _mode: int, folder: int) -> None:
        # Most are there already, and making those again changes nothing around them.
        if not os.path.lexists(path):
            self._removed(path, folder)

    def _removed(self, path: Any, folder: int) -> None:
        name = _text(path)
        if name is not None and (folder == _NO_FOLDER or name[:1] == "/"):
            self._note(WRITE, name)

    def _cut(self, path: Any, _length: int) -> None:
        self._removed(path, _NO_FOLDER)

    def _imported(self, _module: str, file: Any, *_paths: Any) -> None:
        """A compiled module is loaded by C; for all others the file is None."""
        if type(file) is str:
            self._note(LOADED, file)

    def _linked(self, name: Any) -> None:
        if type(name) is str and "/" in name:
            self._note(LOADED, name)

    def _note_modules(self) -> None:
        """Note the files of what was imported, by whatever loader."""
        for name, module in list(sys.modules.items()):
            if name not in self._loaded_before and isinstance(module, type(sys)):
                # Not getattr: it would load what is to be loaded lazily.
                file = object.__getattribute__(module, "__dict__").get("__file__")
                if type(file) is str:
                    self._note(LOADED, file)

    def _leaving(self, *_args: Any) -> None:
        """Write all that is left: at the end, before os._exit, and before another program."""
        try:
            self._holds = False
            if not self._flush(_PATIENCE):
                self._log.lose()
            if self._log.has_begun:
                self._note_modules()
                self._log.put(b"." + END)
        except Exception as error:
            self._failed(error)

    def _forking(self) -> None:
        try:
            self._flush()
        except Exception as error:
            self._failed(error)

    def _start_over_in_child(self) -> None:
        """After a fork: what was seen so far is the parent's to write, and its threads are gone."""
        self._holds = False
        self._held.clear()
        self._flushing = allocate_lock()
        self._loaded_before.update(sys.modules)
        self._log.start_over()


_OURS = (Trace._flush.__code__.co_filename, SeenLog.put.__code__.co_filename)


def _text(path: Any) -> str | None:
    """A path as text, lone surrogates for bytes that are none; None for a descriptor and junk."""
    if type(path) is str:
        return path
    try:
        return os.fsdecode(path)
    except TypeError:
        return None


def _spellings(file: str) -> list[str]:
    """How a program is likely to name a file, wherever it works: to be looked at, not trusted."""
    tail, spelled = "", [file, os.path.realpath(file)]
    for part in reversed(file.split("/")[1:]):
        tail = f"{part}/{tail}" if tail else part
        spelled += [tail, f"./{tail}", f"../{tail}", f"../../{tail}"]
    return spelled
