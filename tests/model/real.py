"""The model on a real disk: real Python with its .pyc, real edits, kills and clean builds."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from mlbench.domain.errors import ProjectFileError
from mlbench.domain.outcomes import StageOutcome, StageState
from mlbench.domain.stages import Out, ParamKeys, Project, Stage
from mlbench.pipeline.builder import Build
from mlbench.pipeline.job import BuildResult, Job
from mlbench.pipeline.workspace import Workspace
from mlbench.project.layout import Layout
from tests.model.laws import Violation
from tests.model.sources import ENV_NAME, SOURCES, params_text

# What gives the words of the model's little language a meaning, and the outs their contents.
HARNESS = """
import builtins, contextlib, hashlib, importlib, os, sys, tomllib

said = []
def look(name, must):
    try:
        with open(name) as file:
            said.append((name, file.read()))
    except FileNotFoundError:
        if must:
            raise
        said.append((name, None))
builtins.suppress = contextlib.suppress
builtins.read = lambda name: look(name, True)
builtins.probe = lambda name: look(name, False)
builtins.ls = lambda name: said.append((name, sorted(n for n in os.listdir(name) if n[-1] != "~")))
builtins.load = importlib.import_module
def fail():
    raise ValueError("was told to fail")
builtins.fail = fail
script, outs, deps, keys = (word.split(",") for word in sys.argv[1:5])
space = {"__name__": "__main__"}
exec(compile(open(script[0]).read(), script[0], "exec"), space)
said.append((space.get("K"), space.get("__doc__"), os.environ.get("NAME")))
for name, module in sorted(sys.modules.items()):
    if (getattr(module, "__file__", None) or "").startswith(os.getcwd()) and name != "__main__":
        place = os.path.relpath(module.__file__)
        said.append((name, place, getattr(module, "K", None), module.__doc__))
for dep in deps:
    for name in sorted(os.listdir(dep)) if os.path.isdir(dep) else [""]:
        with open(os.path.join(dep, name).rstrip("/")) as file:
            said.append((dep, name, file.read().lower()))
with open("params.toml", "rb") as file:
    params = tomllib.load(file)
for key in keys:
    value = params
    for part in key.split("."):
        value = value[part]
    said.append((key, value))
value = hashlib.md5(repr(said).encode()).hexdigest()[:10]
for out in outs:
    os.makedirs(os.path.dirname(out), exist_ok=True)
    for name in ("a.txt", "b.txt") if out.endswith("/") else ("",):
        with open(out + name, "w") as file:
            file.write(name + value[:5])
            file.flush()
            file.write(value[5:])
