"""Copies of the sample, and first configurations for folders that have none."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.errors import UsageError
from mlbench.project.config import load_project
from mlbench.project.git import code_state
from mlbench.project.layout import Layout
from mlbench.project.sample import copy_sample, is_free, shipped
from mlbench.project.scaffold import find_scripts, render, write_config


def test_a_copy_of_the_sample_is_a_clean_repository(tmp_path: Path) -> None:
    root = copy_sample(tmp_path / "deep" / "copy")
    state = code_state(root)
    assert state.commit is not None
    assert not state.dirty
    assert (
        load_project(Layout(root)).stages == load_project(Layout(shipped("sample_project"))).stages
    )
    assert not list(root.rglob("__pycache__"))


def test_a_copy_goes_round_taken_ports_and_stays_clean(tmp_path: Path) -> None:
    taken = load_project(Layout(shipped("sample_project"))).environment("staging").port
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_free(taken):
            other.bind(("127.0.0.1", taken))
            other.listen()
        assert not is_free(taken)
        root = copy_sample(tmp_path / "copy")
    ports = [environment.port for environment in load_project(Layout(root)).environments]
    assert taken not in ports
    assert len(set(ports)) == len(ports)
    assert not code_state(root).dirty


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    with pytest.raises(UsageError, match="is not empty; name a folder that does not exist yet"):
        copy_sample(tmp_path)
    with pytest.raises(UsageError, match=r"mine: is not a folder|mine: is no folder"):
        copy_sample(tmp_path / "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    assert copy_sample(tmp_path) == tmp_path


file_names = st.lists(
    st.sampled_from(
        "train.py Train.py prepare.py eval.py 01_load.py 2-fit.py 3.predict.py helper.py "
        "test_train.py params.toml params.yaml".split()
    )
    | st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), max_size=6).map(
        lambda stem: f"1{stem}.py"
    ),
    max_size=5,
    unique=True,
)
folder_names = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=6
).filter(lambda name: name not in (".", ".."))


@given(folder=folder_names | st.just('🚀 "digits" \\ \x7f'), files=file_names)
def test_a_scaffold_is_a_configuration_that_is_accepted(
    tmp_path_factory: pytest.TempPathFactory, folder: str, files: list[str]
) -> None:
    root = tmp_path_factory.mktemp("scaffold") / folder
    (root / "tests").mkdir(parents=True)
    for name in files:
        (root / name).write_text("")
    path, stages = write_config(root)
    project = load_project(Layout(root))
    assert path == root / "mlbench.toml"
    assert [stage.name for stage in project.stages] == stages
    assert project.stage("tests").is_test
    for stage in project.stages[:-1]:
        script = stage.commands[0].removeprefix("python ")
        assert (root / script).is_file()


def test_scripts_stand_in_their_usual_order(tmp_path: Path) -> None:
    for name in ("train.py", "evaluate.py", "prepare.py", "util.py"):
        (tmp_path / name).write_text("")
    assert find_scripts(tmp_path) == ["prepare.py", "train.py", "evaluate.py"]


def test_numbered_scripts_stand_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("10_fit.py", "2_clean.py", "1_load.py", "util.py"):
        (tmp_path / name).write_text("")
    assert find_scripts(tmp_path) == ["1_load.py", "2_clean.py", "10_fit.py"]


def test_a_folder_without_scripts_gets_an_example_in_comments(tmp_path: Path) -> None:
    text, stages = render("x", [], has_tests=False, params=None)
    assert stages == []
    assert "# [stages.train]" in text


def test_a_configuration_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mlbench.toml").write_text("# mine\n")
    with pytest.raises(UsageError, match="is there already"):
        write_config(tmp_path)
    assert (tmp_path / "mlbench.toml").read_text() == "# mine\n"
