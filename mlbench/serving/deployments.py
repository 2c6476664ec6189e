"""Which versions answer: follows an environment's deployment file and swaps without a gap."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mlbench.domain.errors import ServingError
from mlbench.domain.release import DeployedModel, Deployment
from mlbench.serving.models import LoadedModel, load
from mlbench.serving.state import read_deployment

_POLL_SECONDS = 0.05

_Stamp = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class Live:
    """What is served at one moment; `attempted` is the order of the newest deployment seen.

    `staged` versions answer only to who names their number.
    """

    order: int = 0
    models: Mapping[str, LoadedModel] = field(default_factory=dict)
    error: str = ""
    attempted: int = 0
    staged: Mapping[str, LoadedModel] = field(default_factory=dict)
    staged_error: str = ""


def follow(live: Live, deployment: Deployment) -> Live:
    """Load and warm what a deployment adds; a model that can't be loaded stays as it was.

    It holds up no other: one lost file must not take the environment's other models along, nor
    the version that is to take its place. A staged version that can't be loaded is left out.
    """
    known = (*live.models.values(), *live.staged.values())
    loaded, error = _loaded(known, deployment.models)
    named = {model.name for model in deployment.models}
    stays = {name: model for name, model in live.models.items() if name in named}
    staged, staged_error = _loaded(known, deployment.staged)
    order = live.order if error else deployment.order
    return Live(order, {**stays, **loaded}, error, deployment.order, staged, staged_error)


def _loaded(
    known: Iterable[LoadedModel], wanted: Iterable[DeployedModel]
) -> tuple[dict[str, LoadedModel], str]:
    """Those that are in memory or can be loaded, and why the first of the others can't be."""
    loaded, error = {}, ""
    for model in wanted:
        try:
            loaded[model.name] = _kept(known, model) or load(model)
        except ServingError as refused:
            error = error or str(refused)
    return loaded, error


def _kept(known: Iterable[LoadedModel], wanted: DeployedModel) -> LoadedModel | None:
    """The version that is wanted, where it is loaded already."""
    return next((loaded for loaded in known if loaded.deployed == wanted), None)


class DeploymentFollower:
    """Holds what is live and renews it from the file, in a thread of its own.

    A request takes `live` once and keeps it to its end: the swap is one assignment, so an answer
    is never half of one version and half of another.
    """

    def __init__(self, path: Path, tell: Callable[[Live], None]) -> None:
        """`tell` hears of every change, in the thread, and again later where it raised OSError."""
        self.live = Live()
        self._path = path
        self._tell = tell
        self._told: Live | None = None
        self._watched: tuple[Path, ...] = (path,)
        self._seen: _Stamp | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="deployments", daemon=True)

    def start(self) -> None:
        """Begin to follow the file."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Follow no longer; a load under way is given `timeout` seconds, and then not told of."""
        self._stopping.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._look()
            self._stopping.wait(_POLL_SECONDS)

    def _look(self) -> None:
        if _stamp(self._watched) != self._seen:
            self._renew()
        if self._told is not self.live and not self._stopping.is_set():
            told = self.live
            with contextlib.suppress(OSError):
                self._tell(told)
                self._told = told

    def _renew(self) -> None:
        """Take every stamp before what it stands for is read, so that no change is missed.

        The models' files are watched too: whoever puts a missing one back need not promote again.
        """
        self._watched, self._seen = (self._path,), _stamp((self._path,))
        try:
            deployment = read_deployment(self._path)
        except ServingError as error:
            self.live = replace(self.live, error=str(error))
            return
        if deployment is None:
            gone = f"{self._path}: is gone; promote again to write it anew"
            self.live = replace(self.live, error=gone if self.live.models else "")
            return
        files = tuple(Path(model.path) for model in (*deployment.models, *deployment.staged))
        self._watched, self._seen = (self._path, *files), (*self._seen, *_stamp(files))
        self.live = follow(self.live, deployment)


def _stamp(paths: tuple[Path, ...]) -> _Stamp:
    """What changes whenever one of these files does."""
    return tuple(_file_stamp(path) for path in paths)


def _file_stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
