"""Many clients that ask one model all the time; what each saw goes into a file when it is enough.

`python -m tests.engine.hammering PORT PATH BODY CONNECTIONS FILE`, ended by its standard input.
Times are of the monotonic clock, which all processes share.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

_PAUSE_SECONDS = 0.01


@dataclass(frozen=True)
class Seen:
    """One request: its client's port, when it was asked and ended, by which version or why not."""

    port: int
    asked: float
    ended: float
    version: int
    error: str


async def client(port: int, request: bytes, seen: list[Seen], enough: asyncio.Event) -> None:
    """Ask on one connection, and on another one when that breaks."""
    reader = writer = None
    while not enough.is_set():
        asked, mine = time.monotonic(), 0
        try:
            if writer is None or reader is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            mine = writer.get_extra_info("sockname")[1]
            writer.write(request)
            status, body = await _answer(reader)
            version = int(body["model_version"]) if status == 200 else 0
            error = "" if status == 200 else f"{status} {body}"
        except (OSError, EOFError, ValueError) as problem:
            version, error = 0, repr(problem)
            reader = writer = None
        seen.append(Seen(mine, asked, time.monotonic(), version, error))
        await asyncio.sleep(_PAUSE_SECONDS)


async def _answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
    return int(lines[0].split()[1]), json.loads(await reader.readexactly(length))


async def hammer(port: int, path: str, body: bytes, connections: int) -> list[Seen]:
    """What all clients saw until standard input ended."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
    seen: list[Seen] = []
    enough = asyncio.Event()
    clients = [
        asyncio.create_task(client(port, head.encode() + body, seen, enough))
        for _ in range(connections)
    ]
    print("hammering", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    enough.set()
    await asyncio.gather(*clients)
    return seen


if __name__ == "__main__":
    of_port, to_path, with_body, number, file = sys.argv[1:]
    everything = asyncio.run(hammer(int(of_port), to_path, with_body.encode(), int(number)))
    Path(file).write_text(json.dumps([asdict(one) for one in everything]))
