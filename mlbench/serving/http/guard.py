"""Who may ask: this machine's own programs, and on other addresses who brings the token. Pure."""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import unquote

from mlbench.domain.records import dataclass
from mlbench.serving.refusals import RequestError

Headers = Iterable[tuple[bytes, bytes]]
"""Pairs of a header's name in small letters and its value."""

_LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
_PORT = re.compile(rb":[0-9]{1,5}")
_BEARER = re.compile(rb"bearer +(\S+) *", re.IGNORECASE)
_HEALTH = frozenset({("v2", "health", "live"), ("v2", "health", "ready")})


@lru_cache(maxsize=8)
def is_loopback(host: str) -> bool:
    """Whether an address that a server listens on is reached from its own machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Guard:
    """What a server on `host` and `port` asks of every request; an empty token matches nothing.

    A page of another site reaches a server on loopback through its reader's browser: by a name of
    its own that points here (Host), or straight (Origin).
    """

    host: str
    port: int
    token: str

    def check(self, method: str, path: str, headers: Headers, *, needs_host: bool = True) -> bool:
        """Whether the request brought the token; `path` is raw, without its query.

        Raises RequestError 400 for a Host header too few or too many, 403 for a Host or Origin
        elsewhere, 401 where the token is asked for and is not there. `needs_host` is false for
        HTTP/1.0, which may leave Host out.
        """
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) > 1 or (needs_host and not hosts):
            raise RequestError(400, "the request must have one Host header")
        for host in hosts:
            self.check_host(host)
        trusted = False
        for name, value in headers:
            if name == b"origin":
                self._check_origin(value, hosts)
            elif name == b"authorization":
                trusted = trusted or self._is_token(value)
        if not trusted and self._asks_for_token(path):
            raise RequestError(
                401, f"{method} {path[:200]} needs the server's token (Authorization: Bearer …)"
            )
        return trusted

    def check_host(self, host: bytes) -> None:
        """RequestError 403 where a server on loopback is asked by a name that is not local."""
        if is_loopback(self.host) and not _is_local(host, self.host):
            raise RequestError(403, f"the Host header must name this machine: {self.host}")

    def _check_origin(self, origin: bytes, hosts: list[bytes]) -> None:
        scheme, separator, authority = origin.lower().partition(b"://")
        known = scheme in (b"http", b"https") and separator
        if known and _is_local(authority, self.host):
            return
        elsewhere = not is_loopback(self.host)
        if not (known and elsewhere and authority in [host.lower() for host in hosts]):
            raise RequestError(403, "pages of other sites may not ask here (Origin header)")

    def _is_token(self, authorization: bytes) -> bool:
        found = _BEARER.fullmatch(authorization)
        if found is None or not self.token:
            return False
        return hmac.compare_digest(found[1], self.token.encode())

    def _asks_for_token(self, path: str) -> bool:
        segments = tuple(unquote(segment) for segment in path.strip("/").split("/"))
        match segments:
            case ("v2", "repository", "models", _, "load" | "unload"):
                return True
            case ("v2", "models", _, "feedback") | (
                "v2",
                "models",
                _,
                "versions",
                _,
                "feedback",
            ):
                return True
        return not is_loopback(self.host) and segments not in _HEALTH


def _is_local(authority: bytes, own: str) -> bool:
    """Whether `name[:port]` names this machine, or the loopback address that the server is on."""
    lowered = authority.lower()
    names = (*_LOCAL_NAMES, own, f"[{own}]") if is_loopback(own) else _LOCAL_NAMES
    for name in names:
        rest = lowered.removeprefix(name.encode())
        if rest != lowered and (not rest or _PORT.fullmatch(rest)):
            return True
    return False
