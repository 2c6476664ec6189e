"""mlbench in one environment, the user's code in another: stages, logging, export."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.support import SmallProject, free_ports, write_tiny


@pytest.fixture
def users_python(tmp_path: Path) -> Path:
    """An interpreter that has the libraries of this one, but no mlbench."""
    folder = tmp_path / "users-environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    # A path named in a .pth file does not have its own .pth files read: the editable
    # installation of mlbench stays out of sight.
    (site_packages / "libraries.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    python = folder / "bin" / "python"
    found = subprocess.run(
        [python, "-c", "import mlbench"], cwd=folder, capture_output=True, check=False
    )
    assert found.returncode != 0, "mlbench must not be there by itself"
    return python


def test_a_project_with_its_own_interpreter_needs_no_mlbench_there(
    tmp_path: Path, users_python: Path
) -> None:
    tiny = write_tiny(tmp_path / "tiny", *free_ports(2))
    with_python = f'name = "tiny"\npython = "{users_python}"\n'
    tiny.write("mlbench.toml", tiny.read("mlbench.toml").replace('name = "tiny"\n', with_python))
    tiny.write(
        "train.py",
        "import sys, mlbench\nmlbench.log(loss=0.25, step=1)\nprint(sys.executable)\n"
        + tiny.read("train.py"),
    )
    done = tiny.cli("run", "--json")
    assert done.returncode == 0, done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["metrics"]["loss"] == 0.25
    assert tiny.cli("logs", "@last", "train").stdout.strip() == str(users_python)
    (candidate,) = json.loads(tiny.cli("models", "--json").stdout)
    assert candidate["parity"]["passed"]


def test_a_converter_that_is_missing_there_is_told_with_pips_line(
    tmp_path: Path, users_python: Path
) -> None:
    tiny = write_tiny(tmp_path / "tiny", *free_ports(2))
    with_python = f'name = "tiny"\npython = "{users_python}"\n'
    tiny.write("mlbench.toml", tiny.read("mlbench.toml").replace('name = "tiny"\n', with_python))
    (site_packages,) = users_python.parents[1].glob("lib/python*/site-packages")
    hidden = "raise ModuleNotFoundError(\"No module named 'skl2onnx'\", name='skl2onnx')\n"
    (site_packages / "skl2onnx.py").write_text(hidden)
    done = tiny.cli("run")
    assert done.returncode == 0, "the run stands, only its model is no candidate"
    assert "models.flowers: " in done.stderr
    assert f"{users_python} -m pip install" in done.stderr
    assert "skl2onnx" in done.stderr
    assert json.loads(tiny.cli("models", "--json").stdout) == []
    (site_packages / "skl2onnx.py").unlink()
    again = tiny.cli("run")
    assert again.returncode == 0
    assert "flowers is a candidate" in again.stderr


def test_the_configured_interpreter_has_to_be_there(small: SmallProject) -> None:
    config = small.read("mlbench.toml")
    small.write("mlbench.toml", config.replace('"small"\n', '"small"\npython = "env/bin/python"\n'))
    done = small.cli("status")
    assert done.returncode == 2
    assert (
        'mlbench.toml:3: project.python: "env/bin/python" is no Python interpreter' in done.stderr
    )
