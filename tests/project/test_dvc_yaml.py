"""A dvc.yaml gives the stages that DVC reads in it, and never fewer."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlbench.domain.errors import ProjectFileError
from mlbench.domain.stages import Out, ParamKeys, Plot, Stage
from mlbench.project.config import find_project, load_project
from mlbench.project.layout import Layout

FULL = """\
stages:
  prepare:
    cmd:
    - python prepare.py
    - python check.py
    wdir: code
    deps:
    - ../data.csv
    params:
    - prepare
    - other.yaml:
      - a.b
    - whole.json:
    outs:
    - rows.npz
    - ../checkpoints:
        persist: true
        cache: false
        desc: for another time
    metrics:
    - metrics.json:
        cache: false
    always_changed: true
    desc: makes the rows
    meta: {owner: [somebody, 2020-01-01]}
  train:
    cmd: python train.py
    deps: [code/rows.npz]
    params: [train.alpha]
    outs: [model.bin]
    frozen: true
"""


def _write(root: Path, text: str) -> Layout:
    (root / "dvc.yaml").write_text(text)
    (root / "data.csv").write_text("1\n")
    return Layout(root)


def _kept(layout: Layout) -> Path:
    return layout.state / "dvc_yaml.json"


def test_every_key_means_what_dvc_means(tmp_path: Path) -> None:
    assert load_project(_write(tmp_path, FULL)).stages == (
        Stage(
            "prepare",
            ("python prepare.py", "python check.py"),
            wdir="code",
            deps=("data.csv",),
            params=(
                ParamKeys("code/params.yaml", ("prepare",)),
                ParamKeys("code/other.yaml", ("a.b",)),
                ParamKeys("code/whole.json"),
            ),
            outs=(
                Out("code/rows.npz"),
                Out("checkpoints", cache=False, persist=True),
                Out("code/metrics.json", cache=False),
            ),
            metrics=("code/metrics.json",),
            always_changed=True,
            desc="makes the rows",
        ),
        Stage(
            "train",
            ("python train.py",),
            deps=("code/rows.npz",),
            params=(ParamKeys("params.toml", ("train.alpha",)),),
            outs=(Out("model.bin"),),
            frozen=True,
        ),
    )


SHOWN = """\
stages:
  train:
    cmd: python train.py
    wdir: code
    outs:
    - dvclive
    - scores.json
    - rows.csv:
        cache: false
    plots:
    - ../loss.tsv:
        x: epoch
        y: [loss, acc]
        title: Loss
  other:
    cmd: python other.py
params:
- code/dvclive/params.yaml
artifacts: {m: {path: model.bin}}
metrics:
- code/dvclive/metrics.json
- code/scores.json
- other.json
plots:
- code/dvclive/plots/metrics:
    x: step
- several:
    x: {code/rows.csv: n}
    y:
      code/rows.csv: [a, b]
      elsewhere.csv: c
    template: linear
- more:
    x: n
    y: {code/rows.csv: c}
