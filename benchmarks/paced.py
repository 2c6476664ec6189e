"""Requests at a fixed rate, whether or not the ones before are answered (an open loop).

`python -m benchmarks.paced PORT PATH CONNECTIONS SECONDS BODY_FILE HEADERS RATE` prints one JSON
object with `rate` (answers a second) and `p99_ms`. What an answer took counts from the moment at
which its request was due, so that a server that stands still can't slow its own test down.
"""

from __future__ import annotations

import json
import selectors
import sys
import time
from collections import deque
from pathlib import Path

from benchmarks.load import Connection, request_of


def paced(port: int, request: bytes, connections: int, seconds: float, rate: float) -> list[float]:
    """The seconds from when each request was due to its answer, on so many connections at most."""
    took: list[float] = []
    with selectors.DefaultSelector() as selector:
        idle = deque(Connection(port, request) for _ in range(connections))
        clients = list(idle)
        for client in clients:
            selector.register(client.socket, selectors.EVENT_READ, client)
        due: dict[int, float] = {}
        begin = time.perf_counter()
        sent, wanted = 0, int(seconds * rate)
        while len(took) < wanted:
            now = time.perf_counter()
            while idle and sent < wanted and begin + sent / rate <= now:
                client = idle.popleft()
                due[id(client)] = begin + sent / rate
                client.ask()
                sent += 1
            pause = max(begin + sent / rate - now, 0.0) if idle and sent < wanted else 1.0
            for key, _ in selector.select(pause):
                client = key.data
                if client.read() is not None:
                    took.append(time.perf_counter() - due[id(client)])
                    idle.append(client)
        for client in clients:
            client.socket.close()
    return took


def main(words: list[str]) -> int:
    """Load and print."""
    port, path, connections, seconds = int(words[0]), words[1], int(words[2]), float(words[3])
    request = request_of(port, path, Path(words[4]).read_bytes(), json.loads(words[5]))
    paced(port, request, connections, 0.5, float(words[6]))
    started = time.perf_counter()
    took = sorted(paced(port, request, connections, seconds, float(words[6])))
    elapsed = time.perf_counter() - started
    p99 = took[int(len(took) * 0.99)] * 1000
    print(json.dumps({"rate": len(took) / elapsed, "p99_ms": p99}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
