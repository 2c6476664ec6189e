"""Ignore patterns as gitignore(5) has them, judged folder by folder as git itself walks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<escaped>\\.)
    | (?P<any_folders>(?:(?<=/)|^)\*\*/)
    | (?P<all_below>(?:(?<=/)|^)\*\*$)
    | (?P<stars>\*+)
    | (?P<one>\?)
    | (?P<bracket>\[[!^]?\]?(?:\[:[a-z]+:\]|\\.|[^\]\\])*\])
    | (?P<plain>.)""",
    re.VERBOSE | re.DOTALL,
)
_CLASSES = {
    "alpha": "a-zA-Z",
    "digit": "0-9",
    "alnum": "a-zA-Z0-9",
    "upper": "A-Z",
    "lower": "a-z",
    "space": r"\s",
    "blank": r" \t",
    "punct": r"!-/:-@\[-`{-~",
    "xdigit": "0-9a-fA-F",
    "print": " -~",
    "graph": "!-~",
    "cntrl": r"\x00-\x1f\x7f",
}


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line of an ignore file; without a slash in it, it is held against names alone."""

    regex: re.Pattern[str]
    includes: bool
    folders_only: bool
    is_anchored: bool

    def fits(self, path: str, is_folder: bool) -> bool:
        """Whether it is about this path, relative to the ignore file's folder."""
        if self.folders_only and not is_folder:
            return False
        text = path if self.is_anchored else path.rpartition("/")[2]
        return self.regex.fullmatch(text) is not None


def parse(line: str) -> Pattern | None:
    """The pattern of a line; None for an empty line, a comment, or what fits nothing."""
    line = re.sub(r"(?<!\\) +$", "", line.removesuffix("\r"))
    if not line or line.startswith("#"):
        return None
    includes, line = line.startswith("!"), line.removeprefix("!")
    folders_only, line = line.endswith("/"), line.removesuffix("/")
    is_anchored, line = "/" in line, line.removeprefix("/")
    # git takes a bracket that is never closed, or an escape of nothing, for a pattern that fails.
    if not line or (line.endswith("\\") and not line.endswith("\\\\")):
        return None
    try:
        regex = re.compile(
            "".join(_translated(token) for token in _TOKEN.finditer(line)), re.DOTALL
        )
    except re.error:
        return None
    return Pattern(regex, includes, folders_only, is_anchored)


def _translated(token: re.Match[str]) -> str:
    text = token.group()
    match token.lastgroup:
        case "escaped":
            return re.escape(text[1])
        case "any_folders":
            return "(?:.*/)?"
        case "all_below":
            return ".*"
        case "stars":
            return "[^/]*"
        case "one":
            return "[^/]"
        case "bracket":
            return _bracket(text[1:-1])
        case _:
            # A bracket that is never closed fits nothing.
            return "(?!)" if text == "[" else re.escape(text)


def _bracket(inner: str) -> str:
    negated = inner[:1] in ("!", "^")
    body = inner[1:] if negated else inner
    body = re.sub(r"\\(.)|([\[\]&~|^](?!:[a-z]+:\]))", _escaped, body)
    body = re.sub(r"\\?\[:([a-z]+):\\?\]", lambda found: _CLASSES.get(found[1], ""), body)
    return f"(?!/)[{'^' if negated else ''}{body}]"


def _escaped(found: re.Match[str]) -> str:
    return re.escape(found[1] or found[2])


@dataclass(frozen=True, slots=True)
class PatternFile:
    """The patterns of one folder; a later one wins."""

    skip: int
    patterns: tuple[Pattern, ...]

    @classmethod
    def read(cls, folder: str, files: Iterable[str]) -> PatternFile | None:
        """The patterns of some files as of this folder, or None where there are none."""
        patterns: list[Pattern] = []
        for path in files:
            try:
                with open(
                    path, encoding="utf-8-sig", errors="surrogateescape", newline="\n"
                ) as file:
                    text = file.read()
            except OSError:
                continue
            patterns += [found for line in text.split("\n") if (found := parse(line)) is not None]
        skip = len(folder.rstrip("/")) + 1
        return cls(skip, tuple(reversed(patterns))) if patterns else None

    def verdict(self, path: str, is_folder: bool) -> bool | None:
        """Whether an absolute path is ignored; None where no pattern is about it."""
        relative = path[self.skip :]
        fitting = (one for one in self.patterns if one.fits(relative, is_folder))
        return next((not one.includes for one in fitting), None)


def excluded(files: Iterable[PatternFile], path: str, is_folder: bool) -> bool:
    """Whether the nearest of these files that says anything ignores an absolute path."""
    verdicts = (file.verdict(path, is_folder) for file in files)
    return next((verdict for verdict in verdicts if verdict is not None), False)
