"""Stopping processes: SIGINT, SIGTERM, SIGKILL in turn, with time between, till none is left."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable

from mlbench.system.proctable import Process, lives, now, program, send

Steps = tuple[tuple[int, float], ...]

# What a stopped stage's main process leaves behind has this long before the next signal:
# a shell's background children ignore SIGINT, and nobody should wait for them.
STRAGGLER_SECONDS = 0.5
_KILL_SECONDS = 2.0
_SETTLING_SECONDS = 0.05
_TICK = 0.01


def gentle_steps(grace: tuple[float, float]) -> Steps:
    """SIGINT, SIGTERM and SIGKILL, with the seconds that each is given to take effect."""
    return (
        (signal.SIGINT, grace[0]),
        (signal.SIGTERM, grace[1]),
        (signal.SIGKILL, _KILL_SECONDS),
    )


KILL_STEPS: Steps = ((signal.SIGKILL, _KILL_SECONDS),)


def stop_in_turn(
    find: Callable[[], Iterable[Process]], leader: Process | None, steps: Steps
) -> bool:
    """Signal what `find` gives, step by step, until it gives nothing; True if it ever did.

    `leader` leads the group that the stage's command was started in. Processes that are not ours
    to signal, another user's, are left.
    """
    refused: set[Process] = set()

    def remaining() -> list[Process]:
        return [process for process in find() if process not in refused]

    stopped = False
    step = 0
    while targets := remaining() or _second_look(remaining):
        stopped = True
        number, seconds = steps[min(step, len(steps) - 1)]
        step += 1
        moment = now()
        programs = {process: program(process[0]) for process in targets}
        refused.update(_signal_all(targets, leader, number))
        _await_end(programs, leader, number, min(seconds, _SETTLING_SECONDS))
        if programs:
            missed = {each: "" for each in remaining() if _began_by(each, moment)}
            programs = missed | programs
            _await_end(programs, leader, number, seconds)
    return stopped


def _signal_all(targets: list[Process], leader: Process | None, number: int) -> list[Process]:
    """Signal the leader's group at once and the others one by one; gives those that refuse.

    At once, or a shell that is just starting a program is interrupted alone, and waits for it.
    """
    group = leader[0] if leader and leader[0] != os.getpgrp() else None
    # Its members lived a moment ago, and ids go round: nobody else can have the group's by now.
    members = [process for process in targets if group and _group_of(process[0]) == group]
    if group and members:
        try:
            os.killpg(group, number)
        except (ProcessLookupError, PermissionError):
            members = []
    return [each for each in targets if not send(each, 0 if each in members else number)]


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except OSError:
        return None


def _second_look(remaining: Callable[[], list[Process]]) -> list[Process]:
    """What a first look missed because its parent ended while it was being forked."""
    time.sleep(_TICK)
    return remaining()


def _began_by(process: Process, moment: int | None) -> bool:
    return moment is not None and int(process[1]) <= moment


def _await_end(
    programs: dict[Process, str], leader: Process | None, number: int, seconds: float
) -> None:
    """Wait for the end of processes, given with their programs; takes out those that ended.

    One that has changed its program is signalled again: a shell that is just starting another
    program takes the signal, and loses it there.
    """
    until = time.monotonic() + seconds
    leader_lives = True
    while time.monotonic() < until:
        for process, name in list(programs.items()):
            if not lives(process):
                del programs[process]
            elif (now := program(process[0])) != name:
                programs[process] = now
                send(process, number)
        if not programs:
            return
        if leader_lives and (leader is None or not lives(leader)):
            leader_lives = False
            until = min(until, time.monotonic() + STRAGGLER_SECONDS)
        time.sleep(_TICK)
