"""The reply to a request that is refused."""

from __future__ import annotations

import orjson

from mlbench.serving.messages import JSON, Reply
from mlbench.serving.refusals import RequestError

_MORE: dict[int, tuple[tuple[bytes, bytes], ...]] = {
    401: ((b"www-authenticate", b"Bearer"),),
    503: ((b"retry-after", b"1"),),
}


def refusal(error: RequestError) -> Reply:
    """`{"error": sentence}` with the error's status, and the header that this status asks for."""
    more = ((b"allow", error.allow.encode()),) if error.allow else _MORE.get(error.status, ())
    body = orjson.dumps({"error": str(error).encode(errors="replace").decode()})
    return Reply(error.status, body, (JSON, *more))
