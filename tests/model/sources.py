"""The model's project: its stages, and the few versions that each of its files has."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mlbench.domain.stages import Out, ParamKeys, Project, Stage

# Versions of one length, that an edit may keep the size; None: the file is not there.
SOURCES: dict[str, tuple[str | None, ...]] = {
    "data/rows.txt": ("abcd", "ABCD", "efgh", "abcdefgh", ""),
    "data/more/x.txt": ("x111", "x222", None),
    "data/more/y.txt": (None, "y111", "y222"),
    "data/side.txt": ("s111", "s222"),
    "extra/a.txt": ("a1", "a2", "a3"),
    "extra/b.txt": (None, "b1", "b2"),
    "extra/c.txt": (None, "c1"),
    "prepare.py": (
        "import util\nK = 1\n",
        "import util\nK = 2\n",
        "import util\nK = 1\n# note\n",
        '"""Doc."""\nimport util\nK = 1\n',
        "K = 1\n",
        "import util\nfail()\n",
        "import util\nK = (\n",
    ),
    "util.py": (
        "K = 1\n",
        "K = 2\n",
        "K = 1  # a\n",
        "K = 2  # b\n",
        "K = (1)\n",
        '"""D."""\nK = 1\n',
        "with suppress(ImportError): import opt\n",
    ),
    "util/__init__.py": (None, None, "K = 1\n", "K = 9\n"),
    "opt.py": (None, "K = 1\n", "K = 2\n"),
    "train.py": (
        "import pkg.rule\nK = 1\n",
        "import pkg.rule\nK = 2\n",
        "import pkg.rule\nimport util\n",
        "from pkg import rule\nK = 1\n",
    ),
    "pkg/__init__.py": ("", "# empty\n", "K = 7\n"),
    "pkg/rule.py": (
        "import pkg.deep\nK = 1\n",
        "import pkg.deep\nK = 2\n",
        "from . import deep\nK = 1\n",
    ),
    "pkg/deep.py": ("K = 1\n", "K = 2\n", "K = 1  # c\n", "K = 3\n"),
    "report.py": (
        "read('extra/a.txt')\nK = 1\n",
        "probe('extra/b.txt')\nK = 1\n",
        "ls('extra')\nload('plug')\n",
        "load('plug')\nK = 1\n",
        "import alpha\nload('plug')\n",
        "import alpha\nimport beta\n",
        "probe('extra/b.txt')\nread('extra/a.txt')\n",
        "read('build/parts/a.txt')\nK = 1\n",
        "K = 1\n",
    ),
    "side.py": (
        "read('build/clean.txt')\nK = 1\n",
        "probe('build/clean.txt')\nls('extra')\n",
        "load('plug')\nread('extra/a.txt')\n",
        "K = 1\n",
    ),
    "fit.py": ("bump('state/count.txt')\nK = 1\n", "K = 1\n", "bump('state/count.txt')\nK = 2\n"),
    "plug.py": ("K = 1\n", "K = 2\n", "K = 3\n", "K = 1  # p\n"),
}
COUNTER = "state/count.txt"
PARAM_VALUES = {
    "prepare.suffix": ("1", "2"),
    "train.rate": ("1", "2", "3"),
    "train.size": ("1", "2", None),
    "other.key": ("1", "2", "3", None),
}
NOISE = ("data/more/.x.txt.swp", "extra/a.txt~", "data/more/__pycache__/x.pyc")
PACKAGES = {"alpha": ("1.0", "1.1", None), "beta": ("2.0", "2.1", None)}
PYTHONS = ("3.11", "3.12")
ENV_NAME = "MLBENCH_MODEL_TEST"
ENV_VALUES = ("one", "two", None)

_STAGES = (
    Stage(
        "prepare",
        ("python prepare.py --mode 1",),
        deps=("data/rows.txt", "data/more"),
        params=(ParamKeys("params.toml", ("prepare.suffix",)),),
        env=(ENV_NAME,),
        outs=(Out("build/clean.txt"),),
    ),
    Stage(
        "train",
        ("python train.py",),
        deps=("build/clean.txt",),
        params=(ParamKeys("params.toml", ("train",)),),
        outs=(Out("build/model.txt"), Out("build/parts")),
    ),
    Stage(
        "report",
        ("python report.py",),
        deps=("build/model.txt",),
        outs=(Out("build/report.txt"),),
    ),
    Stage(
        "side",
        ("python side.py",),
        deps=("data/side.txt",),
        outs=(Out("build/side.txt"),),
    ),
    Stage(
        "sort",
        ("sort data/rows.txt data/side.txt",),
        outs=(Out("build/sorted.txt", cache=False),),
    ),
    Stage(
        "fit",
        ("python fit.py",),
        deps=("data/side.txt",),
        outs=(Out("build/fit.txt"), Out("build/ckpt.txt", persist=True)),
    ),
    Stage("where", ("pwd",), outs=(Out("build/where.txt"),)),
)
_COMMANDS = ("python prepare.py --mode 1", "python prepare.py --mode 2")
_MORE_OUTS = ((), (Out("build/note.txt"),))
_WDIRS = (".", "data")


@dataclass(frozen=True)
class Configuration:
    """What the project's own file says, as far as the histories change it."""

    names: tuple[str, ...]
    command: int = 0
    more_outs: int = 0
    wdir: int = 0

    def project(self) -> Project:
        stages = tuple(self._stage(stage) for stage in _STAGES if stage.name in self.names)
        return Project("model", "/python/bin/python", 2, stages)

    def _stage(self, stage: Stage) -> Stage:
        if stage.name == "where":
            return replace(stage, wdir=_WDIRS[self.wdir])
        if stage.name != "prepare":
            return stage
        outs = (*stage.outs, *_MORE_OUTS[self.more_outs])
        return replace(stage, commands=(_COMMANDS[self.command],), outs=outs)


ALL_STAGES = tuple(stage.name for stage in _STAGES)


def params_text(values: dict[str, str | None], note: int) -> str:
    """The params file with these values."""
    lines = [f"# note {note}"]
    for table in ("prepare", "train", "other"):
        lines.append(f"[{table}]")
        lines += [
            f"{name.partition('.')[2]} = {value}"
            for name, value in values.items()
            if name.startswith(f"{table}.") and value is not None
        ]
    return "\n".join(lines) + "\n"
