"""What a run saved, as a terminal can show it: pictures in half blocks, the head of a text."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.content import Content

from mlbench.domain.phrases import size
from mlbench.tui.draw.ansi import safe
from mlbench.tui.draw.lines import Part, line
from mlbench.tui.saved import Saved

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PALETTE = 3
_MOST_PIXELS = 8_000_000
_TEXT_HEAD = 64 * 1024
# Neighbours that look the same share a style, and a line stays short over SSH.
_COLOUR_BITS = 0xF8


@dataclass(frozen=True, slots=True)
class PictureQuestion:
    """Which file to show, in so many cells."""

    path: Path
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Picture:
    """A file drawn as lines, or why it can't be drawn here."""

    question: PictureQuestion
    lines: tuple[Content, ...] = ()
    problem: str = ""


def read_picture(question: PictureQuestion) -> Picture:
    """A PNG as a picture, a text as its first lines; anything else is for another program."""
    try:
        if question.path.is_dir():
            names = sorted(item.name for item in question.path.iterdir())
            return Picture(question, tuple(line(name) for name in names[: question.height]))
        with question.path.open("rb") as file:
            head = file.read(_TEXT_HEAD)
            if head.startswith(_SIGNATURE):
                pixels = read_png(head + file.read())
                drawn = half_blocks(pixels, question.width, question.height)
                return Picture(question, tuple(drawn))
        text = head.decode("utf-8", errors="strict" if len(head) < _TEXT_HEAD else "replace")
        if "\0" in text:
            raise ValueError("it is neither a PNG nor a text")
    except UnicodeDecodeError:
        return Picture(question, problem="it is neither a PNG nor a text")
    except (OSError, ValueError, zlib.error) as error:
        return Picture(question, problem=str(error))
    rows = safe(text).splitlines()[: question.height]
    return Picture(question, tuple(line(row[: question.width]) for row in rows))


