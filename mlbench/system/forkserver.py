"""The small process that forks a supervisor for each stage; it ends with the loop, they don't.

Requests come over standard input, a socket: the message's length (8 bytes, little-endian) along
with the descriptor of the stage's locked file, then the message: the number of arguments, these,
and the environment, with NUL between the words. The answer is the supervisor's process id in 8
bytes, or 0 where the system has no process left.
"""

from __future__ import annotations

import os
import signal
import socket

from mlbench.system.supervisor import HELD_BACK, supervise


def serve() -> None:
    """Fork a supervisor for every request, until the loop has ended or closed the socket."""
    # Nobody waits for supervisors here: so the system does away with those that have ended.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(fileno=0) as connection:
        while True:
            head, descriptors, _, _ = socket.recv_fds(connection, 8, 1, socket.MSG_WAITALL)
            if len(head) < 8:
                return
            length = int.from_bytes(head, "little")
            message = connection.recv(length, socket.MSG_WAITALL)
            if len(message) < length:
                # The loop died on the way: nothing is started, and the lock is free.
                return
            pid = _fork(message.split(b"\0"), descriptors[0])
            os.close(descriptors[0])
            connection.sendall(pid.to_bytes(8, "little"))


def _fork(words: list[bytes], lock: int) -> int:
    # Signals that come before the supervisor is ready wait for it.
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
    try:
        pid = os.fork()
    except OSError:
        pid = -1
    if pid == 0:
        count = int(words[0])
        arguments = [os.fsdecode(word) for word in words[1 : count + 1]]
        pairs = (word.partition(b"=") for word in words[count + 1 :])
        supervise(arguments, {name: value for name, _, value in pairs}, lock)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)
    return max(pid, 0)
