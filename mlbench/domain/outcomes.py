"""What can become of a stage and of a run: the word, the glyph and the colour name side by side."""

from __future__ import annotations

from enum import Enum
from typing import Self


class _Vocabulary(Enum):
    """An enum whose members are (word, glyph, colour name); colour is never the only sign."""

    def __init__(self, word: str, glyph: str, colour: str) -> None:
        self.word = word
        self.glyph = glyph
        self.colour = colour

    @classmethod
    def of(cls, word: str) -> Self:
        """The member with this word; KeyError where there is none."""
        for member in cls:
            if member.word == word:
                return member
        raise KeyError(word)


class StageOutcome(_Vocabulary):
    """What became of one stage in one run."""

    RAN = ("ran", "✓", "ok")
    UNCHANGED = ("unchanged", "=", "quiet")
    RESTORED = ("restored", "↺", "ok")
    FAILED = ("failed", "✗", "fail")
    BLOCKED = ("blocked", "⊘", "warn")
    CANCELLED = ("cancelled", "■", "warn")
    OVERTAKEN = ("overtaken", "»", "warn")

    @property
    def stands(self) -> bool:
        """Whether the stage's outputs on disk are now those of its inputs."""
        return self in (StageOutcome.RAN, StageOutcome.UNCHANGED, StageOutcome.RESTORED)


class TestOutcome(_Vocabulary):
    """What became of a single test of a test stage; an error came before or after its body."""

    PASSED = ("passed", "✓", "ok")
    FAILED = ("failed", "✗", "fail")
    ERROR = ("error", "‼", "fail")
    SKIPPED = ("skipped", "–", "quiet")

    @property
    def is_bad(self) -> bool:
        """Whether the test tells of something that is wrong."""
        return self in (TestOutcome.FAILED, TestOutcome.ERROR)


class RunOutcome(_Vocabulary):
    """What became of a whole run; its gates are told apart from it."""

    PASSED = ("passed", "✓", "ok")
    FAILED = ("failed", "✗", "fail")
    CANCELLED = ("cancelled", "■", "warn")
    OVERTAKEN = ("overtaken", "»", "warn")


class StageState(_Vocabulary):
    """How a stage stands before anything runs."""

    FRESH = ("fresh", "✓", "ok")
    STALE = ("stale", "●", "warn")
    NEW = ("new", "+", "info")


class ReasonKind(_Vocabulary):
    """Why a stage has to run."""

    FILE = ("file", "▤", "info")
    CODE = ("code", "λ", "info")
    PARAM = ("param", "≔", "info")
    ENV = ("env", "$", "info")
    COMMAND = ("command", "❯", "info")
    PACKAGE = ("package", "◫", "info")
    PYTHON = ("python", "π", "info")
    UPSTREAM = ("upstream", "↑", "info")
    OUTPUT = ("output", "▥", "info")
    FORCED = ("forced", "!", "info")
    NEW = ("new", "+", "info")
    ALWAYS = ("always", "∞", "info")


def outcome_of_run(stages: dict[str, StageOutcome]) -> RunOutcome:
    """A run failed if a stage failed, else was cancelled or overtaken if one was, else passed."""
    outcomes = set(stages.values())
    if outcomes & {StageOutcome.FAILED, StageOutcome.BLOCKED}:
        return RunOutcome.FAILED
    if StageOutcome.CANCELLED in outcomes:
        return RunOutcome.CANCELLED
    if StageOutcome.OVERTAKEN in outcomes:
        return RunOutcome.OVERTAKEN
    return RunOutcome.PASSED


class TrialState(_Vocabulary):
    """How a trial of a study stands; a lost one ended with its process and is tried again."""

    WAITING = ("waiting", "·", "quiet")
    RUNNING = ("running", "▶", "accent")
    COMPLETE = ("complete", "✓", "ok")
    PRUNED = ("pruned", "✂", "quiet")
    FAILED = ("failed", "✗", "fail")
    LOST = ("lost", "?", "warn")

    @property
    def has_ended(self) -> bool:
        """Whether it counts towards the trials that a study is to have."""
        return self in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED)
