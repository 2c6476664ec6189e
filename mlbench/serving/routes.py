"""What a request asks for: its path and method, and whether it may ask at all. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from mlbench.serving.protocol import RequestError

Headers = Iterable[tuple[bytes, bytes]]

BODY_LIMIT = 64 * 1024 * 1024

_LOCAL = rb"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"
_LOCAL_HOST = re.compile(_LOCAL, re.IGNORECASE)
_LOCAL_ORIGIN = re.compile(rb"https?://" + _LOCAL, re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Route:
    """One thing that can be asked: `what` is server, live, ready, model, model_ready or infer."""

    what: str
    model: str = ""
    version: str | None = None

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that ask for it."""
        return ("POST",) if self.what == "infer" else ("GET", "HEAD")


def find_route(method: str, path: str) -> Route:
    """The route of a raw path; RequestError 404 where there is none, 405 for another method."""
    route = _route([unquote(segment) for segment in path.strip("/").split("/")])
    if route is None:
        raise RequestError(404, f"there is nothing at {path}; the protocol begins at /v2")
    if method not in route.methods:
        allow = ", ".join(route.methods)
        raise RequestError(405, f"{path} takes {allow}, not {method}", allow)
    return route


def check_headers(headers: Headers) -> None:
    """Refuse what a foreign page may have sent, and bodies that this server can't read.

    A page of another site reaches loopback through the user's browser: by a name of its own that
    points here (Host) or straight (Origin). Raises RequestError 403, 413 or 501.
    """
    hosts = 0
    for name, value in headers:
        if name == b"host":
            hosts += 1
            if not _LOCAL_HOST.fullmatch(value):
                raise RequestError(403, "the Host header must name this machine: 127.0.0.1")
        elif name == b"origin" and not _LOCAL_ORIGIN.fullmatch(value):
            raise RequestError(403, "pages of other sites may not ask here (Origin header)")
        elif name == b"inference-header-content-length":
            raise RequestError(
                501,
                "the binary data extension is not spoken here; send JSON "
                "(tritonclient: binary_data=False for inputs and outputs)",
            )
        elif name == b"content-encoding" and value.lower() not in (b"", b"identity"):
            raise RequestError(501, "compressed bodies are not read here; send plain JSON")
        elif name == b"content-length" and int(value) > BODY_LIMIT:
            raise too_large()
    if hosts != 1:
        raise RequestError(403, "the request must have one Host header: 127.0.0.1")


def too_large() -> RequestError:
    """The refusal of a body over BODY_LIMIT bytes."""
    return RequestError(413, f"the body is larger than {BODY_LIMIT >> 20} MiB; send fewer rows")


def _route(segments: list[str]) -> Route | None:
    match segments:
        case ["v2"]:
            return Route("server")
        case ["v2", "health", ("live" | "ready") as what]:
            return Route(what)
        case ["v2", "models", model, "versions", version, *rest]:
            return _model_route(rest, model, version)
        case ["v2", "models", model, *rest]:
            return _model_route(rest, model, None)
    return None


def _model_route(rest: list[str], model: str, version: str | None) -> Route | None:
    match rest:
        case []:
            return Route("model", model, version)
        case ["ready"]:
            return Route("model_ready", model, version)
        case ["infer"]:
            return Route("infer", model, version)
    return None
