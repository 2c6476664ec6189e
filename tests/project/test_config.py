"""A good configuration becomes the project it describes."""

from __future__ import annotations

import sys
from pathlib import Path

import platformdirs
import pytest

from mlbench.domain.stages import GateSpec, Out, ParamKeys, Plot, Resources, Stage
from mlbench.project.config import find_project, load_project
from mlbench.project.layout import Layout
from mlbench.project.sample import shipped

FULL = """
[project]
name = "digits"
jobs = 3
objective = "maximize accuracy"

[stages.prepare]
cmd = ["python prepare.py", "python check.py"]
wdir = "code"
deps = "../data.csv"
params = ["prepare", {"other.yaml" = ["a.b", "c"]}, {"whole.json" = []}]
env = ["DATA_ROOT"]
outs = ["rows.npz", {"../checkpoints" = {persist = true, cache = false}}]
metrics = ["metrics.json"]
timeout = "1.5h"
on_edit = "finish"
always_changed = true
desc = "makes the rows"

[stages.tests]
cmd = "pytest"
kind = "test"
deps = ["code/rows.npz"]
timeout = 90
frozen = true

[models.digits]
stage = "prepare"
path = "./code/rows.npz"
sample = "data.csv"
target = "label"
gates = ["accuracy > 0.9", {check = "loss < 1", level = "warn"}]

[environments.staging]
port = 8101
[environments.production]
port = 8100
require = "staging"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "mlbench.toml").write_text(FULL)
    (tmp_path / "data.csv").write_text("1\n")
    return tmp_path


def test_every_key_arrives(root: Path) -> None:
    project = load_project(Layout(root))
    assert (project.name, project.jobs, project.objective) == ("digits", 3, "maximize accuracy")
    prepare, tests = project.stages
    assert prepare.commands == ("python prepare.py", "python check.py")
    assert (prepare.wdir, prepare.deps, prepare.env) == ("code", ("data.csv",), ("DATA_ROOT",))
    assert prepare.params == (
        ParamKeys("params.toml", ("prepare",)),
        ParamKeys("code/other.yaml", ("a.b", "c")),
        ParamKeys("code/whole.json"),
    )
    assert prepare.outs == (
        Out("code/rows.npz"),
        Out("checkpoints", cache=False, persist=True),
        Out("code/metrics.json"),
    )
    assert (prepare.metrics, prepare.timeout) == (("code/metrics.json",), 5400.0)
    assert (prepare.on_edit, prepare.always_changed, prepare.desc) == (
        "finish",
        True,
        "makes the rows",
    )
    assert not prepare.is_test
    assert tests.is_test
    assert (tests.timeout, tests.frozen, tests.on_edit) == (90.0, True, "auto")
    model = project.model("digits")
    assert (model.path, model.sample, model.target) == ("code/rows.npz", "data.csv", "label")
    assert model.gates == (GateSpec("accuracy > 0.9"), GateSpec("loss < 1", "warn"))
    assert project.environment("production").require == ("staging",)
    with pytest.raises(KeyError):
        project.stage("nothing")


def _stage(root: Path, keys: str) -> Stage:
    (root / "mlbench.toml").write_text(f'[stages.train]\ncmd = "true"\n{keys}\n')
    return load_project(Layout(root)).stage("train")


def test_how_a_stage_runs_is_read(root: Path) -> None:
    stage = _stage(
        root,
        "retries = 2\ndeterministic = false\nisolate = true\nlaunch = \"srun --comment 'a b'\"\n"
        'resources = {cpu = 4, gpu = 1, memory = "2GB"}',
    )
    assert (stage.retries, stage.deterministic, stage.isolate) == (2, False, True)
    assert stage.launch == ("srun", "--comment", "a b")
    assert stage.resources == Resources(cpu=4, gpu=1, memory=2_000_000_000)
    assert _stage(root, 'launch = ["nice", "-n", "5"]').launch == ("nice", "-n", "5")


def test_what_is_not_said_of_how_a_stage_runs_is_the_usual(root: Path) -> None:
    stage = _stage(root, "")
    assert (stage.retries, stage.deterministic, stage.isolate, stage.launch) == (0, True, False, ())
    assert (stage.resources, stage.stat_deps) == (Resources(), frozenset())


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ('"512MB"', 512_000_000),
        ('"1.5GiB"', 1_610_612_736),
        ('"2 tb"', 2_000_000_000_000),
        ('"7kb"', 7_000),
        ('"1b"', 1),
        ("4096", 4096),
    ],
)
def test_a_size_is_read_in_bytes(root: Path, written: str, size: int) -> None:
    assert _stage(root, f"resources = {{memory = {written}}}").resources.memory == size
    (root / "mlbench.toml").write_text(f"[project]\ncache = {written}\n")
    assert load_project(Layout(root)).cache_limit == size


def test_a_dep_may_count_by_its_stat(root: Path) -> None:
    (root / "code").mkdir()
    stage = _stage(
        root,
        'wdir = "code"\n'
        'deps = ["../mlbench.toml", {path = "../data.csv", check = "stat"}, {path = "."}]',
    )
    assert stage.deps == ("mlbench.toml", "data.csv", "code")
    assert stage.stat_deps == frozenset({"data.csv"})


def test_a_metrics_file_may_have_flags(root: Path) -> None:
    stage = _stage(root, 'metrics = ["a.json", {"b.json" = {cache = false}}]')
    assert stage.outs == (Out("a.json"), Out("b.json", cache=False))
    assert stage.metrics == ("a.json", "b.json")


def test_plots_are_outs_with_axes(root: Path) -> None:
    stage = _stage(
        root,
        'outs = ["live", "livelier"]\nmetrics = ["live/metrics.json"]\n'
        'plots = ["rows.csv", "live/plots", '
        '{"a.tsv" = {x = "n", y = "loss", header = false, persist = true, title = "A"}}]',
    )
    assert stage.outs == (Out("live"), Out("livelier"), Out("rows.csv"), Out("a.tsv", persist=True))
    assert stage.metrics == ("live/metrics.json",)
    assert stage.plots == (
        Plot("rows.csv"),
        Plot("live/plots"),
        Plot("a.tsv", x="n", y=("loss",), header=False),
    )


def test_the_sample_is_accepted(tmp_path: Path) -> None:
    project = load_project(Layout(shipped("sample_project")))
    assert [stage.name for stage in project.stages] == ["prepare", "train", "evaluate", "tests"]


def test_an_empty_configuration_is_a_project_without_stages(tmp_path: Path) -> None:
    (tmp_path / "mlbench.toml").write_text("")
    project = load_project(Layout(tmp_path))
    assert project.name == tmp_path.name
    assert project.jobs >= 1
    assert project.stages == ()


def test_the_local_file_is_laid_over_the_shared_one_key_by_key(root: Path) -> None:
    (root / "mlbench.local.toml").write_text(
        "[project]\njobs = 1\n[environments.staging]\nport = 9000\n"
        '[stages.extra]\ncmd = "true"\n[stages.tests]\ndeps = []\n'
    )
    project = load_project(Layout(root))
    assert (project.jobs, project.name) == (1, "digits")
    assert project.environment("staging").port == 9000
    assert project.environment("production").port == 8100
    assert project.stage("extra").commands == ("true",)
    assert project.stage("tests").deps == ()
    assert project.stage("tests").timeout == 90.0


def test_the_local_file_wins_over_the_users_own(
    root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path_factory.mktemp("config")
    monkeypatch.setenv("MLBENCH_CONFIG_HOME", str(home))
    (home / "mlbench.toml").write_text('[project]\njobs = 7\nobjective = "minimize loss"\n')
    (root / "mlbench.local.toml").write_text("[project]\njobs = 1\n")
    project = load_project(Layout(root))
    assert (project.jobs, project.objective) == (1, "minimize loss")


@pytest.mark.parametrize("folder", ["named", " ", None])
def test_the_users_own_file_lies_where_platformdirs_says(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str | None
) -> None:
    monkeypatch.delenv("MLBENCH_CONFIG_HOME", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    if folder is not None:
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / folder) if folder.strip() else folder)
    own = Path(platformdirs.user_config_dir("mlbench")) / "mlbench.toml"
    own.parent.mkdir(parents=True)
    own.write_text("[project]\njobs = 1\nobjective = 'minimize loss'\n")
    (root / "mlbench.toml").write_text("[project]\nname = 'x'\n")
    assert load_project(Layout(root)).objective == "minimize loss"


def test_the_nearest_configuration_above_counts(root: Path) -> None:
    deep = root / "a" / "b"
    deep.mkdir(parents=True)
    assert find_project(deep) == Layout(root.resolve())
    (root / "a" / "mlbench.toml").write_text("")
    assert find_project(deep) == Layout((root / "a").resolve())


def test_deps_may_lie_outside_the_project_or_be_made(tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    (tmp_path / "shared.csv").write_text("1\n")
    (root / "mlbench.toml").write_text(
        f'[stages.a]\ncmd = "x"\ndeps = ["../shared.csv", {str(tmp_path / "shared.csv")!r}]\n'
        'outs = ["build"]\n[stages.b]\ncmd = "y"\ndeps = ["build/inner/file"]\n'
    )
    assert load_project(Layout(root)).stage("a").deps == ("../shared.csv", f"{tmp_path}/shared.csv")


def _interpreter(folder: Path) -> str:
    """A link to this interpreter in a folder's bin, as a virtual environment has one."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    return str(folder / "bin" / "python")


