"""The words of a command, as a shell would split them."""

from __future__ import annotations

import functools
import re

# Where nothing is quoted or escaped, a shell splits at blanks and around its own signs.
_QUOTING = frozenset("'\"\\")
_PLAIN_WORDS = re.compile(r"[();<>|&]+|[^ \t\r\n();<>|&]+")
_WRITES = frozenset((">", ">>", ">|", "&>", "2>", "2>>"))
_PYTHONS = ("python", "pypy", "pytest", "ipython", "jupyter", "papermill")


@functools.lru_cache(maxsize=8192)
def words_of(command: str) -> tuple[str, ...]:
    """The words, the shell's own signs apart; none where the quotes don't match.

    "python a.py;" and "python a.py>log" both name a.py.
    """
    if _QUOTING.isdisjoint(command):
        return tuple(_PLAIN_WORDS.findall(command))
    # Most commands are plain, and shlex takes a hundred times as long.
    import shlex

    splitter = shlex.shlex(command, posix=True, punctuation_chars=True)
    splitter.whitespace_split = True
    splitter.commenters = ""
    try:
        return tuple(splitter)
    except ValueError:
        return ()


def runs_python(command: str) -> bool:
    """Whether a command names a Python program, whose reads are then seen by the trace."""
    return any(word.rpartition("/")[2].startswith(_PYTHONS) for word in words_of(command))


@functools.lru_cache(maxsize=8192)
def words_read(command: str) -> tuple[str, ...]:
    """The words that may name files the command reads: all but what it redirects into.

    The value of `--option=value` counts as well.
    """
    words = words_of(command)
    read = [
        word
        for before, word in zip(("", *words), words, strict=False)
        if before not in _WRITES and word not in _WRITES
    ]
    return tuple(dict.fromkeys(part for word in read for part in (word, word.partition("=")[2])))
