"""A project's stages, models and environments, as its files declare them."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import field
from typing import TypeVar

from mlbench.domain.records import dataclass
from mlbench.domain.serving import CanarySpec, ServerSettings, ShadowSpec
from mlbench.domain.sweeps import Sweep

LARGEST_UNASKED = 5_000_000_000


@dataclass(frozen=True, slots=True)
class Out:
    """A file or folder that a stage writes, relative to the project.

    `cache_asked` says that `cache = true` was written, so that it is kept whatever its size.
    """

    path: str
    cache: bool = True
    persist: bool = False
    cache_asked: bool = False

    def is_cached(self, size: int) -> bool:
        """Whether it goes into the cache when it has so many bytes: over 5 GB only if asked."""
        return self.cache and (self.cache_asked or size <= LARGEST_UNASKED)


@dataclass(frozen=True, slots=True)
class Plot:
    """A file of rows that a stage writes as it goes, or a folder of such, as dvc.yaml has it.

    `x` names the column of steps, `y` those of values; without `x` it is "step" or the rows are
    counted, without `y` it is the last column. Without a `header` columns are numbered from 0.
    """

    path: str
    x: str = ""
    y: tuple[str, ...] = ()
    header: bool = True
    template: str = ""


@dataclass(frozen=True, slots=True)
class ParamKeys:
    """The dotted keys of one params file that a stage depends on; no keys means the whole file."""

    file: str
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Resources:
    """What a stage takes of the machine: cores, GPUs, bytes of memory; None: not said."""

    cpu: int | None = None
    gpu: int = 0
    memory: int | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """One build or test step: its commands, what they read and what they give.

    `stat_deps` are those of its deps that count by their stat, never by their content; `launch` is
    put before each command and is no part of what it means.
    """

    name: str
    commands: tuple[str, ...]
    wdir: str = "."
    deps: tuple[str, ...] = ()
    params: tuple[ParamKeys, ...] = ()
    env: tuple[str, ...] = ()
    outs: tuple[Out, ...] = ()
    metrics: tuple[str, ...] = ()
    plots: tuple[Plot, ...] = ()
    kind: str = "build"
    timeout: float | None = None
    on_edit: str = "auto"
    frozen: bool = False
    always_changed: bool = False
    desc: str = ""
    retries: int = 0
    deterministic: bool = True
    isolate: bool = False
    launch: tuple[str, ...] = ()
    resources: Resources = Resources()
    stat_deps: frozenset[str] = frozenset()

    @property
    def is_test(self) -> bool:
        """Whether its single test results are read and shown."""
        return self.kind == "test"

    @property
    def out_paths(self) -> tuple[str, ...]:
        """The paths of its outs, files of metrics and plots among them."""
        return tuple(out.path for out in self.outs)


@dataclass(frozen=True, slots=True)
class GateSpec:
    """One gate as written: an expression and whether failing it stops a promotion.

    A gate by slice leaves out slices of fewer than `min_rows` rows.
    """

    check: str
    level: str = "error"
    min_rows: int = 30


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model that can be released: which stage makes it, where it lies, what it must hold.

    `exporter` and `factory` are `module:function` of the project: its own way to ONNX, and what
    makes the module that a PyTorch state dict belongs to. `predictions` is a table for gates by
    slice.
    """

    name: str
    stage: str
    path: str
    sample: str | None = None
    target: str | None = None
    gates: tuple[GateSpec, ...] = ()
    format: str = "onnx"
    exporter: str | None = None
    factory: str | None = None
    predictions: str | None = None


@dataclass(frozen=True, slots=True)
class EnvironmentSpec:
    """A place to serve from: its port, how it serves, and which environments come before it.

    `on_promote` is a command that tells the world outside what is live now.
    """

    name: str
    port: int
    require: tuple[str, ...] = ()
    on_promote: str | None = None
    settings: ServerSettings = ServerSettings()
    canary: CanarySpec = CanarySpec()
    shadow: ShadowSpec = ShadowSpec()


@dataclass(frozen=True)
class Project:
    """Everything the project's files say, checked; `cache_limit` is in bytes, None: not named."""

    name: str
    python: str
    jobs: int
    stages: tuple[Stage, ...]
    models: tuple[ModelSpec, ...] = ()
    environments: tuple[EnvironmentSpec, ...] = ()
    sweeps: tuple[Sweep, ...] = ()
    objective: str | None = None
    cache_limit: int | None = None
    lines: Mapping[str, int] = field(default_factory=dict)

    def stage(self, name: str) -> Stage:
        """The stage of this name; KeyError where there is none."""
        return self._stages_by_name[name]

    @functools.cached_property
    def _stages_by_name(self) -> dict[str, Stage]:
        return {stage.name: stage for stage in self.stages}

    def model(self, name: str) -> ModelSpec:
        """The model of this name; KeyError where there is none."""
        return _named(self.models, name)

    def environment(self, name: str) -> EnvironmentSpec:
        """The environment of this name; KeyError where there is none."""
        return _named(self.environments, name)


_Named = TypeVar("_Named", ModelSpec, EnvironmentSpec)


def _named(values: tuple[_Named, ...], name: str) -> _Named:
    """The value with this name; KeyError where there is none."""
    for value in values:
        if value.name == name:
            return value
    raise KeyError(name)
