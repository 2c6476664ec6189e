"""What a supervisor and its workers tell each other, one JSON line each over a socket pair."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
class Loading:
    """From a worker, written before it begins to load a version, for it may die of that.

    `version` is `model@version`.
    """

    kind: ClassVar[str] = "loading"
    number: int
    version: str


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

    Every worker has all of it in memory. `without` says by `model@version` why versions that should
    be served are not among what was prepared, for who asks for them.
    """

    kind: ClassVar[str] = "commit"
    number: int
    without: Mapping[str, str] = field(default_factory=dict)


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


@dataclass(frozen=True, slots=True)
class Ping:
    """To a worker: say Pong at once, whatever else waits; who is silent for long is replaced."""

    kind: ClassVar[str] = "ping"


@dataclass(frozen=True, slots=True)
class Pong:
    """From a worker: its event loop turns."""

    kind: ClassVar[str] = "pong"


Message = (
    Prepare
    | Loading
    | Prepared
    | Commit
    | Committed
    | Share
    | Copy
    | Ask
    | Told
    | Ping
    | Pong
    | Finish
)
_KINDS: dict[str, type[Message]] = {kind.kind: kind for kind in get_args(Message)}


def written(message: Message) -> bytes:
    """A message as one line."""
    return orjson.dumps({"kind": message.kind, **to_plain(message)}) + b"\n"


def read(line: bytes) -> Message:
    """The message of a line; ValueError or KeyError where it is none."""
    plain = orjson.loads(line)
    return from_plain(_KINDS[plain["kind"]], plain)


def key_of(deployed: DeployedModel) -> str:
    """`digits@3`: how supervisor and workers name a version."""
    return f"{deployed.name}@{deployed.version}"


def needed(deployment: Deployment, loaded: Iterable[DeployedModel]) -> tuple[DeployedModel, ...]:
    """Every version that a deployment needs in memory, the live ones first, once each."""
    wanted: dict[str, DeployedModel] = {}
    for model in (*deployment.models, *deployment.beside, *deployment.staged, *loaded):
        wanted.setdefault(key_of(model), model)
    return tuple(wanted.values())
