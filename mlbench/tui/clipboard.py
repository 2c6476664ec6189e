"""Copying for the terminal's own clipboard, over SSH and from inside tmux too."""

from __future__ import annotations

import base64
import contextlib
import subprocess
from collections.abc import Mapping

_PATIENCE_SECONDS = 2.0


def copying(text: str, variables: Mapping[str, str]) -> str:
    """What has to be written to the terminal: OSC 52, in tmux also wrapped to pass through it.

    tmux takes the plain sequence with `set-clipboard on`, the wrapped one with
    `allow-passthrough on`; see xterm's "Operating System Commands" and tmux's FAQ.
    """
    plain = f"\x1b]52;c;{base64.b64encode(text.encode()).decode()}\a"
    if not variables.get("TMUX"):
        return plain
    return plain + "\x1bPtmux;" + plain.replace("\x1b", "\x1b\x1b") + "\x1b\\"


def hand_to_tmux(text: str) -> None:
    """Put it into tmux's own buffer, and from there into the terminal's clipboard.

    It works where tmux takes neither sequence, as it comes; a tmux before 3.2 refuses in silence.
    """
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        subprocess.run(
            ["tmux", "load-buffer", "-w", "-"],
            input=text.encode(),
            check=False,
            capture_output=True,
            timeout=_PATIENCE_SECONDS,
        )
