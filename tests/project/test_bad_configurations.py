"""Every fault of a configuration names its file, line and key, and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlbench.domain.errors import ProjectFileError, UsageError
from mlbench.project.config import find_project, load_project
from mlbench.project.layout import Layout
from tests.project.bad_stage_keys import BAD_STAGE_KEYS
from tests.project.bad_stage_keys import STAGE as _STAGE

_MODEL = f'{_STAGE}outs = ["model.bin"]\n[models.digits]\nstage = "train"\npath = "model.bin"\n'

BAD: dict[str, tuple[str, str]] = {
    **BAD_STAGE_KEYS,
    "syntax": ('[project]\nname = "a\n', "mlbench.toml:2: not valid TOML"),
    "syntax at the end": (
        "[project]\nname =",
        "mlbench.toml:2: not valid TOML: Invalid value: name =",
    ),
    "a key twice": ("[project]\njobs = 1\njobs = 2\n", "mlbench.toml:3: not valid TOML"),
    "unknown at the top": (
        "\n[stage.train]\n",
        'mlbench.toml:2: stage: unknown key (did you mean "stages"?)',
    ),
    "unknown in project": (
        "[project]\npyton = 1\n",
        'mlbench.toml:2: project.pyton: unknown key (did you mean "python"?)',
    ),
    "unknown in a stage": (
        f"{_STAGE}out = []\n",
        'mlbench.toml:3: stages.train.out: unknown key (did you mean "outs"?)',
    ),
    "unknown out flag": (
        f'{_STAGE}outs = [\n  "a",\n  {{"b" = {{cash = true}}}},\n]\n',
        'mlbench.toml:3: stages.train.outs.b.cash: unknown key (did you mean "cache"?)',
    ),
    "unknown in a model": (
        f'{_MODEL}gate = ["a > 1"]\n',
        'mlbench.toml:7: models.digits.gate: unknown key (did you mean "gates"?)',
    ),
    "unknown in a gate": (
        f'{_MODEL}gates = [{{chek = "a > 1"}}]\n',
        'mlbench.toml:7: models.digits.gates.chek: unknown key (did you mean "check"?)',
    ),
    "unknown in an environment": (
        "[environments.staging]\nport = 1\nrequires = []\n",
        'mlbench.toml:3: environments.staging.requires: unknown key (did you mean "require"?)',
    ),
    "a later version's key": (
        f"{_STAGE}foreach = [1]\n",
        "mlbench.toml:3: stages.train.foreach: unknown key",
    ),
    "unknown in a dep": (
        f'{_STAGE}deps = [{{path = "data", chek = "stat"}}]\n',
        'mlbench.toml:3: stages.train.deps.chek: unknown key (did you mean "check"?)',
    ),
    "unknown in resources": (
        f"{_STAGE}[stages.train.resources]\ncpu = 1\ngpus = 1\n",
        'mlbench.toml:5: stages.train.resources.gpus: unknown key (did you mean "gpu"?)',
    ),
    "project is no table": ("project = 3\n", "mlbench.toml:1: project: must be a table"),
    "stages is no table": ("stages = []\n", "mlbench.toml:1: stages: must be a table"),
    "a stage is no table": (
        "[stages]\ntrain = 1\n",
        "mlbench.toml:2: stages.train: must be a table",
    ),
    "name is no text": ("[project]\nname = 3\n", "mlbench.toml:2: project.name: must be a string"),
    "jobs is true": ("[project]\njobs = true\n", "mlbench.toml:2: project.jobs: must be a whole"),
    "jobs is text": ('[project]\njobs = "2"\n', "mlbench.toml:2: project.jobs: must be a whole"),
    "no job": ("[project]\njobs = 0\n", "mlbench.toml:2: project.jobs: must be 1 or more"),
    "no python": (
        '[project]\npython = "no/such/python"\n',
        'mlbench.toml:2: project.python: "no/such/python" is no Python interpreter',
    ),
    "python is a folder": (
        '[project]\npython = "./"\n',
        'mlbench.toml:2: project.python: "./" is no Python interpreter',
    ),
    "no command": (
        "[stages.train]\ndeps = []\n",
        "mlbench.toml:1: stages.train.cmd: a stage needs",
    ),
    "an empty command": (
        '[stages.train]\ncmd = ["a", " "]\n',
        "mlbench.toml:2: stages.train.cmd: a stage needs a command",
    ),
    "cmd is a number": (
        "[stages.train]\ncmd = 3\n",
        "mlbench.toml:2: stages.train.cmd: must be a string or a list of strings",
    ),
    "deps hold a number": (
        f"{_STAGE}deps = [\n  3,\n]\n",
        "mlbench.toml:3: stages.train.deps: must be a list of strings and tables",
    ),
    "the cache's size": (
        '[project]\ncache = "a lot"\n',
        "mlbench.toml:2: project.cache: must be a size such as",
    ),
    "outs hold a number": (f"{_STAGE}outs = [3]\n", "mlbench.toml:3: stages.train.outs: must be a"),
    "out flags are no table": (
        f'{_STAGE}outs = [{{"b" = 3}}]\n',
        "mlbench.toml:3: stages.train.outs: the flags of b must be a table",
    ),
    "an out flag is text": (
        f'{_STAGE}outs = [{{"b" = {{cache = "false"}}}}]\n',
        "mlbench.toml:3: stages.train.outs.b.cache: must be true or false",
    ),
    "params keys are numbers": (
        f'{_STAGE}params = [{{"x.yaml" = [1]}}]\n',
        "mlbench.toml:3: stages.train.params: the keys of x.yaml must be a list of strings",
    ),
    "frozen is text": (
        f'{_STAGE}frozen = "yes"\n',
        "mlbench.toml:3: stages.train.frozen: must be true or false",
    ),
    "kind": (
        f'{_STAGE}kind = "tset"\n',
        'mlbench.toml:3: stages.train.kind: "tset" is none of build, test',
    ),
    "on_edit": (
        f'{_STAGE}on_edit = "stop"\n',
        'mlbench.toml:3: stages.train.on_edit: "stop" is none of auto, restart, finish',
    ),
    "a stage's name": (
        '[stages."a b"]\ncmd = "x"\n',
        "mlbench.toml:1: stages.a b: a stage's name has letters",
    ),
    "a stage named like a folder above": (
        '[stages.".."]\ncmd = "x"\n',
        "mlbench.toml:1: stages...: a stage's name",
    ),
    "a model's name": (
        f'{_STAGE}outs = ["m"]\n[models."../m"]\nstage = "train"\npath = "m"\n',
        "mlbench.toml:4: models.../m: a model's name has letters",
    ),
    "an environment's name": (
        '[environments."a/b"]\nport = 1\n',
        "mlbench.toml:1: environments.a/b: an environment's name has letters",
    ),
    "duration": (
        f'{_STAGE}timeout = "ten minutes"\n',
        'mlbench.toml:3: stages.train.timeout: must be a duration such as 90, "90s", "10m" or "2h"',
    ),
    "no duration": (f"{_STAGE}timeout = 0\n", "mlbench.toml:3: stages.train.timeout: must be"),
    "no duration as text": (
        f'{_STAGE}timeout = "0s"\n',
        "mlbench.toml:3: stages.train.timeout: must",
    ),
    "an endless duration": (
        f"{_STAGE}timeout = inf\n",
        "mlbench.toml:3: stages.train.timeout: must",
    ),
    "duplicate out": (
        f'{_STAGE}outs = ["m"]\n[stages.other]\ncmd = "x"\nouts = [\n"./m"]\n',
        'mlbench.toml:6: stages.other.outs: "m" is an out of stage "train" already',
    ),
    "one out twice in a stage": (
        f'{_STAGE}outs = ["m"]\nmetrics = ["m"]\n',
        'stages.train.outs: "m" is an out of stage "train" already',
    ),
    "overlapping out": (
        f'{_STAGE}outs = ["build"]\n[stages.other]\ncmd = "x"\nouts = ["build/m"]\n',
        'mlbench.toml:6: stages.other.outs: "build/m", which overlaps "build", is an out of stage',
    ),
    "own circle": (
        f'{_STAGE}deps = ["build"]\nouts = ["build/m"]\n',
        'mlbench.toml:3: stages.train.deps: stages need each other in a circle: "build" is also',
    ),
    "circle of three": (
        "".join(
            f'[stages.{name}]\ncmd = "x"\ndeps = ["{dep}"]\nouts = ["{name}"]\n'
            for name, dep in ("ac", "ba", "cb")
        ),
        "stages need each other in a circle: ",
    ),
    "missing dep": (
        f'{_STAGE}deps = [\n  "data/digit.csv",\n]\n',
        'mlbench.toml:3: stages.train.deps: "data/digit.csv" does not exist and no stage makes it '
        '(did you mean "data/digits.csv"?); correct the path, or add the stage',
    ),
    "missing dep that a stage nearly makes": (
        f'{_STAGE}deps = ["build/modle.bin"]\n[stages.a]\ncmd = "x"\nouts = ["build/model.bin"]\n',
        '(did you mean "build/model.bin"?)',
    ),
    "out outside": (
        f'{_STAGE}outs = ["../m"]\n',
        'mlbench.toml:3: stages.train.outs: "../m" lies outside the project',
    ),
    "absolute out": (
        f'{_STAGE}outs = ["/tmp/m"]\n',
        'mlbench.toml:3: stages.train.outs: "/tmp/m" lies outside the project',
    ),
    "metrics outside": (
        f'{_STAGE}wdir = "sub"\nmetrics = ["../../m"]\n',
        "mlbench.toml:4: stages.train.metrics: ",
    ),
    "wdir outside": (
        f'{_STAGE}wdir = ".."\n',
        'mlbench.toml:3: stages.train.wdir: ".." lies outside the project',
    ),
    "the project as out": (
        f'{_STAGE}outs = ["."]\n',
        "mlbench.toml:3: stages.train.outs: the project's own folder can't be an out",
    ),
    "model without stage": (
        "[models.digits]\n",
        "mlbench.toml:1: models.digits.stage: a model needs",
    ),
    "model without path": (
        f'{_STAGE}[models.digits]\nstage = "train"\n',
        "mlbench.toml:3: models.digits.path: a model needs the path",
    ),
    "model of no stage": (
        f'{_MODEL}\n[models.other]\nstage = "trian"\npath = "x"\n',
        'mlbench.toml:9: models.other.stage: there is no stage "trian" (did you mean "train"?)',
    ),
    "model that is no out": (
        f'{_MODEL}\n[models.other]\nstage = "train"\npath = "modle.bin"\n',
        'mlbench.toml:10: models.other.path: "modle.bin" is no out of stage "train" '
        '(did you mean "model.bin"?)',
    ),
    "model format": (
        f'{_MODEL}format = "pickle"\n',
        'mlbench.toml:7: models.digits.format: "pickle" is none of onnx',
    ),
    "gates is text": (
        f'{_MODEL}gates = "a > 1"\n',
        "mlbench.toml:7: models.digits.gates: must be a list of expressions",
    ),
    "a gate is a number": (f"{_MODEL}gates = [5]\n", "mlbench.toml:7: models.digits.gates: "),
    "a gate's check is a number": (
        f"{_MODEL}gates = [{{check = 5}}]\n",
        "mlbench.toml:7: models.digits.gates: ",
    ),
    "a gate without check": (
        f'{_MODEL}gates = [{{level = "warn"}}]\n',
        "mlbench.toml:7: models.digits.gates: ",
    ),
    "gate expression": (
        f'{_MODEL}gates = [\n  "accuracy >",\n]\n',
        'mlbench.toml:7: models.digits.gates: "accuracy >": not an expression',
    ),
    "gate that calls": (
        f"{_MODEL}gates = [\"__import__('os')\"]\n",
        "there is no function __import__; there are abs, min, max, log, worst, gap, ratio, drop",
    ),
    "gate level": (
        f'{_MODEL}gates = [{{check = "a > 1", level = "fatal"}}]\n',
        'mlbench.toml:7: models.digits.gates: a > 1: level "fatal" is none of error, warn',
    ),
    "environment without port": (
        "[environments.staging]\n",
        "mlbench.toml:1: environments.staging.port: an environment needs a port",
    ),
    "port too high": (
        "[environments.staging]\nport = 70000\n",
        "mlbench.toml:2: environments.staging.port: an environment needs a port from 1 to 65535",
    ),
    "same port": (
        "[environments.a]\nport = 8100\n[environments.b]\nport = 8100\n",
        "mlbench.toml:4: environments.b.port: a has port 8100 too",
    ),
    "require unknown": (
        '[environments.staging]\nport = 1\n[environments.live]\nport = 2\nrequire = ["stagign"]\n',
        'mlbench.toml:5: environments.live.require: there is no other environment "stagign" '
        '(did you mean "staging"?)',
    ),
    "require itself": (
        '[environments.live]\nport = 2\nrequire = ["live"]\n',
        "mlbench.toml:3: environments.live.require: there is no other environment",
    ),
}


def _fault(root: Path) -> str:
    with pytest.raises(ProjectFileError) as caught:
        load_project(Layout(root))
    assert caught.value.exit_status == 2
    return str(caught.value)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "digits.csv").write_text("1\n")
    return tmp_path


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_a_fault_says_what_where_and_what_to_do(root: Path, text: str, message: str) -> None:
    (root / "mlbench.toml").write_text(text)
    said = _fault(root)
    assert message in said
    assert said.startswith("mlbench.toml")
    assert "\n" not in said


def test_a_circle_of_three_is_walked_from_the_stage_whose_line_is_named(root: Path) -> None:
    (root / "mlbench.toml").write_text(BAD["circle of three"][0])
    place, key, _, walk = _fault(root).split(": ", 3)
    lines = {"a": 3, "b": 7, "c": 11}
    names = walk.split(" → ")
    assert set(names) == set("abc")
    assert names[0] == names[-1]
    assert (place, key) == (f"mlbench.toml:{lines[names[0]]}", f"stages.{names[0]}.deps")


def test_a_file_that_can_t_be_read_is_said(root: Path) -> None:
    (root / "mlbench.toml").write_bytes(b"\xff\xfe")
    assert _fault(root) == "mlbench.toml: is not UTF-8 text"


@pytest.mark.parametrize(
    ("local", "message"),
    [
        ("[project]\njobs =", "mlbench.local.toml:2: not valid TOML"),
        ("[projct]\n", 'mlbench.local.toml:1: projct: unknown key (did you mean "project"?)'),
        ("[project]\njobs = -1\n", "mlbench.local.toml:2: project.jobs: must be 1 or more"),
        ("\n[stages.train]\nouts = [3]\n", "mlbench.local.toml:3: stages.train.outs: must be"),
        ("[stages.new]\ndeps = []\n", "mlbench.local.toml:1: stages.new.cmd: a stage needs"),
        ('[stages.train]\ndeps = ["x"]\n', 'mlbench.local.toml:2: stages.train.deps: "x" does not'),
        (
            '[models.digits]\nstage = "trian"\n',
            'mlbench.local.toml:2: models.digits.stage: there is no stage "trian"',
        ),
        ("project = 3\n", "mlbench.local.toml:1: project: must be a table"),
    ],
)
def test_a_fault_of_the_local_file_names_that_file(root: Path, local: str, message: str) -> None:
    (root / "mlbench.toml").write_text(_MODEL)
    (root / "mlbench.local.toml").write_text(local)
    assert _fault(root).startswith(message)


def test_a_fault_of_the_shared_file_names_it_though_the_local_one_touches_the_table(
    root: Path,
) -> None:
    (root / "mlbench.toml").write_text(f"{_STAGE}frozen = 3\n")
    (root / "mlbench.local.toml").write_text('[stages.train]\ndesc = "here"\n')
    assert _fault(root).startswith("mlbench.toml:3: stages.train.frozen: must be true or false")


def test_a_fault_of_the_users_own_file_names_it_in_full(
    root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path_factory.mktemp("config")
    monkeypatch.setenv("MLBENCH_CONFIG_HOME", str(home))
    (home / "mlbench.toml").write_text("[project]\njobs = 0\n")
    (root / "mlbench.toml").write_text(_STAGE)
    assert _fault(root).startswith(f"{home / 'mlbench.toml'}:2: project.jobs: must be 1 or more")


def test_no_configuration_at_all_says_what_writes_one(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"there is no mlbench\.toml here or above; `mlbench init`"
    ):
        find_project(tmp_path)
