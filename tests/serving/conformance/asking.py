"""A client that sends bytes as they are, and what comes back."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlbench.serving.token import read_token

if TYPE_CHECKING:
    from tests.serving.conftest import Sandbox

LENGTH = "inference-header-content-length"


@dataclass(frozen=True)
class Reply:
    """What came back: the status, headers by lower-case name, and the body."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        """The JSON of the body, which binary tensors may follow."""
        length = self.headers.get(LENGTH)
        return json.loads(self.raw if length is None else self.raw[: int(length)])

    @property
    def tail(self) -> bytes:
        """What follows the JSON."""
        return self.raw[int(self.headers[LENGTH]) :]

    @property
    def error(self) -> str:
        """The sentence of a refusal, which has nothing else beside it."""
        assert list(self.json) == ["error"]
        return str(self.json["error"])

    def data(self, name: str) -> Any:
        """One output's data."""
        return next(each for each in self.json["outputs"] if each["name"] == name)["data"]


@dataclass
class Asked:
    """A server, and what a client without a library does to it."""

    sandbox: Sandbox

    def __post_init__(self) -> None:
        token = read_token(self.sandbox.layout.server_token)
        self.trusted = {"Authorization": f"Bearer {token}"}

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """One request on a connection of its own; bytes go as they are, all else as JSON."""
        port = self.sandbox.environment.port
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        raw = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request(method, path, raw, dict(headers or {}))
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, names, response.read())
        finally:
            connection.close()

    def get(self, path: str) -> Reply:
        return self.ask("GET", path)

    def infer(self, model: str, *inputs: dict[str, Any], **fields: Any) -> Reply:
        """One inference request in JSON."""
        return self.ask("POST", f"/v2/models/{model}/infer", {"inputs": inputs, **fields})

    def raw(self, model: str, body: bytes, **headers: str) -> Reply:
        """One inference request that is the bytes of its only input."""
        return self.ask("POST", f"/v2/models/{model}/infer", body, {LENGTH: "0", **headers})

    def lives(self) -> bool:
        """Whether the one worker is still that of the beginning, and answers."""
        return self.get("/v2/health/live").status == 200 and self.sandbox.status().restarts == 0


def tensor(
    name: str, datatype: str, shape: list[int], data: Any = None, **more: Any
) -> dict[str, Any]:
    """A tensor of a request."""
    found = {"name": name, "datatype": datatype, "shape": shape, **more}
    return found if data is None else {**found, "data": data}


def with_tail(head: Any, *tails: bytes) -> tuple[bytes, dict[str, str]]:
    """A body of JSON with bytes after it, and the header that says where they begin."""
    text = json.dumps(head).encode()
    return b"".join([text, *tails]), {LENGTH: str(len(text))}


def floats(count: int) -> bytes:
    return np.arange(count, dtype=np.float32).tobytes()
