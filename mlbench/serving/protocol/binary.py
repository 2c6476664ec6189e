"""Tensors as the bytes that follow the JSON: the binary data extension.

Source: Triton's protocol/extension_binary_data.md. Elements stand in row-major order, little
endian; one of BYTES is its length as 32 bits and itself; BF16 is the upper half of a float32.
"""

from __future__ import annotations

import math
import struct

import numpy as np

from mlbench.serving.protocol.tensors import DTYPES, Array

_LENGTH = struct.Struct("<I")
_PREFIX = _LENGTH.size


def array_from_bytes(
    datatype: str, shape: tuple[int, ...], body: bytes, start: int, size: int
) -> Array:
    """The array of this datatype and shape that `size` bytes of a body hold from `start` on.

    It is the body's own memory, read-only, where that is aligned for its elements; BF16 becomes
    float32. Raises ValueError where the bytes are too many or too few, or no such elements.
    """
    count = math.prod(shape)
    if datatype == "BYTES":
        return np.array(_texts(body, start, size, count), dtype=object).reshape(shape)
    dtype = np.dtype(np.uint16) if datatype == "BF16" else DTYPES[datatype]
    if size != count * dtype.itemsize:
        raise ValueError(
            f"shape {list(shape)} of {datatype} takes {count * dtype.itemsize} bytes, not {size}"
        )
    array = np.frombuffer(body, dtype, count, start) if count else np.empty(0, dtype)
    if datatype == "BF16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    elif datatype == "BOOL" and count and array.view(np.uint8).max() > 1:
        raise ValueError("BOOL takes the bytes 0 and 1")
    # onnxruntime reads the memory as it is, and not all machines can read across a word's edge.
    return (array if array.flags.aligned else array.copy()).reshape(shape)


def bytes_of(array: Array, datatype: str) -> bytes | memoryview:
    """An array's elements as the extension writes them; float32 where the datatype is BF16."""
    if datatype == "BYTES":
        return _prefixed(texts_of(array))
    if datatype == "BF16":
        array = bfloat16_bits(array)
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def bfloat16_bits(array: Array) -> Array:
    """The nearest bfloat16 of each float32, ties to even, as 16 bits each; NaN stays NaN."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    rounded = (bits + (((bits >> 16) & 1) + np.uint32(0x7FFF))) >> 16
    return np.where(np.isnan(array), (bits >> 16) | 0x40, rounded).astype(np.uint16)


def texts_of(array: Array) -> list[str]:
    """The elements of an array of texts in row-major order."""
    return [
        item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)
        for item in array.ravel().tolist()
    ]


def element_size(datatype: str) -> int | None:
    """The bytes of one element, None where elements differ in length."""
    if datatype == "BYTES":
        return None
    return 2 if datatype == "BF16" else DTYPES[datatype].itemsize


def text_of(data: bytes) -> str:
    """One element of BYTES; ValueError where it is not UTF-8, as onnxruntime's texts are."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ValueError("BYTES takes texts in UTF-8") from None


def _texts(body: bytes, start: int, size: int, count: int) -> list[str]:
    """Exactly `count` elements that take up exactly `size` bytes."""
    end = start + size
    if count * _PREFIX > size:
        raise ValueError(f"{count} elements of BYTES take more than {size} bytes")
    texts: list[str] = []
    for _ in range(count):
        if start + _PREFIX > end:
            raise ValueError(f"BYTES end within element {len(texts) + 1} of {count}")
        (length,) = _LENGTH.unpack_from(body, start)
        start += _PREFIX
        if start + length > end:
            raise ValueError(f"BYTES end within element {len(texts) + 1} of {count}")
        texts.append(text_of(body[start : start + length]))
        start += length
    if start != end:
        raise ValueError(f"BYTES has {end - start} bytes after its {count} elements")
    return texts


def _prefixed(texts: list[str]) -> bytes:
    encoded = [text.encode() for text in texts]
    return b"".join(part for text in encoded for part in (_LENGTH.pack(len(text)), text))
