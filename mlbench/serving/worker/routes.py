"""What a request asks for, by its method and path. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from mlbench.serving.refusals import RequestError

_READS = ("GET", "HEAD")
_POSTS = ("POST",)
_OF_A_MODEL = {
    "": _READS,
    "ready": _READS,
    "config": _READS,
    "stats": _READS,
    "infer": _POSTS,
    "feedback": _POSTS,
}


@dataclass(frozen=True, slots=True)
class Route:
    """One thing that can be asked: `what` names it, `methods` ask for it."""

    what: str
    methods: tuple[str, ...]
    model: str = ""
    version: str | None = None


def find_route(method: str, path: str) -> Route:
    """The route of a raw path; RequestError 404 where there is none, 405 for another method."""
    route = _route([unquote(segment) for segment in path.strip("/").split("/")])
    if route is None:
        raise RequestError(
            404, f"there is nothing at {path[:200]}; /openapi.json lists what there is"
        )
    if method not in route.methods:
        allow = ", ".join(route.methods)
        raise RequestError(405, f"{path[:200]} takes {allow}, not {method}", allow)
    return route


def _route(segments: list[str]) -> Route | None:
    match segments:
        case ["predict"]:
            return Route("predict", _POSTS)
        case ["predict", model]:
            return Route("predict", _POSTS, model)
        case ["predict", model, "versions", version]:
            return Route("predict", _POSTS, model, version)
        case ["metrics" | "openapi.json" as what]:
            return Route(what, _READS)
        case ["v2", *rest]:
            return _protocol_route(rest)
    return None


def _protocol_route(segments: list[str]) -> Route | None:
    match segments:
        case []:
            return Route("server", _READS)
        case ["health", ("live" | "ready") as what]:
            return Route(what, _READS)
        case ["models"]:
            return Route("models", _READS)
        case ["models", "stats"]:
            return Route("stats", _READS)
        case ["models", "", *_] | ["repository", "models", "", *_]:
            return None
        case ["models", model, "versions", version, *rest]:
            return _model_route(rest, model, version)
        case ["models", model, *rest]:
            return _model_route(rest, model, None)
        case ["repository", "index"]:
            return Route("index", _POSTS)
        case ["repository", "models", model, ("load" | "unload") as what]:
            return Route(what, _POSTS, model)
    return None


def _model_route(rest: list[str], model: str, version: str | None) -> Route | None:
    what = rest[0] if rest else ""
    if len(rest) > 1 or what not in _OF_A_MODEL or (what == "feedback" and version is not None):
        return None
    return Route(f"model_{what or 'metadata'}", _OF_A_MODEL[what], model, version)
