"""What a clean build of the sources as they stand gives; knows nothing of the decision core."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from mlbench.domain.stages import Stage
from tests.model.disk import Disk
from tests.model.fakes import package_file
from tests.model.scripts import ScriptError, Steps, behave, contents, statements

ROOT = "/p"
PARAMS = f"{ROOT}/params.toml"
PYTHON = "/python/bin/python"
_PARAM = re.compile(r"(\w+)\s*=\s*(\S+)")
_NOISE = re.compile(r".*\.swp$|.*~$|^__pycache__$")


@dataclass(frozen=True, slots=True)
class Clean:
    """A stage's clean build: its outs' files, None where it fails; all its inputs; its upstream."""

    outs: Mapping[str, str] | None
    inputs: tuple[str, ...]
    needs: frozenset[str]
    rewrites: bool


class Oracle:
    """Clean builds of the stages over the sources as they stand now."""

    def __init__(self, disk: Disk, stages: tuple[Stage, ...], env: Mapping[str, str]) -> None:
        self.disk = disk
        self.env = env
        self._stages = {stage.name: stage for stage in stages}
        self._makers = {out: stage for stage in stages for out in stage.out_paths}
        self._clean: dict[str, Clean] = {}
        self._on_the_way: list[str] = []

    def clean(self, name: str) -> Clean:
        """By recursion over what its script reads; a stage that needs itself fails."""
        if name not in self._clean:
            if name in self._on_the_way:
                return Clean(None, ("circle",), frozenset(), False)
            self._on_the_way.append(name)
            self._clean[name] = self._build(self._stages[name])
            self._on_the_way.pop()
        return self._clean[name]

    def maker(self, path: str) -> Stage | None:
        """The stage whose out a path is or lies in."""
        while path:
            if path in self._makers:
                return self._makers[path]
            path = path.rpartition("/")[0]
        return None

    def _build(self, stage: Stage) -> Clean:
        view = _SourceView(self, stage)
        try:
            value = _result(behave(stage, view))
        except ScriptError:
            outs = None
        else:
            outs = contents(stage, value)
        inputs = (stage.commands[0], stage.wdir, *sorted(stage.out_paths), *view.inputs)
        return Clean(outs, inputs, frozenset(view.needs), view.rewrites)


class _SourceView:
    """The sources, with clean outs where a stage makes them; notes all that is looked at."""

    def __init__(self, oracle: Oracle, stage: Stage) -> None:
        self._oracle = oracle
        self._stage = stage
        self._text = oracle.disk.text
        self.python = self._text(PYTHON) or ""
        self.inputs: list[str] = [f"python {self.python}"]
        self.needs: set[str] = set()
        self.rewrites = False

    def source(self, path: str) -> str:
        text = self._text(f"{ROOT}/{path}")
        if text is None:
            raise ScriptError(f"{path}: there is no such script")
        self.inputs.append(f"code {path} {_meaning(text)}")
        return text

    def module(self, path: str) -> Steps:
        yield from ()
        return self.source(path)

    def is_module(self, path: str) -> bool:
        return self._oracle.disk.is_file(f"{ROOT}/{path}")

    def package(self, name: str) -> str | None:
        version = self._text(package_file(name))
        self.inputs.append(f"package {name} {version}")
        return version

    def read(self, path: str) -> str | None:
        maker = self._oracle.maker(path)
        text = self._made(maker, path) if maker else self._text(f"{ROOT}/{path}")
        self.inputs.append(f"read {path} {text}")
        return text

    def listing(self, folder: str) -> list[str]:
        names = [n for n in self._oracle.disk.names(f"{ROOT}/{folder}") if not _NOISE.match(n)]
        self.inputs.append(f"ls {folder} {names}")
        return names

    def tree(self, path: str) -> list[tuple[str, str]]:
        maker = self._oracle.maker(path)
        texts = self._made_tree(maker, path) if maker else source_tree(self._oracle.disk, path)
        self.inputs.append(f"dep {path} {texts}")
        return texts

    def params(self, keys: tuple[str, ...]) -> list[tuple[str, str]]:
        found = params_under(self._text(PARAMS), keys)
        self.inputs.append(f"params {found}")
        return found

    def env(self, name: str) -> str:
        value = self._oracle.env.get(name, "none")
        self.inputs.append(f"env {name} {value}")
        return value

    def bump(self, path: str) -> None:
        self.rewrites = True
        self.inputs.append(f"bump {path} {self._text(f'{ROOT}/{path}')}")

    def _made(self, maker: Stage, path: str) -> str | None:
        return dict(self._made_tree(maker, path)).get(path)

    def _made_tree(self, maker: Stage, path: str) -> list[tuple[str, str]]:
        self.needs.add(maker.name)
        outs = self._oracle.clean(maker.name).outs
        if outs is None:
            self.inputs.append(f"{maker.name} fails")
            raise ScriptError(f"{maker.name} fails")
        return sorted((n, t) for n, t in outs.items() if n == path or n.startswith(f"{path}/"))


def source_tree(disk: Disk, path: str) -> list[tuple[str, str]]:
    """The files of a dep with their texts, without what tools leave behind."""
    found = []
    for name in sorted(disk.files(f"{ROOT}/{path}")):
        short = name.removeprefix(f"{ROOT}/")
        if not any(map(_NOISE.match, short.split("/"))):
            found.append((short, disk.read(name).decode()))
    return found


def params_under(text: str | None, keys: tuple[str, ...]) -> list[tuple[str, str]]:
    """The parameters under some keys; ScriptError where one is not there."""
    if text is None:
        raise ScriptError("params.toml: there is no such file")
    found: dict[str, str] = {}
    table = ""
    for raw in text.splitlines():
        line = raw.partition("#")[0].strip()
        if line.startswith("["):
            table = line.strip("[]")
        elif line:
            match = _PARAM.fullmatch(line)
            if match is None:
                raise ScriptError("params.toml: not valid TOML")
            found[f"{table}.{match[1]}"] = match[2]
    chosen: dict[str, str] = {}
    for key in keys:
        under = {n: v for n, v in found.items() if n == key or n.startswith(f"{key}.")}
        if not under:
            raise ScriptError(f"params.toml: no {key}")
        chosen |= under
    return sorted(chosen.items())


def _meaning(source: str) -> str:
    try:
        return str(statements(source))
    except ScriptError:
        return source


def _result(steps: Steps) -> str:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return str(end.value)
