"""An environment's port, bound before anything else, so that a taken one is known at once."""

from __future__ import annotations

import errno
import socket

from mlbench.domain.errors import PortTakenError, ServingError, UsageError
from mlbench.domain.serving import LOOPBACK

_BACKLOG = 2048


def listen(environment: str, port: int, host: str = LOOPBACK) -> socket.socket:
    """A socket that listens on an address of this machine; port 0 takes any that is free.

    "::" takes IPv4 too. Raises PortTakenError where another program has the port, ServingError
    where the system refuses it, UsageError where there is no such port or address; each says which
    line of mlbench.toml changes it.
    """
    where = f"mlbench.toml: environments.{environment}.port: port {port}"
    advice = f"choose another with port = … under [environments.{environment}]"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        # The protocol is named, not left at 0: asyncio switches Nagle's delay off (40 ms a
        # request) only for sockets that say they are TCP.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as error:
        raise _no_address(environment, host, error) from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if host == "::":
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((host, port))
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
        if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
            raise _no_address(environment, host, error) from None
        raise ServingError(f"{where} can't be used ({error.strerror}); {advice}") from None
    return listener


def _no_address(environment: str, host: str, error: OSError) -> UsageError:
    return UsageError(
        f'mlbench.toml: environments.{environment}.host: "{host}" is no address of this machine '
        f'({error.strerror}); write host = "{LOOPBACK}", or one that it has'
    )
