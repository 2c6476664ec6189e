"""What a client may ask of a connection before it is refused."""

from __future__ import annotations

from mlbench.domain.records import dataclass

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a server's connections, in bytes and seconds.

    `body_bytes` holds on the wire and once more when decompressed, `held_bytes` for the bodies of
    all connections together. A client must send a request's
    head within `header_seconds` of its first byte, its body within `body_seconds` of the head, and
    read its answer within `body_seconds`, too; between requests it may be silent for
    `idle_seconds`.
    """

    connections: int = 1024
    header_bytes: int = 32 * 1024
    body_bytes: int = 64 * MEBIBYTE
    held_bytes: int = 512 * MEBIBYTE
    path_bytes: int = 8 * 1024
    header_seconds: float = 10.0
    body_seconds: float = 60.0
    idle_seconds: float = 75.0
