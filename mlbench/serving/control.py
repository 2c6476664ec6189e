"""What a supervisor and its workers tell each other, one JSON line each over a socket pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import ClassVar, get_args

import orjson

from mlbench.domain.plain import from_plain, to_plain
from mlbench.domain.records import dataclass
from mlbench.domain.release import DeployedModel, Deployment


@dataclass(frozen=True, slots=True)
class Prepare:
    """To a worker: load and warm all that this deployment needs beside what is live.

    `loaded` are versions that somebody asked for over the protocol. `number` counts preparations
    and is told again with Commit.
    """

    kind: ClassVar[str] = "prepare"
    number: int
    deployment: Deployment
    loaded: tuple[DeployedModel, ...] = ()


@dataclass(frozen=True, slots=True)
class Prepared:
    """From a worker: what was prepared is in memory, but for the versions that `errors` names.

    `errors` are sentences by `model@version`.
    """

    kind: ClassVar[str] = "prepared"
    number: int
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Commit:
    """To a worker: answer new requests from what was prepared; what is under way ends as it began.

    Versions in `without` could not be loaded by every worker: what stood in their place stays.
    """

    kind: ClassVar[str] = "commit"
    number: int
    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Committed:
    """From a worker: it answers from this preparation now."""

    kind: ClassVar[str] = "committed"
    number: int


@dataclass(frozen=True, slots=True)
class Share:
    """To a worker: the shares of traffic of one model's versions now, as a canary moves."""

    kind: ClassVar[str] = "share"
    model: str
    weights: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Copy:
    """To a worker: which share of one model's requests it offers to the shadow now."""

    kind: ClassVar[str] = "copy"
    model: str
    share: float


@dataclass(frozen=True, slots=True)
class Ask:
    """From a worker: a client asks to `load` or `unload` versions, or for the `index`.

    `versions` are those that it named; empty means the protocol's default.
    """

    kind: ClassVar[str] = "ask"
    number: int
    what: str
    model: str = ""
    versions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Indexed:
    """One version in the repository's index: `state` is READY or UNAVAILABLE, `reason` why."""

    name: str
    version: str
    state: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """To a worker: what became of what it asked, with a sentence where `status` is not 200."""

    kind: ClassVar[str] = "told"
    number: int
    status: int = 200
    error: str = ""
    index: tuple[Indexed, ...] = ()


@dataclass(frozen=True, slots=True)
class Finish:
    """To a worker: take no more connections, end what is under way within so many seconds."""

    kind: ClassVar[str] = "finish"
    seconds: float


Message = Prepare | Prepared | Commit | Committed | Share | Copy | Ask | Told | Finish
_KINDS: dict[str, type[Message]] = {kind.kind: kind for kind in get_args(Message)}


def written(message: Message) -> bytes:
    """A message as one line."""
    return orjson.dumps({"kind": message.kind, **to_plain(message)}) + b"\n"


def read(line: bytes) -> Message:
    """The message of a line; ValueError or KeyError where it is none."""
    plain = orjson.loads(line)
    return from_plain(_KINDS[plain["kind"]], plain)
