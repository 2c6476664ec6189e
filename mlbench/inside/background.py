"""Has the machine and the code of a script's run described beside it, by a process of its own.

That takes packages which the script's interpreter may not have; then there is no description.
"""

from __future__ import annotations

import os
import sys

_PACKAGES = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Its first entry would be the script's working folder, whose modules may have any name.
_PROGRAM = (
    "import sys; sys.path[0] = sys.argv[1]; "
    "from mlbench.engine.describe_script import main; main(sys.argv[2])"
)
# A shell between them makes it nobody's child that the script might wait for.
_DETACH = '"$@" </dev/null >/dev/null 2>&1 &'
_SHELL = "/bin/sh"
_INHERITED = 8


def describe_in_background(lock: str, folder: str) -> None:
    """Start describing what the run of this folder begins with; nothing where that can't be.

    The flock of `lock` is held until the description is there.
    """
    if not sys.executable or not hasattr(os, "posix_spawn") or not os.path.exists(_SHELL):
        return
    import fcntl

    words = [_SHELL, "-c", _DETACH, _SHELL, sys.executable, "-c", _PROGRAM, _PACKAGES, folder]
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # To another number, for a descriptor that is duplicated to itself may stay closed on exec.
        handed_on = [(os.POSIX_SPAWN_DUP2, descriptor, _INHERITED + (descriptor == _INHERITED))]
        pid = os.posix_spawn(_SHELL, words, os.environ, file_actions=handed_on)
        os.waitpid(pid, 0)
    except OSError:
        return
    finally:
        os.close(descriptor)