""".replace('"NAME"', repr(ENV_NAME))
PATHS = tuple(name for name in SOURCES if name not in ("report.py", "fit.py", "data/side.txt"))
_OFTEN = ("data/rows.txt", "util.py", "pkg/deep.py", "plug.py", "extra/a.txt", "side.py")
_SIDE = (
    "read('extra/a.txt')\nK = 1\n",
    "probe('extra/b.txt')\nls('extra')\n",
    "load('plug')\nread('build/clean.txt')\n",
    "K = 1\n",
)
_STAND = (StageOutcome.RAN, StageOutcome.UNCHANGED, StageOutcome.RESTORED)
_WORDS = {
    "prepare": "prepare.py build/clean.txt data/rows.txt,data/more prepare.suffix",
    "train": "train.py build/model.txt,build/parts/ build/clean.txt train.rate,train.size",
    "side": "side.py build/side.txt data/rows.txt prepare.suffix",
}
_NEEDS: dict[str, frozenset[str]] = {"prepare": frozenset(), "train": frozenset({"prepare"})}
Outs = dict[str, str | None]


def stage_of(name: str) -> Stage:
    """The stage with the words of its command."""
    _, outs, deps, keys = _WORDS[name].split()
    return Stage(
        name,
        (f"python -s harness.py {_WORDS[name]}",),
        deps=tuple(deps.split(",")),
        params=(ParamKeys("params.toml", tuple(keys.split(","))),),
        env=(ENV_NAME,),
        outs=tuple(Out(out.rstrip("/")) for out in outs.split(",")),
    )


PROJECT = Project("real", sys.executable, 2, tuple(map(stage_of, _WORDS)))


class RealHistory:
    """One real project, its loop, and the clean builds that it is held to."""

    def __init__(self, seed: int, root: Path, clean: Path) -> None:
        self.rng = random.Random(seed)
        self.root = root
        self.layout = Layout(root)
        self.workspace = Workspace.open(self.layout)
        self.outcomes: Counter[str] = Counter()
        self._clean_root = clean
        self._clean: dict[str, dict[str, Outs | None]] = {}
        self._whole: set[str] = set()
        self._branches: list[dict[str, str | None]] = []
        self._runs = 0
        (root / "harness.py").write_text(HARNESS)
        for path in PATHS:
            self._set(path, self._versions(path)[0])
        self._params = {"prepare.suffix": "1", "train.rate": "1", "train.size": "1"}
        self._write_params()

    def step(self) -> None:
        """One edit, look, build, or kill of the loop."""
        what = self.rng.choices(("edit", "look", "build", "kill"), (68, 10, 18, 4))[0]
        if what == "edit":
            self._edit()
        elif what == "look":
            self.look()
        elif what == "build":
            self._build_all()
        else:
            self._kill_the_loop()

    # What people do.

    def _edit(self) -> None:
        kind = self.rng.choices(
            ("edit", "keep mtime", "touch", "param", "branch", "tamper"), (12, 4, 2, 3, 5, 2)
        )[0]
        path = self.rng.choice(_OFTEN if self.rng.randrange(3) else PATHS)
        file = self.root / path
        if kind == "edit":
            self._set(path, self.rng.choice(self._versions(path)))
        elif kind == "keep mtime" and file.is_file():
            before = file.stat().st_mtime_ns
            self._set(path, self.rng.choice([v for v in self._versions(path) if v is not None]))
            os.utime(file, ns=(before, before))
        elif kind == "touch" and file.is_file():
            file.touch()
        elif kind == "param":
            name = self.rng.choice(tuple(self._params))
            self._params[name] = self.rng.choice("12")
            self._write_params()
        elif kind == "branch" and self._branches:
            for name, text in self.rng.choice(self._branches).items():
                if text != self._text(name):
                    self._set(name, text)
        elif kind == "tamper":
            self._tamper()

    def _tamper(self) -> None:
        files = [path for path in sorted(self.root.glob("build/**/*")) if path.is_file()]
        if files:
            file = self.rng.choice(files)
            if self.rng.randrange(2):
                file.unlink()
            else:
                file.write_text(self.rng.choice(("tampered", "again")))

    def _set(self, path: str, text: str | None) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            file.unlink(missing_ok=True)
        elif self.rng.randrange(2):
            file.write_text(text)
        else:
            beside = file.with_name(f"{file.name}~")
            beside.write_text(text)
            beside.rename(file)

    def _write_params(self) -> None:
        values: dict[str, str | None] = dict(self._params)
        (self.root / "params.toml").write_text(params_text(values, self.rng.randrange(2)))

    def _versions(self, path: str) -> tuple[str | None, ...]:
        return _SIDE if path == "side.py" else SOURCES[path]

    def _text(self, path: str) -> str | None:
        file = self.root / path
        return file.read_text() if file.is_file() else None

    # Looks and builds.

    def look(self) -> None:
        """No false fresh."""
        with contextlib.suppress(ProjectFileError):
            for status in self.workspace.plan(PROJECT).stages:
                if status.state is StageState.FRESH:
                    self._check(status.name, "is called fresh")

    def _build_all(self) -> None:
        """A quiet build, or one in which something happens at a random moment."""
        meddle = self.rng.choice((None, None, self._edit, self._kill_a_stage))
        before = self.clean() if meddle is None else {}
        was_whole = self._state() in self._whole
        outcomes: dict[str, StageOutcome] = {}
        for name in self.workspace.plan(PROJECT).needs:
            needs = self.workspace.needs(PROJECT)[name]
            if all(outcomes.get(up) in _STAND for up in needs):
                outcomes[name] = self._build(name, meddle).outcome
                self._hold_to(name, outcomes[name], before, was_whole)
        if meddle is None and len(outcomes) == len(_WORDS) and set(outcomes.values()) <= {*_STAND}:
            self._whole.add(self._state())
        self._branches = [*self._branches[-3:], {path: self._text(path) for path in PATHS}]
        self.look()

    def _hold_to(
        self, name: str, outcome: StageOutcome, clean: dict[str, Outs | None], was_whole: bool
    ) -> None:
        if not clean:
            return
        if outcome in _STAND:
            self._check(name, f"is called {outcome.word}")
        elif outcome is StageOutcome.FAILED and clean[name] is not None:
            raise Violation(f"{name} failed, and need not")
        if outcome is StageOutcome.RAN and was_whole:
            raise Violation(f"{name} ran, and need not")

    def _build(self, name: str, meddle: Callable[[], None] | None) -> BuildResult:
        before = self._outs(name)
        build = self._start(name)
        with _at_some_moment(self.rng, meddle):
            result = build.run()
        self.outcomes[result.outcome.word] += 1
        if result.outcome not in _STAND and meddle != self._edit and self._outs(name) != before:
            raise Violation(f"{name}: after {result.outcome.word} there is {self._outs(name)}")
        return result

    def _start(self, name: str) -> Build:
        self._runs += 1
        folder = self.layout.stage_folder(str(self._runs), name)
        return Build(
            self.workspace,
            PROJECT,
            PROJECT.stage(name),
            Job(str(self._runs), folder),
            on_start=lambda reasons: None,
            logged=lambda folder: {},
        )

    # Kills.

    def _kill_a_stage(self) -> None:
        """The stage's group or its supervisor, as far as one is written down."""
        key = self.rng.choice(("group", "supervisor"))
        for record in self.layout.runs.glob(f"{self._runs}/stages/*/process.json"):
            with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
                if not (record.parent / "exit.json").exists():
                    os.kill(json.loads(record.read_bytes())[key][0], signal.SIGKILL)

    def _kill_the_loop(self) -> None:
        """The loop dies at a random moment of a build; the next one goes on, or takes back."""
        name = self.rng.choice(tuple(_WORDS))
        before, clean = self._outs(name), self.clean()[name]
        build = self._start(name)
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                build.run()
            os._exit(0)
        time.sleep(self.rng.random() * 0.15)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        self.workspace = Workspace.open(self.layout)
        for launch in self.workspace.unfinished():
            adopted = Build.adopt(self.workspace, PROJECT, launch, logged=lambda folder: {})
            self.outcomes[f"adopted {adopted.run().outcome.word}"] += 1
        self.workspace.recover()
        left = [*self.layout.state.glob("intents/*"), *self.layout.aside.glob("*")]
        if left:
            raise Violation(f"after recovery there still is {left}")
        # Its upstream may be of another state: what ran on that is new, and whole.
        found = self._outs(name)
        values = {_value(text) for text in found.values()}
        if found not in (before, clean) and len(values) > 1:
            raise Violation(f"{name}: after a kill there is {found}, was {before}")
        self.look()

    # Clean builds.

    def clean(self) -> dict[str, Outs | None]:
        """What each stage gives in a fresh copy of the sources; None where it fails."""
        state = self._state()
        if state not in self._clean:
            self._clean[state] = self._build_clean()
        return self._clean[state]

    def _build_clean(self) -> dict[str, Outs | None]:
        shutil.rmtree(self._clean_root, ignore_errors=True)
        left_out = shutil.ignore_patterns(".mlbench", "__pycache__", "build", "*~")
        shutil.copytree(self.root, self._clean_root, ignore=left_out)
        found: dict[str, Outs | None] = {}
        for name, words in _WORDS.items():
            reads = "build/clean.txt" in (self._text(f"{name}.py") or "") or name == "train"
            if reads and found["prepare"] is None:
                found[name] = None
                continue
            command = [sys.executable, "-s", "-B", "harness.py", *words.split()]
            ended = subprocess.run(command, cwd=self._clean_root, capture_output=True, check=False)
            found[name] = self._outs(name, self._clean_root) if ended.returncode == 0 else None
        return found

    def _state(self) -> str:
        names = (*PATHS, "params.toml")
        return json.dumps([self._text(name) for name in names])

    def _outs(self, name: str, root: Path | None = None) -> Outs:
        found: Outs = {}
        for out in PROJECT.stage(name).out_paths:
            path = (root or self.root) / out
            files = sorted(path.glob("*")) if path.is_dir() else [path]
            for file in files:
                text = file.read_text() if file.is_file() else None
                found[file.relative_to(root or self.root).as_posix()] = text
        return found

    def _check(self, name: str, what: str) -> None:
        clean, found = self.clean()[name], self._outs(name)
        if clean is None or found != clean:
            raise Violation(f"{name} {what} with {found}, and should be {clean}")


def _value(text: str | None) -> str:
    return "none" if text is None else text[-10:]


@contextlib.contextmanager
def _at_some_moment(rng: random.Random, do: Callable[[], None] | None) -> Iterator[None]:
    """Do something while the block is in it, at a moment that nobody chooses."""
    if do is None:
        yield
        return
    delays = [rng.random() * 0.15 for _ in range(3)]

    def meddle() -> None:
        for delay in delays:
            time.sleep(delay)
            do()

    thread = threading.Thread(target=meddle)
    thread.start()
    try:
        yield
    finally:
        thread.join()
