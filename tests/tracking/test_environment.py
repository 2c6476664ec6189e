"""The environment of a run: what is in it, what is hidden in it, and that it is kept once."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mlbench.domain.plain import from_plain
from mlbench.tracking.environment import (
    RECORDED,
    RECORDED_PREFIXES,
    Environment,
    Gpu,
    Surroundings,
    keep_environment,
    recorded_variables,
)
from mlbench.tracking.folder import ENVIRONMENT_NAME

OWN = f"{sys.prefix}/bin/python"


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Surroundings(tmp_path / "interpreter.json").describe(OWN, environment={})


def _read(folder: Path) -> Environment:
    plain = json.loads((folder / ENVIRONMENT_NAME).read_text())
    return from_plain(Environment, plain)


def test_the_machine_and_the_interpreter_are_told(environment: Environment) -> None:
    assert environment.host == os.uname().nodename
    assert environment.cores == os.cpu_count()
    assert environment.memory > 100_000_000
    assert environment.cpu
    assert os.uname().release in environment.system
    assert environment.python_version == sys.version.split()[0]
    assert environment.implementation == sys.implementation.name
    assert "hypothesis" in environment.packages


def test_only_variables_that_matter_are_recorded_and_secrets_are_hidden() -> None:
    given = {
        "PYTHONHASHSEED": "0",
        "CUDA_VISIBLE_DEVICES": "0,1",
        "OMP_NUM_THREADS": "4",
        "HF_TOKEN": "hf_abcdefgh",
        "MY_DATA": "/data",
        "DATA_TOKEN": "t0ken-of-ada",
        "TORCH_HOME": "/cache/t0ken-of-ada/x",
        "MLFLOW_TRACKING_URI": "https://me:pass@mlflow.invalid",
        "SSH_AUTH_SOCK": "/run/x",
        "EDITOR": "vi",
    }
    assert recorded_variables(given, ("MY_DATA", "DATA_TOKEN", "NOT_SET")) == {
        "PYTHONHASHSEED": "0",
        "CUDA_VISIBLE_DEVICES": "0,1",
        "OMP_NUM_THREADS": "4",
        "HF_TOKEN": "***",
        "MY_DATA": "/data",
        "DATA_TOKEN": "***",
        "TORCH_HOME": "/cache/***/x",
        "MLFLOW_TRACKING_URI": "https://***@mlflow.invalid",
    }


def test_the_documentation_names_every_variable_that_is_recorded() -> None:
    text = (Path(__file__).parents[2] / "docs" / "record.md").read_text()
    told = text.partition("**Environment variables**")[2].partition("**Secrets.**")[0]
    names = set(re.findall(r"\b[A-Z_]{2,}(?=[,.\s])", told))
    assert names == {*RECORDED, *RECORDED_PREFIXES}


def test_a_package_that_comes_is_seen_and_the_rest_not_read_again(tmp_path: Path) -> None:
    site = tmp_path / "lib" / "site-packages"
    (site / "torch-2.9.dist-info").mkdir(parents=True)
    (site / "torch").mkdir()
    (site / "torch" / "version.py").write_text("cuda: Optional[str] = '12.6'\nhip = None\n")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho \'["3.12.1", "cpython", ["{site}"]]\'\n')
    python.chmod(0o755)
    surroundings = Surroundings(tmp_path / "interpreter.json")
    first = surroundings.describe(str(python))
    assert (first.packages, first.cuda) == ({"torch": "2.9"}, "12.6")
    (site / "numpy-2.4.dist-info").mkdir()
    os.utime(site, (1, 1))
    assert surroundings.describe(str(python)).packages == {"numpy": "2.4", "torch": "2.9"}


def test_graphics_cards_by_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA A100, 81920, 570.1'\necho 'T4, [N/A], 570.1'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    found = Surroundings(tmp_path / "interpreter.json").describe(OWN).gpus
    assert found == (Gpu("NVIDIA A100", 81920 * 1024**2, "570.1"), Gpu("T4", 0, "570.1"))


def test_a_driver_that_answers_nothing_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho no driver >&2; exit 9\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert Surroundings(tmp_path / "interpreter.json").describe(OWN).gpus == ()


def test_equal_environments_are_on_disk_once(tmp_path: Path, environment: Environment) -> None:
    folders = [tmp_path / "runs" / name for name in "abc"]
    for folder in folders[:2]:
        keep_environment(tmp_path / "environments", folder, environment)
    other = replace(environment, host="elsewhere")
    keep_environment(tmp_path / "environments", folders[2], other)
    inodes = [(folder / ENVIRONMENT_NAME).stat().st_ino for folder in folders]
    assert inodes[0] == inodes[1] != inodes[2]
    assert [_read(folder) for folder in folders] == [environment, environment, other]


def test_without_hard_links_each_run_has_its_own(
    tmp_path: Path, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(1, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    keep_environment(tmp_path / "environments", tmp_path / "run", environment)
    assert _read(tmp_path / "run") == environment


def test_what_was_noted_first_stays(tmp_path: Path, environment: Environment) -> None:
    for host in ("first", "second"):
        known = replace(environment, host=host)
        keep_environment(tmp_path / "environments", tmp_path / "run", known)
    assert _read(tmp_path / "run").host == "first"
