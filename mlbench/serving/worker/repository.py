"""The bodies of the repository's requests. Pure.

Source: Triton's model repository extension (extension_model_repository.md) and model_config.proto.
"""

from __future__ import annotations

from typing import Any

from mlbench.serving.protocol.json_text import parse_json
from mlbench.serving.refusals import RequestError

_MOST_VERSIONS = 1000
_MOST_DIGITS = 20


def index_wanted(body: bytes) -> bool:
    """Whether only what is ready is asked for; RequestError 400 for a body that says neither."""
    ready = _object(body, "the body").get("ready")
    if ready is not None and not isinstance(ready, bool):
        raise RequestError(400, "ready must be true or false")
    return bool(ready)


def versions_named(body: bytes) -> tuple[str, ...]:
    """The versions that a load or unload names; none where it leaves the choice to the server.

    By Triton's `config` with a version policy, or by `version`. RequestError 400 for anything
    else that would change what is loaded: files and configurations come from promotions alone.
    """
    parameters = _object(body, "the body").get("parameters")
    if parameters is None:
        return ()
    if not isinstance(parameters, dict):
        raise RequestError(400, "parameters must be an object")
    strange = [name for name in parameters if name.startswith("file:")]
    if strange:
        raise RequestError(400, f"{strange[0]}: model files come from promotions, not from clients")
    named = parameters.get("version")
    if named is not None:
        return (_number(named),)
    config = parameters.get("config")
    if config is None:
        return ()
    if not isinstance(config, str):
        raise RequestError(400, "config must be a string of JSON")
    return _by_policy(_object(config.encode(), "config"))


def _by_policy(config: dict[str, Any]) -> tuple[str, ...]:
    policy = config.get("version_policy", {})
    if not isinstance(policy, dict):
        raise RequestError(400, "config: version_policy must be an object")
    if "specific" not in policy:
        return ()
    specific = policy["specific"]
    versions = specific.get("versions") if isinstance(specific, dict) else None
    if not isinstance(versions, list) or not versions:
        raise RequestError(400, "config: version_policy.specific.versions must list versions")
    if len(versions) > _MOST_VERSIONS:
        raise RequestError(400, f"config: more than {_MOST_VERSIONS} versions; name fewer")
    return tuple(_number(version) for version in versions)


def _number(version: Any) -> str:
    text = str(version) if isinstance(version, int) and not isinstance(version, bool) else version
    if not isinstance(text, str) or not text.isdecimal() or len(text) > _MOST_DIGITS:
        raise RequestError(400, "a version is a whole number, such as 3")
    return str(int(text))


def _object(body: bytes, what: str) -> dict[str, Any]:
    """The JSON object of a body that may be empty."""
    if not body.strip():
        return {}
    value = parse_json(body, what)
    if not isinstance(value, dict):
        raise RequestError(400, f"{what} must be a JSON object")
    return value