def read_png(data: bytes) -> Pixels:
    """Rows of red, green and blue, on white where it is transparent; ValueError for other files.

    Everything in W3C's "Portable Network Graphics" but interlacing.
    """
    # Late: only who looks at a picture needs it.
    import numpy as np

    chunks = dict(_chunks(data))
    if "IHDR" not in chunks or "IDAT" not in chunks:
        raise ValueError("it is no whole PNG")
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", chunks["IHDR"])
    if interlaced or kind not in _CHANNELS or depth not in (1, 2, 4, 8, 16):
        raise ValueError("it is an interlaced PNG, which only other programs show")
    if width * height > _MOST_PIXELS:
        raise ValueError(f"it has {width} × {height} pixels, which only other programs show")
    channels = _CHANNELS[kind]
    bits = channels * depth
    stride = (width * bits + 7) // 8
    raw = np.frombuffer(zlib.decompress(chunks["IDAT"]), np.uint8)
    if raw.size < height * (stride + 1):
        raise ValueError("it is no whole PNG")
    rows = _unfiltered(raw[: height * (stride + 1)].reshape(height, stride + 1), max(1, bits // 8))
    samples = _samples(rows, width, channels, depth, scaled=kind != _PALETTE)
    return _on_white(samples, chunks if kind == _PALETTE else {})


def half_blocks(pixels: Pixels, width: int, height: int) -> list[Content]:
    """The picture in at most this many cells, two pixels above each other in each."""
    tall, wide = pixels.shape[:2]
    share = min(width / wide, 2 * height / tall)
    columns, rows = max(1, int(wide * share)), max(1, int(tall * share / 2))
    small = _resized(pixels, columns, rows * 2) & _COLOUR_BITS
    lines = []
    for row in range(rows):
        upper, lower = small[row * 2].tolist(), small[row * 2 + 1].tolist()
        lines.append(line(*_blocks(upper, lower)))
    return lines


def _blocks(upper: Sequence[Sequence[int]], lower: Sequence[Sequence[int]]) -> Iterator[Part]:
    count, current = 0, ""
    for above, below in zip(upper, lower, strict=True):
        style = f"{_hex(above)} on {_hex(below)}"
        if style != current and count:
            yield ("▀" * count, current)
            count = 0
        current, count = style, count + 1
    yield ("▀" * count, current)


def _hex(colour: Sequence[int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _chunks(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The chunks by name; the parts of the image's data as one."""
    at, image = len(_SIGNATURE), b""
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        if name == b"IDAT":
            image += body
        elif name in (b"IHDR", b"PLTE", b"tRNS"):
            yield name.decode(), body
        at += 12 + length
    if image:
        yield "IDAT", image


def _unfiltered(filtered: Pixels, step: int) -> Pixels:
    """The rows as they were before each was filtered; `step` is the bytes of a pixel."""
    import numpy as np

    rows = filtered[:, 1:].copy()
    above = np.zeros(rows.shape[1], np.uint8)
    for index, kind in enumerate(filtered[:, 0].tolist()):
        row = rows[index]
        if kind == 1:
            for channel in range(step):
                row[channel::step] = np.cumsum(row[channel::step], dtype=np.uint8)
        elif kind == 2:
            row += above
        elif kind in (3, 4):
            row[:] = _from_left(row.tolist(), above.tolist(), step, is_paeth=kind == 4)
        elif kind:
            raise ValueError("it is no whole PNG")
        above = row
    return rows


def _from_left(row: list[int], above: list[int], step: int, *, is_paeth: bool) -> list[int]:
    """The filters Average and Paeth, in which every byte needs the one before."""
    for at, value in enumerate(row):
        left = row[at - step] if at >= step else 0
        up = above[at]
        if not is_paeth:
            row[at] = (value + (left + up) // 2) & 0xFF
            continue
        corner = above[at - step] if at >= step else 0
        guess = left + up - corner
        to_left, to_up, to_corner = abs(guess - left), abs(guess - up), abs(guess - corner)
        if to_left <= to_up and to_left <= to_corner:
            nearest = left
        else:
            nearest = up if to_up <= to_corner else corner
        row[at] = (value + nearest) & 0xFF
    return row


def _samples(rows: Pixels, width: int, channels: int, depth: int, *, scaled: bool) -> Pixels:
    """One byte a sample, as height × width × channels."""
    import numpy as np

    if depth == 16:
        rows = rows[:, ::2]
    elif depth < 8:
        bits = np.unpackbits(rows, axis=1)[:, : width * channels * depth]
        weights = 1 << np.arange(depth - 1, -1, -1, dtype=np.uint8)
        packed = bits.reshape(len(rows), -1, depth) @ weights
        rows = (packed * (255 // ((1 << depth) - 1) if scaled else 1)).astype(np.uint8)
    return rows.reshape(len(rows), width, channels)


def _on_white(samples: Pixels, palette: dict[str, bytes]) -> Pixels:
    import numpy as np

    if palette:
        colours = np.frombuffer(palette.get("PLTE", b"\0\0\0"), np.uint8).reshape(-1, 3)
        clear = np.frombuffer(palette.get("tRNS", b""), np.uint8)
        alpha = np.full(len(colours), 255, np.uint8)
        alpha[: len(clear)] = clear[: len(colours)]
        places = np.minimum(samples[..., 0], len(colours) - 1)
        return _blended(colours[places], alpha[places][..., None])
    channels = samples.shape[2]
    colour = samples[..., :3] if channels > 2 else np.repeat(samples[..., :1], 3, axis=2)
    return _blended(colour, samples[..., -1:]) if channels in (2, 4) else colour


def _blended(colour: Pixels, alpha: Pixels) -> Pixels:
    import numpy as np

    share = alpha.astype(np.uint16)
    blended: Any = (colour.astype(np.uint16) * share + 255 * (255 - share)) // 255
    return np.asarray(blended, np.uint8)


def _resized(pixels: Pixels, width: int, height: int) -> Pixels:
    """Means of what falls together where it shrinks, the nearest pixel where it grows."""
    import numpy as np

    result: Any = pixels.astype(np.float32)
    for way, target in ((0, height), (1, width)):
        source = result.shape[way]
        starts = np.arange(target) * source // target
        if target < source:
            shape = [1, 1, 1]
            shape[way] = target
            counts = np.diff(np.append(starts, source)).reshape(shape)
            result = np.add.reduceat(result, starts, axis=way) / counts
        else:
            result = np.take(result, starts, axis=way)
    return np.asarray(result, np.uint8)


def opener(platform: str = sys.platform) -> str:
    """The program that opens a file with whatever the user opens such files with."""
    return "open" if platform == "darwin" else "xdg-open"


def open_outside(path: Path) -> str:
    """Open a file in another program; gives what is wrong, or nothing."""
    try:
        subprocess.Popen(
            [opener(), str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return f"there is no {opener()} here; the file is {path}"
    return ""


def described(saved: Saved) -> str:
    """What it is, in a few words."""
    step = f", step {saved.step}" if saved.step is not None else ""
    return f"{saved.kind}{step}, {size(saved.size)}, {saved.stage}"
