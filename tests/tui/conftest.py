"""The workbench under test: the real engine on a small real project, driven by keys and clicks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import SmallProject


@pytest.fixture
def held(small: SmallProject) -> SmallProject:
    """The small project with a train stage that goes on until the file `hold` is removed."""
    wait = 'while Path("hold").exists():\n    time.sleep(0.01)\n'
    train = small.read("train.py")
    small.write(
        "train.py", "import time\n" + train.replace('Path("build/model', wait + 'Path("build/model')
    )
    return small


@pytest.fixture
def themes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own folder of themes."""
    folder = tmp_path / "config" / "themes"
    folder.mkdir(parents=True)
    monkeypatch.setenv("MLBENCH_CONFIG_HOME", str(folder.parent))
    return folder