def test_the_interpreter_is_chosen_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "project"
    root.mkdir()
    config = root / "mlbench.toml"
    config.write_text("")

    def chosen() -> str:
        return load_project(Layout(root)).python

    for name in ("VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT", "CONDA_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    assert Path(chosen()).parent.samefile(Path(sys.executable).parent)

    expected = _interpreter(tmp_path / "conda")
    monkeypatch.setenv("CONDA_PREFIX", str(tmp_path / "conda"))
    assert chosen() == expected

    expected = _interpreter(root / "uv-env")
    monkeypatch.setenv("UV_PROJECT_ENVIRONMENT", "uv-env")
    assert chosen() == expected

    for folder in ("venv", ".venv"):
        expected = _interpreter(root / folder)
        assert chosen() == expected

    expected = _interpreter(tmp_path / "active")
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "active"))
    assert chosen() == expected

    _interpreter(root / "own")
    config.write_text('[project]\npython = "own/bin/python"\n')
    assert chosen() == str(root / "own" / "bin" / "python")

    monkeypatch.setenv("PATH", str(tmp_path / "conda" / "bin"))
    config.write_text('[project]\npython = "python"\n')
    assert chosen() == str(tmp_path / "conda" / "bin" / "python")


def test_an_active_environment_without_a_python_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlbench.toml").write_text("")
    expected = _interpreter(tmp_path / ".venv")
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "gone"))
    assert load_project(Layout(tmp_path)).python == expected
