"""The journal: what was acknowledged is read again, whatever a crash or a bad disk did."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.system.journal import Journal, append, line_of, read_lines, value_of

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
journals = st.lists(values, max_size=6)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("journal") / "lines.jsonl"


def _write(path: Path, lines: bytes) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(lines)


@given(written=st.lists(journals, max_size=3))
def test_what_is_appended_is_read_in_order(path: Path, written: list[list[Any]]) -> None:
    path.unlink(missing_ok=True)
    for batch in written:
        append(path, batch, durable=False)
    assert list(read_lines(path)) == [value for batch in written for value in batch]


@given(written=journals.filter(bool), data=st.data())
def test_a_torn_file_loses_only_its_torn_line(path: Path, written: list[Any], data: Any) -> None:
    lines = [line_of(value) for value in written]
    whole = b"".join(lines)
    kept = data.draw(st.integers(0, len(whole)), label="kept bytes")
    _write(path, whole[:kept])
    ends = [len(b"".join(lines[: number + 1])) for number in range(len(lines))]
    survivors = [value for value, end in zip(written, ends, strict=True) if end <= kept]
    assert list(read_lines(path)) == survivors
    append(path, ["behind"], durable=False)
    assert list(read_lines(path)) == [*survivors, "behind"]


@given(written=journals.filter(bool), data=st.data())
def test_an_altered_line_is_passed_over_and_costs_no_other(
    path: Path, written: list[Any], data: Any
) -> None:
    lines = [line_of(value) for value in written]
    which = data.draw(st.integers(0, len(lines) - 1), label="line")
    at = data.draw(st.integers(0, len(lines[which]) - 1), label="byte")
    byte = data.draw(st.integers(0, 255).filter(lambda new: new != lines[which][at]))
    is_joined = at == len(lines[which]) - 1
    lines[which] = lines[which][:at] + bytes([byte]) + lines[which][at + 1 :]
    _write(path, b"".join(lines))
    lost = {which, which + 1} if is_joined else {which}
    assert list(read_lines(path)) == [v for n, v in enumerate(written) if n not in lost]


@given(tail=st.binary(max_size=40).filter(lambda tail: b"\n" not in tail))
def test_a_tail_without_an_end_is_cut_before_the_next_line(path: Path, tail: bytes) -> None:
    _write(path, line_of("first") + tail)
    append(path, ["second"], durable=False)
    assert path.read_bytes() == line_of("first") + line_of("second")


def test_a_tail_longer_than_a_block_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(line_of("first") + b"\0" * 20_000)
    append(path, ["x" * 10_000, "second"])
    assert list(read_lines(path)) == ["first", "x" * 10_000, "second"]
    path.write_bytes(b"torn" * 3000)
    append(path, ["only"])
    assert list(read_lines(path)) == ["only"]


def test_a_line_is_checksum_space_json_newline() -> None:
    line = line_of({"name": "größe"})
    assert line.endswith(b'{"name":"gr\xc3\xb6\xc3\x9fe"}\n')
    assert value_of(line) == {"name": "größe"}
    for broken in (b"", b"\n", b"12345678", line[1:], line.upper(), b"0x" + line[2:]):
        with pytest.raises(ValueError, match="checksum"):
            value_of(broken)


@given(
    deeds=st.lists(
        st.tuples(st.sampled_from(["append", "halve", "look", "tear"]), st.integers(0, 1)),
        max_size=25,
    )
)
def test_who_takes_in_the_news_knows_what_the_file_says(
    path: Path, deeds: list[tuple[str, int]]
) -> None:
    path.unlink(missing_ok=True)
    journals = [Journal(path), Journal(path)]
    known: list[list[Any]] = [[], []]
    for number, (deed, which) in enumerate(deeds):
        journal = journals[which]
        if deed == "append":
            journal.append(number)
        elif deed == "halve":
            journal.rewrite(lambda values: values[len(values) // 2 :] if values else None)
        elif deed == "tear" and path.exists():
            with path.open("ab") as file:
                file.write(b"torn")
        else:
            is_anew, news = journal.news()
            known[which] = [*([] if is_anew else known[which]), *news]
            assert known[which] == list(read_lines(path))


def test_nothing_is_lost_that_is_appended_while_the_journal_is_rewritten(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "lines.jsonl")
    journal.append("first")
    other = threading.Thread(target=lambda: Journal(tmp_path / "lines.jsonl").append("second"))

    def change(values: list[Any]) -> list[Any]:
        other.start()
        return [*values, "changed"]

    journal.rewrite(change)
    other.join()
    assert list(journal.read()) == ["first", "changed", "second"]


def test_a_missing_journal_is_empty(tmp_path: Path) -> None:
    assert list(read_lines(tmp_path / "nothing")) == []


_APPENDER = """
import sys
from pathlib import Path
from mlbench.system.journal import append
for number in range(60):
    append(Path(sys.argv[1]), [[sys.argv[2], number], "x" * number * 50], durable=False)
"""


def test_two_processes_append_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    writers = [
        subprocess.Popen([sys.executable, "-c", _APPENDER, str(path), name]) for name in "ab"
    ]
    assert [writer.wait() for writer in writers] == [0, 0]
    found = [value for value in read_lines(path) if isinstance(value, list)]
    for name in "ab":
        assert [number for who, number in found if who == name] == list(range(60))


_FULL_DISK = """
import resource, sys
from pathlib import Path
from mlbench.system.journal import append
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
path = Path(sys.argv[1])
append(path, ["kept"])
try:
    append(path, ["x" * 5000])
except OSError as error:
    print(error.strerror)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
append(path, ["behind"])
"""


def test_a_full_disk_is_an_error_and_never_a_silent_loss(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    said = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, str(path)], capture_output=True, check=True, text=True
    )
    assert said.stdout == "File too large\n"
    assert list(read_lines(path)) == ["kept", "behind"]


def test_a_name_that_is_no_utf_8_is_written_and_read(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.csv")
    append(tmp_path / "lines.jsonl", [{"outs": {name: "digest"}}])
    assert list(read_lines(tmp_path / "lines.jsonl")) == [{"outs": {name: "digest"}}]
