"""The words of a command: as a shell splits them, however plain the command is."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.pipeline.words import runs_python, words_of, words_read

_SIGNS = "ab.= \t\r\n();<>|&#$*?~-/éß\x0b\xa0\0!`{}[]'\"\\%@,:^+"


def _by_shlex(command: str) -> tuple[str, ...]:
    splitter = shlex.shlex(command, posix=True, punctuation_chars=True)
    splitter.whitespace_split = True
    splitter.commenters = ""
    try:
        return tuple(splitter)
    except ValueError:
        return ()


@given(st.text(alphabet=_SIGNS))
def test_the_quick_way_splits_as_the_slow_one(command: str) -> None:
    assert words_of(command) == _by_shlex(command)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("python a.py;", ("python", "a.py", ";")),
        ("python a.py>log", ("python", "a.py", ">", "log")),
        ("cat 'a b' c", ("cat", "a b", "c")),
        ("cat 'a", ()),
        ("", ()),
    ],
)
def test_words(command: str, words: tuple[str, ...]) -> None:
    assert words_of(command) == words


def test_what_is_written_is_not_read() -> None:
    assert "out" not in words_read("cat in > out")
    assert {"in", "--from=x", "x"} <= set(words_read("cat in --from=x > out"))


def test_a_python_is_known_by_the_name_of_its_file() -> None:
    assert runs_python("/opt/bin/python3 a.py")
    assert not runs_python("cat python/a.txt")
