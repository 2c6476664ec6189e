"""A small load generator: keep-alive connections in one thread, a request prebuilt as bytes.

`python -m benchmarks.load PORT PATH CONNECTIONS SECONDS BODY_FILE HEADERS` prints one JSON object
with `rate` (answers a second) and `p99_ms`; HEADERS is one, too. Every answer must be a 200.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path


class Connection:
    """One client that asks again as soon as it is answered."""

    def __init__(self, port: int, request: bytes) -> None:
        """Connect; nothing is asked yet."""
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = request
        self._answer = b""
        self._asked = 0.0

    def ask(self) -> None:
        """Send the request."""
        self._answer = b""
        self._asked = time.perf_counter()
        self.socket.sendall(self._request)

    def read(self) -> float | None:
        """Seconds since the asking once the whole answer is there; SystemExit if it is no 200."""
        data = self.socket.recv(65536)
        self._answer += data
        head, separator, body = self._answer.partition(b"\r\n\r\n")
        if not data or (separator and b" 200 " not in head[:16]):
            raise SystemExit(f"the server answered: {self._answer[:500]!r}")
        if not separator or len(body) < _length(head):
            return None
        return time.perf_counter() - self._asked


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise SystemExit("the answer has no content-length")


def load(port: int, request: bytes, connections: int, seconds: float) -> list[float]:
    """The seconds that each answer took, of as many clients as connections."""
    took: list[float] = []
    with selectors.DefaultSelector() as selector:
        clients = [Connection(port, request) for _ in range(connections)]
        for client in clients:
            selector.register(client.socket, selectors.EVENT_READ, client)
            client.ask()
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline:
            for key, _ in selector.select(1.0):
                client = key.data
                answered = client.read()
                if answered is not None:
                    took.append(answered)
                    client.ask()
        for client in clients:
            client.socket.close()
    return took


def request_of(port: int, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """A POST as bytes on the wire."""
    lines = [f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def main(words: list[str]) -> int:
    """Warm up for half a second, then load and print."""
    port, path, connections, seconds = int(words[0]), words[1], int(words[2]), float(words[3])
    request = request_of(port, path, Path(words[4]).read_bytes(), json.loads(words[5]))
    load(port, request, connections, 0.5)
    started = time.perf_counter()
    took = sorted(load(port, request, connections, seconds))
    elapsed = time.perf_counter() - started
    p99 = took[int(len(took) * 0.99)] * 1000
    print(json.dumps({"rate": len(took) / elapsed, "p99_ms": p99}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
