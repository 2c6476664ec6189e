"""An environment's port, bound before anything else, so that a taken one is known at once."""

from __future__ import annotations

import errno
import socket

from mlbench.domain.errors import PortTakenError, ServingError, UsageError

HOST = "127.0.0.1"
_BACKLOG = 2048


def listen(environment: str, port: int) -> socket.socket:
    """A socket that listens on loopback; 0 takes any free port.

    Raises PortTakenError where another program has it, ServingError where the system refuses it,
    UsageError where there is no such port; each says which line of mlbench.toml changes it.
    """
    where = f"mlbench.toml: environments.{environment}.port: port {port}"
    advice = f"choose another with port = … under [environments.{environment}]"
    # The protocol is named, not left at 0: asyncio switches Nagle's delay off (40 ms a request)
    # only for sockets that say they are TCP.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(_BACKLOG)
    except OverflowError:
        listener.close()
        raise UsageError(f"{where} does not exist; {advice}, from 1 to 65535") from None
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTakenError(
                f"{where} is taken by another program; {advice}, or stop what listens there"
            ) from None
        raise ServingError(f"{where} can't be used ({error.strerror}); {advice}") from None
    return listener
