"""A request from rows as people keep them: columns by name, texts, numbers, nested lists."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mlbench.domain.elements import converter_of
from mlbench.domain.errors import UsageError, nearest
from mlbench.domain.release import Signature, TensorSpec
from mlbench.project.rows import Table
from mlbench.release.request import Tensor


def inputs_of(table: Table, signature: Signature, ignored: str | None = None) -> list[Tensor]:
    """The input tensors of a request for the rows of a table, columns chosen by their names.

    A column `ignored` (the truth) is left out where columns aren't chosen. UsageError with row and
    column of a value that does not fit.
    """
    if len(signature.inputs) == 1:
        spec = signature.inputs[0]
        names, rows = _features(table, spec, signature.columns, ignored)
        return [_tensor(table, spec, names, rows)]
    return [_column(table, spec) for spec in signature.inputs]


def _features(
    table: Table, spec: TensorSpec, columns: Sequence[str], ignored: str | None
) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
    """The values of each row for a single input, in the order in which the model takes them."""
    if not table.names:
        return (), table.rows
    if spec.name in table.names and not columns:
        chosen: Sequence[str] = (spec.name,)
    else:
        chosen = columns or [name for name in table.names if name != ignored]
    return chosen, _chosen(table, chosen)


def _column(table: Table, spec: TensorSpec) -> Tensor:
    """The tensor of an input that has a column of its own."""
    return _tensor(table, spec, (spec.name,), _chosen(table, (spec.name,)))


def _chosen(table: Table, names: Sequence[str]) -> list[list[Any]]:
    for name in names:
        if name not in table.names:
            listed = ", ".join(table.names) or "none, for the file names none"
            raise UsageError(
                f'{table.path}: lacks the column "{name}"{nearest(name, table.names)} '
                f"that the model takes; it has: {listed}"
            )
    places = [table.names.index(name) for name in names]
    return [[row[place] for place in places] for row in table.rows]


def _tensor(
    table: Table, spec: TensorSpec, names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> Tensor:
    convert = converter_of(spec.datatype)
    if convert is None:
        raise UsageError(
            f'{table.path}: the model\'s input "{spec.name}" is {spec.datatype}, which JSON '
            "can't hold"
        )
    data: list[Any] = []
    sizes: set[tuple[int, ...]] = set()
    for number, row in enumerate(rows, start=1):
        values = list(_flat(row))
        sizes.add(_row_shape(table, spec, number, row, len(values)))
        for place, value in enumerate(values):
            try:
                data.append(convert(value))
            except ValueError as error:
                named = place < len(names) == len(values)
                where = f'column "{names[place]}"' if named else f"value {place + 1}"
                raise UsageError(f"{table.path}: row {number}, {where}: {error}") from None
    if len(sizes) > 1:
        raise UsageError(f"{table.path}: its rows are of unlike sizes; ask about them apart")
    shape = [len(rows), *sizes.pop()]
    return {"name": spec.name, "datatype": spec.datatype, "shape": shape, "data": data}


def _row_shape(
    table: Table, spec: TensorSpec, number: int, row: Sequence[Any], count: int
) -> tuple[int, ...]:
    """The shape of one row of a tensor: the signature's, or as the row is nested where it is free.

    UsageError where the row has another one; a flat row fits where no size is free.
    """
    wanted, found = spec.shape[1:], _shape_of(row)
    if found is None:
        raise UsageError(f"{table.path}: row {number} is ragged: its lists differ in length")
    # A value of a named column stands in a row of its own.
    inner = found[1:] if len(found) > 1 and found[0] == 1 else found
    is_free = any(size < 0 for size in wanted)
    for shape in (found, inner):
        if not is_free and shape in ((count,), wanted) and math.prod(wanted) == count:
            return wanted
        if is_free and _allows(wanted, shape):
            return shape
    takes = [size if size >= 0 else "any" for size in wanted]
    if len(found) == 1 and not is_free:
        problem = f"has {count} values, the model takes {math.prod(wanted)}"
    else:
        problem = f"is of shape {list(found)}, the model takes {takes}"
    raise UsageError(f"{table.path}: row {number} {problem}")


def _allows(wanted: Sequence[int], shape: Sequence[int]) -> bool:
    """Whether a shape is the wanted one, in which -1 stands for any size."""
    return len(shape) == len(wanted) and all(
        size in (-1, have) for size, have in zip(wanted, shape, strict=True)
    )


def _shape_of(value: Any) -> tuple[int, ...] | None:
    """How lists are nested; None where they are ragged."""
    if not isinstance(value, list | tuple):
        return ()
    shapes = {_shape_of(item) for item in value}
    if len(shapes) > 1 or None in shapes:
        return None
    return (len(value), *(shapes.pop() or ())) if shapes else (0,)


def _flat(values: Sequence[Any]) -> Any:
    for value in values:
        if isinstance(value, list | tuple):
            yield from _flat(value)
        else:
            yield value
