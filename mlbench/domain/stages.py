"""A project's stages, models and environments, as its files declare them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar


@dataclass(frozen=True, slots=True)
class Out:
    """A file or folder that a stage writes, relative to the project."""

    path: str
    cache: bool = True
    persist: bool = False


@dataclass(frozen=True, slots=True)
class ParamKeys:
    """The dotted keys of one params file that a stage depends on; no keys means the whole file."""

    file: str
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stage:
    """One build or test step: its commands, what they read and what they give."""

    name: str
    commands: tuple[str, ...]
    wdir: str = "."
    deps: tuple[str, ...] = ()
    params: tuple[ParamKeys, ...] = ()
    env: tuple[str, ...] = ()
    outs: tuple[Out, ...] = ()
    metrics: tuple[str, ...] = ()
    kind: str = "build"
    timeout: float | None = None
    on_edit: str = "auto"
    frozen: bool = False
    always_changed: bool = False
    desc: str = ""

    @property
    def is_test(self) -> bool:
        """Whether its single test results are read and shown."""
        return self.kind == "test"

    @property
    def out_paths(self) -> tuple[str, ...]:
        """The paths of its outs, metrics files among them."""
        return tuple(out.path for out in self.outs)


@dataclass(frozen=True, slots=True)
class GateSpec:
    """One gate as written: an expression and whether failing it stops a promotion."""

    check: str
    level: str = "error"


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model that can be released: which stage makes it, where it lies, what it must hold."""

    name: str
    stage: str
    path: str
    sample: str | None = None
    target: str | None = None
    gates: tuple[GateSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class EnvironmentSpec:
    """A place to serve from: its port on loopback and which environments come before it."""

    name: str
    port: int
    require: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Project:
    """Everything the project's files say, checked."""

    name: str
    python: str
    jobs: int
    stages: tuple[Stage, ...]
    models: tuple[ModelSpec, ...] = ()
    environments: tuple[EnvironmentSpec, ...] = ()
    objective: str | None = None
    lines: Mapping[str, int] = field(default_factory=dict)

    def stage(self, name: str) -> Stage:
        """The stage of this name; KeyError where there is none."""
        return _named(self.stages, name)

    def model(self, name: str) -> ModelSpec:
        """The model of this name; KeyError where there is none."""
        return _named(self.models, name)

    def environment(self, name: str) -> EnvironmentSpec:
        """The environment of this name; KeyError where there is none."""
        return _named(self.environments, name)


_Named = TypeVar("_Named", Stage, ModelSpec, EnvironmentSpec)


def _named(values: tuple[_Named, ...], name: str) -> _Named:
    """The value with this name; KeyError where there is none."""
    for value in values:
        if value.name == name:
            return value
    raise KeyError(name)
