"""Outs over 5 GB: not cached unless that is asked for, and the user is told. Files have holes."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlbench.domain.stages import LARGEST_UNASKED, Out, Stage
from mlbench.pipeline.large import advice_on_size, bytes_of, too_large
from mlbench.pipeline.tree import DiskTree


def sparse(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size)


def test_the_bytes_of_a_folder_are_those_of_its_files(tmp_path: Path) -> None:
    sparse(tmp_path / "out" / "a", 10)
    sparse(tmp_path / "out" / "deep" / "b", 5)
    sparse(tmp_path / "out" / "__pycache__" / "c.pyc", 100)
    tree = DiskTree()
    assert bytes_of(tree, tmp_path / "out") == 15
    assert bytes_of(tree, tmp_path / "out" / "a") == 10
    assert bytes_of(tree, tmp_path / "missing") == 0


@pytest.mark.parametrize(
    ("out", "size", "is_cached"),
    [
        (Out("x"), LARGEST_UNASKED, True),
        (Out("x"), LARGEST_UNASKED + 1, False),
        (Out("x", cache_asked=True), LARGEST_UNASKED + 1, True),
        (Out("x", cache=False), 1, False),
    ],
)
def test_what_is_over_the_limit_is_cached_only_if_asked(
    out: Out, size: int, is_cached: bool
) -> None:
    assert out.is_cached(size) is is_cached


def test_the_user_is_told_what_to_write(tmp_path: Path) -> None:
    sparse(tmp_path / "big" / "one", LARGEST_UNASKED // 2 + 1)
    sparse(tmp_path / "big" / "two", LARGEST_UNASKED // 2 + 1)
    sparse(tmp_path / "asked", LARGEST_UNASKED * 2)
    sparse(tmp_path / "left", LARGEST_UNASKED * 2)
    sparse(tmp_path / "small", 10)
    outs = (
        Out("big"),
        Out("asked", cache_asked=True),
        Out("left", cache=False),
        Out("small"),
        Out("missing"),
    )
    stage = Stage("train", ("true",), outs=outs)
    large = too_large(DiskTree(), tmp_path, stage)
    assert large == {"big": LARGEST_UNASKED + 2}
    (told,) = advice_on_size(stage, large)
    assert told.startswith("big is 5.0 GB, too large to be cached by itself; write in")
    assert '[stages.train] of mlbench.toml: outs = [{ "big" = { cache = true } }]' in told
