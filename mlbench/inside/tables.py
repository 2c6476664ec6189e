"""Tables as text: CSV, or JSON lines where a cell holds more than one value.

Nothing is imported that the script didn't import: what a value can do tells what it is.
"""

from __future__ import annotations

import io

TYPE_CHECKING = False  # type checkers take it for True; importing typing costs milliseconds
if TYPE_CHECKING:
    from typing import Any

CSV_SUFFIX, LINES_SUFFIX = ".csv", ".jsonl"
_SINGLE = (str, int, float, bool, type(None))
_WHAT = "pass a list of mappings, a mapping of columns, or a data frame"


def text_of(rows: Any) -> tuple[str, str]:
    """The table as text with the suffix of its format; TypeError or ValueError for what is none.

    In CSV a missing cell is empty; in JSON lines it is not there, and a number that JSON has no
    word for is null.
    """
    names, lines = _rows(rows)
    lines = [{name: _plain(cell) for name, cell in line.items()} for line in lines]
    if all(isinstance(cell, _SINGLE) for line in lines for cell in line.values()):
        return _csv(names, lines), CSV_SUFFIX
    return _json_lines(lines), LINES_SUFFIX


def _rows(table: Any) -> tuple[list[str], list[dict[str, Any]]]:
    """The names of the columns, in the order in which they first come, and the rows."""
    columns = _columns(table)
    if columns is not None:
        lengths = {len(column) for column in columns.values()}
        if len(lengths) > 1:
            raise ValueError(f"columns differ in length ({', '.join(map(str, sorted(lengths)))})")
        count = max(lengths, default=0)
        return list(columns), [
            {name: column[row] for name, column in columns.items()} for row in range(count)
        ]
    lines = []
    for row in table:
        if not hasattr(row, "items"):
            raise TypeError(f"a row is a {type(row).__name__}; {_WHAT}")
        lines.append({str(name): cell for name, cell in row.items()})
    return list(dict.fromkeys(name for line in lines for name in line)), lines


def _columns(table: Any) -> dict[str, Any] | None:
    """The columns by name; None for something that is to be read row by row."""
    library = type(table).__module__.partition(".")[0]
    if library == "pandas":
        # An index that only counts says nothing.
        counts = type(table.index).__name__ == "RangeIndex"
        table = (table if counts else table.reset_index()).to_dict(orient="list")
    elif library == "polars":
        table = table.to_dict(as_series=False)
    elif hasattr(table, "to_pydict"):
        table = table.to_pydict()
    if not hasattr(table, "items"):
        if isinstance(table, (str, bytes)) or not hasattr(table, "__iter__"):
            raise TypeError(f"a {type(table).__name__} is no table; {_WHAT}")
        return None
    for name, column in table.items():
        if isinstance(column, (str, bytes)) or not hasattr(column, "__len__"):
            raise TypeError(f'column "{name}" is a {type(column).__name__}; {_WHAT}')
    return {str(name): column for name, column in table.items()}


def _plain(cell: Any) -> Any:
    """A cell as JSON has it; arrays become lists, and whatever else its `str`."""
    if isinstance(cell, _SINGLE):
        return cell
    if hasattr(cell, "items") and hasattr(cell, "keys"):
        return {str(name): _plain(item) for name, item in cell.items()}
    if isinstance(cell, (list, tuple, set, frozenset)):
        return [_plain(item) for item in cell]
    if callable(getattr(cell, "tolist", None)):  # arrays, tensors and their numbers
        return _plain(cell.tolist())
    return str(cell)


def _csv(names: list[str], lines: list[dict[str, Any]]) -> str:
    import csv

    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _json_lines(lines: list[dict[str, Any]]) -> str:
    import json

    return "".join(
        json.dumps(_speakable(line), ensure_ascii=False, allow_nan=False) + "\n" for line in lines
    )


def _speakable(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _speakable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_speakable(item) for item in value]
    is_number = not isinstance(value, float) or value - value == 0
    return value if is_number else None
