"""Pictures as PNG: by the library that made them, or, for arrays, by the standard library.

Nothing is imported that the script didn't import: what a value can do tells what it is.
"""

from __future__ import annotations

import io
import struct
import sys
import zlib

TYPE_CHECKING = False  # type checkers take it for True; importing typing costs milliseconds
if TYPE_CHECKING:
    from typing import Any

_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""PNG's number for so many channels: grey, with alpha, RGB, RGBA (PNG specification, 11.2.1)."""
_SLACK = 1e-3
_WHAT = "pass a matplotlib figure or axes, a PIL image, or an array"


def png_of(figure: Any) -> bytes:
    """The picture as the bytes of a PNG; TypeError or ValueError for what is none."""
    if hasattr(figure, "savefig"):
        return _saved(figure.savefig, format="png")
    if callable(getattr(figure, "get_figure", None)):  # axes
        return png_of(figure.get_figure())
    if hasattr(figure, "save") and hasattr(figure, "mode"):
        if figure.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16"):
            figure = figure.convert("RGB")
        return _saved(figure.save, format="PNG")
    if hasattr(figure, "numpy"):  # a tensor
        figure = figure.detach().cpu() if hasattr(figure, "detach") else figure
        figure = figure.numpy()
    if hasattr(figure, "dtype") and hasattr(figure, "tobytes") and hasattr(figure, "shape"):
        return _png_of_array(figure)
    raise TypeError(f"a {type(figure).__name__} is no picture; {_WHAT}")


def png(pixels: bytes, width: int, height: int, channels: int) -> bytes:
    """A PNG of 8 bits a channel, row after row from the top (PNG specification, 2nd edition)."""
    stride = width * channels
    # Each row begins with the number of its filter, here none.
    rows = b"".join(
        b"\0" + pixels[start : start + stride] for start in range(0, height * stride, stride)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows, 6)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _saved(save: Any, **options: str) -> bytes:
    buffer = io.BytesIO()
    save(buffer, **options)
    return buffer.getvalue()


def _png_of_array(array: Any) -> bytes:
    shape = tuple(int(length) for length in array.shape)
    if len(shape) not in (2, 3) or 0 in shape or (len(shape) == 3 and shape[2] not in (1, 3, 4)):
        raise ValueError(
            f"an array of shape {shape} is no picture; its shape must be height x width, or "
            "height x width x 3 or 4"
        )
    channels = shape[2] if len(shape) == 3 else 1
    return png(_as_bytes(array).tobytes(), shape[1], shape[0], channels)


def _as_bytes(array: Any) -> Any:
    """The array as one of bytes, in the same shape."""
    kind = array.dtype.kind
    if kind == "b":
        return array.astype("uint8") * 255
    if kind == "f":
        # A value that is no number is black, as in most viewers.
        array = sys.modules["numpy"].nan_to_num(array, nan=0.0) if "numpy" in sys.modules else array
        _check_range(array, -_SLACK, 1 + _SLACK, "floats must be from 0 to 1")
        return (array.clip(0, 1) * 255 + 0.5).astype("uint8")
    if kind in "ui":
        _check_range(array, 0, 255, "whole numbers must be from 0 to 255")
        return array.astype("uint8")
    raise TypeError(f"an array of {array.dtype} is no picture; pass bytes or floats from 0 to 1")


def _check_range(array: Any, low: float, high: float, rule: str) -> None:
    least, greatest = array.min(), array.max()
    if not (least >= low and greatest <= high):
        raise ValueError(f"{rule}, and these go from {least} to {greatest}; scale them")
