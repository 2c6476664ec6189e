"""A systemd user unit that serves a project's environments, as text.

Quoting is that of systemd.service(5), "Command lines", and systemd.unit(5), "Specifiers".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mlbench.domain.errors import UsageError

# Longer than servers take to end what is under way, and to be killed if they don't.
_STOP_SECONDS = 30

_HARDENING = (
    "NoNewPrivileges=yes",
    "LockPersonality=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "SystemCallArchitectures=native",
    "LimitCORE=0",
)


def unit_text(
    title: str, folder: Path, command: Sequence[str], variables: Mapping[str, str]
) -> str:
    """The unit; UsageError for a path that no unit can spell."""
    texts = (title, str(folder), *command, *variables.values())
    for text in texts:
        if any(ord(character) < 32 or ord(character) == 127 for character in text):
            raise UsageError(f"{text!r}: no systemd unit can spell this; rename the folder")
    # It takes no program with such characters in its path, however they are quoted.
    program, *words = ("/usr/bin/env", *command) if set(command[0]) & set("\"'\\") else command
    lines = [
        "[Unit]",
        f"Description={_percent(title)}",
        "After=network.target",
        "",
        "[Service]",
        "Type=exec",
        # Taken as it stands, but for specifiers: quotes would become part of the path.
        f"WorkingDirectory={_percent(str(folder))}",
        *(f"Environment={quoted(f'{name}={value}')}" for name, value in variables.items()),
        # A dollar sign means something in every word but the first.
        " ".join(
            (f"ExecStart={quoted(program)}", *(quoted(word).replace("$", "$$") for word in words))
        ),
        "Restart=on-failure",
        "RestartSec=2",
        # 130 is how it ends when it is told to; 2 is a call that no second try makes right.
        "SuccessExitStatus=130",
        "RestartPreventExitStatus=2",
        # It stops its servers itself, and these their workers; what is left then is killed.
        "KillMode=mixed",
        f"TimeoutStopSec={_STOP_SECONDS}",
        *_HARDENING,
        "",
        "[Install]",
        "WantedBy=default.target",
    ]
    return "\n".join(lines) + "\n"


def quoted(word: str) -> str:
    """One word of a command line or an assignment."""
    text = _percent(word)
    plain = all(character.isalnum() or character in "%/._-+=:@," for character in text)
    if text and plain and text.isascii():
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _percent(text: str) -> str:
    return text.replace("%", "%%")
