"""Arrays of numpy's files compared element by element; nothing is unpickled."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbench.pipeline.comparing.places import NEAR_ZERO, NoValuesError, Place

if TYPE_CHECKING:
    import numpy

# Elements that are compared at once: an array may be larger than memory.
_CHUNK = 1 << 20
_UNREADABLE = (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)


def npy_place(expected: Path, found: Path, tolerance: float) -> Place | None:
    """Where two .npy files differ; NoValuesError for Python objects and for what is no array."""
    import numpy

    try:
        one, other = (numpy.load(p, mmap_mode="r", allow_pickle=False) for p in (expected, found))
    except _UNREADABLE as error:
        raise NoValuesError(_why(error)) from None
    return array_place(one, other, tolerance, "")


def npz_place(expected: Path, found: Path, tolerance: float) -> Place | None:
    """Where two .npz files differ: names, then each array; objects by their pickled bytes."""
    import numpy

    try:
        with (
            numpy.load(expected, allow_pickle=False) as one,
            numpy.load(found, allow_pickle=False) as other,
        ):
            for name in sorted({*one.files, *other.files}):
                place = _member_place(one, other, name, tolerance)
                if place is not None:
                    return place
    except _UNREADABLE as error:
        raise NoValuesError(_why(error)) from None
    return None


def _member_place(one: Any, other: Any, name: str, tolerance: float) -> Place | None:
    shown = tuple("there" if name in archive.files else "missing" for archive in (one, other))
    if "missing" in shown:
        return Place(f"array {name}", *shown)
    try:
        a, b = one[name], other[name]
        if not isinstance(a, bytes) and not isinstance(b, bytes):
            return array_place(a, b, tolerance, name)
        # A member that is no array is given as its bytes.
        return None if a == b else Place(f"member {name}", "these bytes", "others")
    except ValueError:
        if one.zip.read(f"{name}.npy") == other.zip.read(f"{name}.npy"):
            return None
        where = f"array {name} (of Python objects, by their bytes)"
        return Place(where, "these", "others")


def array_place(
    one: numpy.ndarray[Any, Any], other: numpy.ndarray[Any, Any], tolerance: float, name: str
) -> Place | None:
    """Where two arrays differ: dtype, shape, or the first element in C order.

    Floating and complex elements agree within `tolerance`, relative to the larger; all others,
    whole numbers among them, exactly. NaN equals NaN, NaT equals NaT.
    """
    import numpy

    label = f"array {name} " if name else ""
    if one.dtype != other.dtype:
        return Place(f"{label}dtype", str(one.dtype), str(other.dtype))
    if one.shape != other.shape:
        return Place(f"{label}shape", str(one.shape), str(other.shape))
    if one.dtype.names:
        inner = (
            array_place(one[part], other[part], tolerance, f"{name}.{part}" if name else part)
            for part in one.dtype.names
        )
        return next((place for place in inner if place is not None), None)
    floor = _floor(one, tolerance)
    left, right = one.reshape(-1), other.reshape(-1)
    for start in range(0, left.size, _CHUNK):
        a, b = left[start : start + _CHUNK], right[start : start + _CHUNK]
        apart = numpy.flatnonzero(~_agree(a, b, tolerance, floor))
        if apart.size:
            at = start + int(apart[0])
            index = ", ".join(str(int(i)) for i in numpy.unravel_index(at, one.shape))
            where = f"{name}[{index}]" if index else name or "the value"
            return Place(where, str(left[at]), str(right[at]))
    return None


def _agree(a: Any, b: Any, tolerance: float, floor: float) -> Any:
    import numpy

    same = a == b
    if a.dtype.kind not in "fcmM":
        return same
    if a.dtype.kind in "mM":
        return same | (numpy.isnat(a) & numpy.isnat(b))
    with numpy.errstate(all="ignore"):
        larger = numpy.maximum(numpy.abs(a), numpy.abs(b))
        # In double precision, or the tolerance would be rounded to that of a half.
        apart = numpy.abs(numpy.subtract(a, b, dtype=numpy.result_type(a.dtype, "f8")))
        near = apart <= numpy.maximum(tolerance * larger.astype("f8"), floor)
        # Infinity is near to nothing but itself.
        near &= numpy.isfinite(larger)
    return same | near | (numpy.isnan(a) & numpy.isnan(b))


def _floor(array: Any, tolerance: float) -> float:
    """The difference below which two elements of a floating array are the same.

    That is rounding noise of its largest element: sums that cancel out leave so much behind.
    """
    import numpy

    if not tolerance or array.dtype.kind not in "fc" or not array.size:
        return 0.0
    flat, largest = array.reshape(-1), 0.0
    for start in range(0, flat.size, _CHUNK):
        sizes = numpy.abs(flat[start : start + _CHUNK])
        finite = sizes[numpy.isfinite(sizes)]
        largest = max(largest, float(finite.max())) if finite.size else largest
    return max(tolerance * NEAR_ZERO, float(numpy.finfo(array.dtype).eps) * largest)


def _why(error: BaseException) -> str:
    if "pickle" in str(error) or "object" in str(error):
        return "holds Python objects, so by its bytes"
    return "can't be read as an array, so by its bytes"
