"""A project with a model in production, to be scored again in copies of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine.scored import Judge, write_project
from tests.support import Follower, SmallProject


@pytest.fixture(scope="session")
def scored_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the threshold 3 live in production, measured on rows that suit it."""
    root = tmp_path_factory.mktemp("scored") / "scored"
    project = write_project(root)
    follower = Follower(root)
    try:
        judge = Judge(project, follower, [])
        judge.put_live(judge.run())
    finally:
        follower.session.close()
    return root


@pytest.fixture
def judge(scored_project: Path, tmp_path: Path, follow: Callable[[Path], Follower]) -> Judge:
    root = tmp_path / "scored"
    shutil.copytree(scored_project, root, symlinks=True)
    return Judge(SmallProject(root), follow(root), [])