- unknown.csv
"""


def test_what_the_top_level_shows_goes_to_the_stage_that_makes_it(tmp_path: Path) -> None:
    train = load_project(_write(tmp_path, SHOWN)).stage("train")
    assert train.outs == (
        Out("code/dvclive"),
        Out("code/scores.json"),
        Out("loss.tsv"),
        Out("code/rows.csv", cache=False),
    )
    assert train.metrics == ("code/dvclive/metrics.json", "code/scores.json")
    assert train.plots == (
        Plot("loss.tsv", x="epoch", y=("loss", "acc")),
        Plot("code/dvclive/plots/metrics", x="step"),
        Plot("code/rows.csv", x="n", y=("a", "b", "c"), template="linear"),
    )
    other = load_project(_write(tmp_path, SHOWN)).stage("other")
    assert (other.outs, other.metrics, other.plots) == ((), (), ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "stages:\n  a:\n    cmd: x\n    plots:\n    - p:\n        q: 1\n",
            "dvc.yaml:6: stages.a.plots.p.q: unknown key",
        ),
        ("stages: {}\nmetrics: [3]\n", "dvc.yaml:2: metrics: must be a list of files"),
        ("stages: {}\nplots: [[p]]\n", "dvc.yaml:2: plots: must be a list of files and"),
        ("stages: {}\nplots:\n- p: 3\n", "dvc.yaml:3: plots.p: must be a mapping with x and y"),
        ("stages:\n  a:\n    foreach: [1]\n    do: {}\n", "dvc.yaml:3: stages.a.foreach: is not"),
        ("stages:\n  a:\n    cmd: x\n    matrix: {}\n", "dvc.yaml:4: stages.a.matrix: is not read"),
        ("vars: [p.yaml]\nstages: {}\n", "dvc.yaml:1: vars: is not read yet; take it out"),
        ("stages: {}\ndatasets: {}\n", "dvc.yaml:2: datasets: is not read yet"),
        ("stagse: {}\n", 'dvc.yaml:1: stagse: unknown key (did you mean "stages"?)'),
        (
            "stages:\n  a:\n    cmd: x\n    dep: [p]\n",
            'dvc.yaml:4: stages.a.dep: unknown key (did you mean "deps"?)',
        ),
        (
            "stages:\n  a:\n    cmd: x\n    timeout: 3\n",
            "dvc.yaml:4: stages.a.timeout: unknown key",
        ),
        (
            "stages:\n  a:\n    cmd: x\n    outs:\n    - b\n    - c:\n        remote: r\n",
            "dvc.yaml:7: stages.a.outs.c.remote: is not read yet",
        ),
        (
            "stages:\n  a:\n    cmd: x\n    outs:\n    - c:\n        cache: 3\n",
            "dvc.yaml:6: stages.a.outs.c.cache: must be true or false",
        ),
        (
            "stages:\n  a:\n    cmd: echo ${item}\n",
            "dvc.yaml:3: stages.a.cmd: templates are not read yet: echo ${item}; write the value",
        ),
        (
            "stages:\n  a:\n    cmd: x\n    outs:\n    - ${dir}/c:\n        cache: false\n",
            "dvc.yaml:4: stages.a.outs: templates are not read yet",
        ),
        ("stages:\n  a:\n    deps: [b]\n", "dvc.yaml:2: stages.a.cmd: a stage needs a command"),
        ("stages:\n  a:\n    cmd:\n", "dvc.yaml:3: stages.a.cmd: has no value"),
        ("stages:\n  a: x\n", "dvc.yaml:2: stages.a: must be a mapping"),
        ("stages: [a]\n", "dvc.yaml:1: stages: must be a mapping of names"),
        ("- a\n", "dvc.yaml: must hold a mapping with `stages:`"),
        ("stages:\n  a:\n    cmd: x\n  a:\n    cmd: y\n", "dvc.yaml:4: not valid YAML"),
        ("stages: {\n", "dvc.yaml:2: not valid YAML"),
        ("stages:\n  a b:\n    cmd: x\n", "dvc.yaml:2: stages.a b: a stage's name has letters"),
        (
            "stages:\n  a:\n    cmd: x\n    desc: 2020-01-01\n",
            "dvc.yaml:4: stages.a.desc: must be a string",
        ),
        (
            "stages:\n  a:\n    cmd: x\n    deps:\n    - dtaa.csv\n",
            'dvc.yaml:4: stages.a.deps: "dtaa.csv" does not exist and no stage makes it '
            '(did you mean "data.csv"?)',
        ),
        (
            "stages:\n  a:\n    cmd: x\n    outs: [m]\n  b:\n    cmd: y\n    outs: [m]\n",
            'dvc.yaml:7: stages.b.outs: "m" is an out of stage "a" already',
        ),
        (
            "stages:\n  a: &a\n    cmd: x\n    deps: [&loop [*loop]]\n",
            "dvc.yaml: is nested too deeply",
        ),
    ],
)
@pytest.mark.parametrize("with_own_folder", [True, False])
def test_a_fault_names_the_line_of_the_dvc_yaml_each_time(
    tmp_path: Path, text: str, message: str, with_own_folder: bool
) -> None:
    layout = _write(tmp_path, text)
    if with_own_folder:
        layout.own.mkdir()
    for _ in range(2):
        with pytest.raises(ProjectFileError) as caught:
            load_project(layout)
        assert str(caught.value).startswith(message)
        assert "\n" not in str(caught.value)


def test_bare_params_are_those_of_params_yaml_though_there_is_another_file(
    tmp_path: Path,
) -> None:
    layout = _write(tmp_path, "stages:\n  a:\n    cmd: x\n    params: b\n")
    layout.own.mkdir()
    assert load_project(layout).stage("a").params == (ParamKeys("params.toml", ("b",)),)
    (tmp_path / "params.toml").write_text("b = 1\n")
    assert load_project(layout).stage("a").params == (ParamKeys("params.yaml", ("b",)),)
    (tmp_path / "params.toml").unlink()
    assert load_project(layout).stage("a").params == (ParamKeys("params.toml", ("b",)),)


def test_aliases_and_merges_are_what_they_stand_for(tmp_path: Path) -> None:
    layout = _write(
        tmp_path,
        "stages:\n  a: &a\n    cmd: x\n    deps: &d [data.csv]\n"
        "  b:\n    <<: *a\n    cmd: y\n  c:\n    cmd: z\n    deps: *d\n",
    )
    stages = load_project(layout).stages
    assert [stage.commands for stage in stages] == [("x",), ("y",), ("z",)]
    assert [stage.deps for stage in stages] == [("data.csv",)] * 3


def test_stages_of_mlbench_toml_come_before_those_of_dvc_yaml(tmp_path: Path) -> None:
    layout = _write(tmp_path, FULL)
    layout.config.write_text("[project]\njobs = 3\n")
    project = load_project(layout)
    assert (project.jobs, len(project.stages)) == (3, 2)
    layout.config.write_text('[stages.only]\ncmd = "true"\n')
    assert [stage.name for stage in load_project(layout).stages] == ["only"]


def test_the_local_file_is_laid_over_it(tmp_path: Path) -> None:
    layout = _write(tmp_path, FULL)
    layout.local_config.write_text("[project]\njobs = 3\n[stages.train]\ntimeout = 9\n")
    project = load_project(layout)
    assert (project.jobs, project.stage("train").timeout) == (3, 9.0)
    assert project.stage("train").frozen
    layout.local_config.write_text("\n[stages.train]\ntimeout = 'x'\n")
    with pytest.raises(ProjectFileError, match=r"^mlbench\.local\.toml:3: stages\.train\.timeout"):
        load_project(layout)


def test_a_folder_with_a_dvc_yaml_is_a_project_but_one_with_mlbench_toml_comes_first(
    tmp_path: Path,
) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    _write(tmp_path / "a", FULL)
    assert find_project(inner) == Layout((tmp_path / "a").resolve())
    (tmp_path / "mlbench.toml").write_text("")
    assert find_project(inner) == Layout(tmp_path.resolve())


def test_what_the_parser_gave_is_kept_for_the_same_text_alone(tmp_path: Path) -> None:
    layout = _write(tmp_path, FULL)
    layout.own.mkdir()
    read = load_project(layout).stages
    assert _kept(layout).is_file()
    assert load_project(layout).stages == read
    _write(tmp_path, FULL.replace("train.py", "other.py"))
    assert load_project(layout).stage("train").commands == ("python other.py",)
    _write(tmp_path, FULL)
    assert load_project(layout).stages == read


def test_a_project_without_its_own_folder_gets_none_by_being_read(tmp_path: Path) -> None:
    load_project(_write(tmp_path, FULL))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.csv", "dvc.yaml"]


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "other bytes", "folder"])
def test_a_damaged_file_of_what_was_kept_is_never_believed(tmp_path: Path, damage: str) -> None:
    layout = _write(tmp_path, FULL)
    layout.own.mkdir()
    read = load_project(layout).stages
    kept = _kept(layout)
    whole = kept.read_bytes()
    assert b"train.py" in whole
    kept.unlink()
    match damage:
        case "cut":
            kept.write_bytes(whole[:-20])
        case "changed":
            kept.write_bytes(whole.replace(b"train.py", b"other.py"))
        case "empty":
            kept.write_bytes(b"")
        case "other bytes":
            kept.write_bytes(b"\xff\x00\n\xff")
        case "folder":
            kept.mkdir()
    assert load_project(layout).stages == read
