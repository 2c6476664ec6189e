"""Secrets in a file that is there already: hidden, and nothing else moved."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlbench.system import redaction
from mlbench.system.redaction import hide_in_file

_SECRETS = st.lists(st.text("abß", min_size=1, max_size=6), max_size=3)
_TEXT = st.lists(st.sampled_from(["a", "b", "ß", "-", "\n", "aab", "bß"]), max_size=40).map("".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=_TEXT, secrets=_SECRETS, block=st.integers(1, 9))
def test_no_secret_stays_and_no_other_byte_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, secrets: list[str], block: int
) -> None:
    monkeypatch.setattr(redaction, "_BLOCK", block)
    path = tmp_path / "log"
    path.write_text(text)
    before = path.read_bytes()
    hide_in_file(path, secrets)
    after = path.read_bytes()
    assert len(after) == len(before)
    assert not any(secret.encode() in after for secret in secrets)
    assert all(old == new or new == ord("*") for old, new in zip(before, after, strict=True))
    if not any(secret in text for secret in secrets):
        assert after == before


def test_a_file_that_is_not_there_or_not_ours_is_left(tmp_path: Path) -> None:
    hide_in_file(tmp_path / "none", ["secret-value"])
    hide_in_file(tmp_path, ["secret-value"])
    assert list(tmp_path.iterdir()) == []
