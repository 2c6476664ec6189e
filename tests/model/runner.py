"""Stages that run step by step over the disk in memory, and outlive the loop that started them."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from mlbench.domain.stages import Stage
from mlbench.pipeline.running import Running, Start
from mlbench.pipeline.seen import Seen
from mlbench.pipeline.tree import Stat
from mlbench.system.processes import StageExit
from tests.model.disk import WHOLE_SECOND_NS, Disk
from tests.model.fakes import Process, package_file
from tests.model.oracle import PARAMS, PYTHON, ROOT, params_under, source_tree
from tests.model.scripts import FOLDER_OUTS, ScriptError, Steps, behave, contents, statements

_PYC = re.compile(r"(.*)/([^/]+)\.py$")
_SPAWN_NS = 5_000_000


class Fate(Enum):
    """What happens to a run apart from what its script does."""

    NONE = "none"
    FAILS_EARLY = "fails early"
    FAILS_LATE = "fails late"
    FORGETS_OUT = "forgets an out"


@dataclass
class Live:
    """One stage's process; `ending` is what its supervisor wrote down, when it has ended."""

    stage: Stage
    folder: str
    steps: Generator[None, None, None]
    view: DiskView
    is_supervised: bool = True
    is_stopping: bool = False
    ending: StageExit | None = None
    is_over: bool = False

    def advance(self) -> None:
        """One step of the script, or its end."""
        if self.is_over:
            return
        if self.is_stopping:
            self._end(-2, stopped=True)
            return
        try:
            next(self.steps)
        except StopIteration:
            self.view.is_whole = True
            self._end(0)
        except ScriptError:
            self.view.is_whole = True
            self._end(1)

    def kill(self) -> None:
        """As kill -9 on the stage's process does."""
        if not self.is_over:
            self._end(-9)

    def _end(self, code: int, *, stopped: bool = False) -> None:
        self.is_over = True
        self.steps.close()
        if self.is_supervised:
            self.ending = StageExit(code, self.stage.commands[0], stopped, False, 0.0, 0.0, 0)


