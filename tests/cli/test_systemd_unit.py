"""The systemd unit: what systemd makes of it is what was meant."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.cli.systemd_unit import quoted, unit_text
from mlbench.domain.errors import UsageError

ODD = "a b%h \"q\" $HOME \\ 'x' é;#"


def unquoted(text: str) -> list[str]:
    """The words of a command line, as systemd.service(5) says that it takes them apart."""
    words: list[str] = []
    word, quote, is_open = "", "", False
    characters = iter(text)
    for character in characters:
        if character == "\\":
            word, is_open = word + next(characters), True
        elif quote:
            quote, word = ("", word) if character == quote else (quote, word + character)
        elif character in "\"'" and not is_open:
            quote, is_open = character, True
        elif character == " ":
            words += [word] if is_open else []
            word, is_open = "", False
        else:
            word, is_open = word + character, True
    return [*words, word] if is_open else words


@given(st.lists(st.text(st.characters(min_codepoint=32, exclude_characters="\x7f")), min_size=1))
def test_words_come_back_as_they_were(words: list[str]) -> None:
    line = " ".join(map(quoted, words))
    assert [word.replace("%%", "%") for word in unquoted(line)] == words


def test_a_path_that_no_unit_can_spell_is_refused() -> None:
    with pytest.raises(UsageError, match="no systemd unit can spell this"):
        unit_text("title", Path("/a\nb"), ("/bin/true",), {})


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_takes_it_also_for_an_odd_folder(tmp_path: Path) -> None:
    folder = tmp_path / ODD
    folder.mkdir()
    program = folder / "python"
    program.symlink_to(sys.executable)
    command = (str(program), "-P", "-m", "mlbench", "-C", str(folder), "serve", "staging")
    unit = tmp_path / "mlbench.service"
    unit.write_text(unit_text(f"mlbench of {ODD}", folder, command, {"PYTHONPATH": str(folder)}))
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "SYSTEMD_LOG_LEVEL": "warning"}
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--user", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    # Of other units of the machine it may say what it likes.
    assert "mlbench.service" not in verified.stderr, verified.stderr
    assert verified.returncode == 0, verified.stderr


def test_it_is_printed_for_the_environments_that_are_named(tmp_path: Path) -> None:
    toml = '[stages.train]\ncmd = "true"\n[environments.staging]\nport = 8101\n'
    (tmp_path / "mlbench.toml").write_text(toml)
    command = [sys.executable, "-m", "mlbench", "-C", str(tmp_path), "serve", "--print-unit"]
    printed = subprocess.run([*command, "staging"], capture_output=True, text=True, check=True)
    lines = printed.stdout.splitlines()
    (start,) = (line for line in lines if line.startswith("ExecStart="))
    words = unquoted(start.removeprefix("ExecStart="))
    assert words[1:] == ["-P", "-m", "mlbench", "-C", str(tmp_path), "serve", "staging"]
    assert Path(words[0]).is_absolute()
    assert {"Type=exec", "Restart=on-failure", "KillMode=mixed"} <= set(lines)
    assert f"WorkingDirectory={tmp_path}" in lines
    assert "systemctl --user" in printed.stderr
    unknown = subprocess.run([*command, "nowhere"], capture_output=True, check=False)
    assert (unknown.returncode, unknown.stdout) == (2, b"")
