"""What a run saved, as a terminal shows it."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.tui.clipboard import copying
from mlbench.tui.pictures import PictureQuestion, half_blocks, read_picture, read_png

_BYTES = {0: 1, 2: 3, 4: 2, 6: 4}


def png(pixels: np.ndarray, kind: int, filters: list[int]) -> bytes:
    """A PNG of these samples (height × width × channels, one byte each), filtered as told."""
    height, width, step = pixels.shape
    body = bytearray()
    above = np.zeros(width * step, np.int64)
    for index, row in enumerate(pixels.reshape(height, -1).astype(np.int64)):
        left = np.concatenate([np.zeros(step, np.int64), row[:-step]])
        corner = np.concatenate([np.zeros(step, np.int64), above[:-step]])
        guess = left + above - corner
        near = [abs(guess - left), abs(guess - above), abs(guess - corner)]
        nearest = np.where(
            (near[0] <= near[1]) & (near[0] <= near[2]),
            left,
            np.where(near[1] <= near[2], above, corner),
        )
        kinds = [np.zeros_like(row), left, above, (left + above) // 2, nearest]
        chosen = filters[index % len(filters)]
        body += bytes([chosen]) + ((row - kinds[chosen]) % 256).astype(np.uint8).tobytes()
        above = row
    head = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(body))), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@given(
    st.sampled_from(sorted(_BYTES)),
    st.integers(1, 7),
    st.integers(1, 7),
    st.lists(st.integers(0, 4), min_size=1, max_size=7),
    st.integers(0, 2**32 - 1),
)
def test_every_filter_of_a_png_is_undone(
    kind: int, width: int, height: int, filters: list[int], seed: int
) -> None:
    samples = np.random.default_rng(seed).integers(0, 256, (height, width, _BYTES[kind]), np.uint8)
    if kind in (4, 6):
        samples[..., -1] = 255
    shown = read_png(png(samples, kind, filters))
    colour = samples[..., :3] if kind in (2, 6) else np.repeat(samples[..., :1], 3, axis=2)
    assert (shown == colour).all()


def test_what_is_transparent_is_white() -> None:
    clear = np.zeros((2, 2, 4), np.uint8)
    assert (read_png(png(clear, 6, [0])) == 255).all()


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 60), st.integers(1, 30))
def test_a_picture_fits_into_its_place(tall: int, wide: int, width: int, height: int) -> None:
    lines = half_blocks(np.full((tall, wide, 3), 128, np.uint8), width, height)
    assert 1 <= len(lines) <= height
    assert all(1 <= row.cell_length <= width for row in lines)


def test_the_upper_half_of_a_picture_stands_above_the_lower() -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[:2] = (248, 0, 0)
    upper, lower = half_blocks(pixels, 4, 2)
    assert upper.spans[0].style == "#f80000 on #f80000"
    assert lower.spans[0].style == "#000000 on #000000"


def test_texts_are_shown_from_their_beginning_and_other_files_are_for_others(
    tmp_path: Path,
) -> None:
    def shown(name: str, data: bytes) -> tuple[list[str], str]:
        path = tmp_path / name
        path.write_bytes(data)
        found = read_picture(PictureQuestion(path, 10, 2))
        return [row.plain for row in found.lines], found.problem

    assert shown("a.csv", b"x,y\n1,\x1b[2J2\nlater\n") == (["x,y", "1,2"], "")
    assert shown("a.png", png(np.zeros((2, 2, 3), np.uint8), 2, [0]))[1] == ""
    assert shown("a.bin", b"\xff\xfe\x00")[1] == "it is neither a PNG nor a text"
    whole = png(np.zeros((9, 9, 3), np.uint8), 2, [0])
    for length in (20, 40, len(whole) - 20):
        assert shown("torn.png", whole[:length])[1], length
    assert read_picture(PictureQuestion(tmp_path / "gone", 9, 9)).problem
    folder = read_picture(PictureQuestion(tmp_path, 9, 1))
    assert [row.plain for row in folder.lines] == ["a.bin"]


def test_what_would_fill_the_memory_is_left_to_others(tmp_path: Path) -> None:
    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + head + b"0000"
    bomb += struct.pack(">I", 8) + b"IDAT" + zlib.compress(b"") + b"0000"
    with pytest.raises(ValueError, match="only other programs"):
        read_png(bomb)


def test_copying_reaches_the_clipboard_through_tmux_too() -> None:
    plain = "\x1b]52;c;aGk=\a"
    assert copying("hi", {}) == plain
    assert copying("hi", {"TMUX": "/tmp/x,1,0"}) == plain + "\x1bPtmux;\x1b\x1b]52;c;aGk=\a\x1b\\"