@dataclass
class Machine:
    """The processes of the machine, by the folder that they write to."""

    disk: Disk
    rng: random.Random
    live: dict[str, Live] = field(default_factory=dict)
    next_fate: Fate = Fate.NONE
    wrote_persist: Callable[[str], None] = lambda path: None
    whole: dict[str, set[tuple[tuple[str, str], ...]]] = field(default_factory=dict)

    def running(self, stage: str) -> Live | None:
        """The process of a stage that has not ended."""
        found = (live for live in self.live.values() if live.stage.name == stage)
        return next((live for live in found if not live.is_over), None)

    def launch(self, start: Start) -> Live:
        fate, self.next_fate = self.next_fate, Fate.NONE
        view = DiskView(self.disk, dict(start.env))
        folder = str(start.folder)
        steps = self._steps(start.stage, view, fate)
        self.live[folder] = live = Live(start.stage, folder, steps, view)
        return live

    def _steps(self, stage: Stage, view: DiskView, fate: Fate) -> Generator[None, None, None]:
        self.disk.now += _SPAWN_NS + self.rng.randrange(30_000_000)
        yield
        value = yield from behave(stage, view)
        if fate is Fate.FAILS_EARLY:
            raise ScriptError("killed by the machine")
        files = contents(stage, value)
        last = [out.path for out in stage.outs if not out.persist][-1]
        for path, text in files.items():
            yield
            if path.startswith(last) and fate is Fate.FORGETS_OUT:
                continue
            view.write(path, text[: len(text) // 2])
            yield
            if path.startswith(last) and fate is Fate.FAILS_LATE:
                raise ScriptError("killed by the machine")
            view.write(path, text)
        for out in stage.outs:
            if out.persist:
                view.write(out.path, f"{self.disk.text(f'{ROOT}/{out.path}') or ''}+"[-9:])
                self.wrote_persist(out.path)
        self.whole.setdefault(stage.name, set()).add(tuple(sorted(files.items())))
        yield


class DiskView:
    """The disk as a script sees it, and as the trace hook notes it down."""

    def __init__(self, disk: Disk, env: dict[str, str]) -> None:
        self._disk = disk
        self._env = env
        self.python = disk.text(PYTHON) or ""
        self.reads: set[str] = set()
        self.writes: set[str] = set()
        self.listings: set[str] = set()
        self.modules: set[str] = set()
        self.packages: set[str] = set()
        self.params_read: dict[str, set[Stat]] = {}
        self.is_compiling = False
        self.is_whole = False

    def source(self, path: str) -> str:
        text = self._disk.text(f"{ROOT}/{path}")
        if text is None:
            raise ScriptError(f"{path}: there is no such script")
        return text

    def module(self, path: str) -> Steps:
        """As Python's import does it: what was compiled counts by second of mtime and size."""
        full = f"{ROOT}/{path}"
        self.modules.add(full)
        stat = self._disk.stat(full)
        if stat is None:
            raise ScriptError(f"ModuleNotFoundError: {path}")
        mark = f"{stat[1] // WHOLE_SECOND_NS} {stat[0]}\n"
        cache = pyc_of(full)
        compiled = self._disk.text(cache)
        if compiled is not None and compiled.startswith(mark):
            return compiled.removeprefix(mark)
        self.is_compiling = True
        yield
        source = self._disk.text(full)
        if source is None:
            raise ScriptError(f"FileNotFoundError: {path}")
        statements(source)
        yield
        self._disk.replace(cache, f"{mark}{source}".encode())
        self.is_compiling = False
        return source

    def is_module(self, path: str) -> bool:
        return self._disk.is_file(f"{ROOT}/{path}")

    def package(self, name: str) -> str | None:
        version = self._disk.text(package_file(name))
        if version is not None:
            self.packages.add(package_file(name))
        return version

    def read(self, path: str) -> str | None:
        self.reads.add(f"{ROOT}/{path}")
        return self._disk.text(f"{ROOT}/{path}")

    def listing(self, folder: str) -> list[str]:
        self.listings.add(f"{ROOT}/{folder}")
        return [n for n in self._disk.names(f"{ROOT}/{folder}") if not n.endswith((".swp", "~"))]

    def tree(self, path: str) -> list[tuple[str, str]]:
        found = source_tree(self._disk, path)
        self.reads |= {f"{ROOT}/{name}" for name, _ in found} or {f"{ROOT}/{path}"}
        return found

    def params(self, keys: tuple[str, ...]) -> list[tuple[str, str]]:
        stat = self._disk.stat(PARAMS)
        if stat is not None:
            self.params_read.setdefault(PARAMS, set()).add(stat)
        self.reads.add(PARAMS)
        return params_under(self._disk.text(PARAMS), keys)

    def env(self, name: str) -> str:
        return self._env.get(name, "none")

    def bump(self, path: str) -> None:
        text = self.read(path) or "0"
        self.write(path, str((int(text) if text.isdigit() else 0) + 1))

    def write(self, path: str, text: str) -> None:
        self.writes.add(f"{ROOT}/{path}")
        self._disk.write(f"{ROOT}/{path}", text.encode())

    def seen(self) -> Seen:
        if not self.is_whole:
            return Seen()
        versions = {path: frozenset(stats) for path, stats in self.params_read.items()}
        return Seen(
            traced=True,
            reads=frozenset(self.reads),
            writes=frozenset(self.writes),
            listings=frozenset(self.listings),
            modules=frozenset(self.modules),
            packages=frozenset(self.packages),
            params_read=versions,
        )


class FakeRunner:
    """Starts, adopts and stops the machine's processes for one process of the loop."""

    def __init__(
        self,
        machine: Machine,
        process: Process,
        on_start: Callable[[Stage], None],
        between: Callable[[Live], None],
        on_end: Callable[[], None],
    ) -> None:
        self._on_end = on_end
        self._machine = machine
        self._process = process
        self._on_start = on_start
        self._between = between

    def make_ready(self, folder: Path) -> None:
        self._process.step()
        live = self._machine.live.get(str(folder))
        assert live is None or live.is_over, "a folder was made ready while its stage runs"
        self._machine.live.pop(str(folder), None)

    def start(self, start: Start) -> Running:
        self._process.step()
        other = self._machine.running(start.stage.name)
        assert other is None, "a stage was started while it runs"
        self._on_start(start.stage)
        return _Running(self._machine.launch(start), self._process, self._between, self._on_end)

    def can_adopt(self, stage: str, folder: Path) -> bool:
        self._process.step()
        live = self._machine.live.get(str(folder))
        return live is not None and (
            live.ending is not None or (live.is_supervised and not live.is_over)
        )

    def adopt(self, stage: str, folder: Path) -> Running:
        self._process.step()
        return _Running(self._machine.live[str(folder)], self._process, self._between, self._on_end)

    def stop_leftover(self, folder: Path) -> bool:
        self._process.step()
        live = self._machine.live.get(str(folder))
        if live is None or live.is_over:
            return False
        live.kill()
        return True

    def seen(self, folder: Path) -> Seen:
        self._process.step()
        live = self._machine.live[str(folder)]
        is_python = live.stage.commands[0].startswith("python")
        return live.view.seen() if is_python else Seen()


@dataclass
class _Running:
    live: Live
    process: Process
    between: Callable[[Live], None]
    on_end: Callable[[], None]

    def stop(self) -> None:
        self.live.is_stopping = not self.live.is_over or self.live.is_stopping

    def wait(self) -> StageExit:
        while not self.live.is_over and self.live.is_supervised:
            self.process.step()
            self.between(self.live)
            self.live.advance()
        self.on_end()
        self.process.step()
        if self.live.ending is None:
            self.live.kill()
            return StageExit(-9, "supervisor", False, False, 0.0, 0.0, 0)
        return self.live.ending


def pyc_of(source: str) -> str:
    """Where Python keeps what it compiled."""
    match = _PYC.fullmatch(source)
    assert match is not None
    return f"{match[1]}/__pycache__/{match[2]}.cpython-311.pyc"


def is_folder_out(path: str) -> bool:
    """Whether an out is a folder."""
    return path in FOLDER_OUTS
