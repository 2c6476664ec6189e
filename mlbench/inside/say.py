"""What a script says besides metrics; as with `log`, nothing is raised and nothing is stopped."""

from __future__ import annotations

from mlbench.inside.place import here, warn, whole_step

TYPE_CHECKING = False  # type checkers take it for True; importing typing costs milliseconds
if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike
    from typing import Any, SupportsInt

    from mlbench.inside.place import Place


def log_params(params: Mapping[str, Any] | Any = None, /, **values: Any) -> None:
    """Record parameters: `log_params(lr=0.1)`, `log_params({"train": {"lr": 0.1}})`.

    Nested mappings become dotted names (`train.lr`); an argparse namespace or a data class does for
    a mapping. Values whose name says key, token, secret or password become `***`.
    """
    try:
        place = _place()
        if place is not None:
            if params is not None:
                place.said.params(params)
            if values:
                place.said.params(values)
    except Exception as error:
        _warn("log_params", error)


def log_artifact(path: str | PathLike[str], name: str | None = None) -> None:
    """Keep a copy of a file, or of a folder with all in it, with the run.

    `name` is its place among the run's artifacts, such as `"checkpoints/best.pt"`, by default its
    own name. What is there under that name is replaced.
    """
    try:
        place = _place()
        if place is not None:
            import os

            from mlbench.inside.artifacts import keep_copy
            from mlbench.inside.logged import ARTIFACTS_NAME

            kept, size = keep_copy(place.folder, os.fspath(path), name)
            named = kept[len(ARTIFACTS_NAME) + 1 :]
            place.said.write("artifact", name=named, path=kept, size=size)
    except Exception as error:
        _warn("log_artifact", error)


def log_figure(figure: Any, name: str, step: SupportsInt | None = None) -> None:
    """Keep a picture with the run, as `<name>.png`, or `<name>-<step>.png` with a step.

    `figure` is a figure or axes of matplotlib, an image of PIL, or an array: height x width, or
    height x width x 3 or 4 channels, of bytes, truths, or floats from 0 to 1.
    """
    try:
        place = _place()
        if place is not None:
            from mlbench.inside.figures import png_of

            _keep(place, "figure", png_of(figure), name, ".png", step)
    except Exception as error:
        _warn("log_figure", error)


def log_table(rows: Any, name: str, step: SupportsInt | None = None) -> None:
    """Keep a table with the run: a list of mappings, a mapping of columns, or a data frame.

    It becomes `<name>.csv`; where a cell holds a list or a mapping, JSON lines in `<name>.jsonl`.
    With a step, `<name>-<step>` and so on. Data frames are those of pandas, Polars and PyArrow.
    """
    try:
        place = _place()
        if place is not None:
            from mlbench.inside.tables import text_of

            text, suffix = text_of(rows)
            _keep(place, "table", text.encode("utf-8", "backslashreplace"), name, suffix, step)
    except Exception as error:
        _warn("log_table", error)


def set_tags(*words: str, **values: object) -> None:
    """Tag the run: `set_tags("good", team="vision")` gives the tags `good` and `team=vision`."""
    try:
        place = _place()
        if place is not None and (words or values):
            place.said.tags(*words, **values)
    except Exception as error:
        _warn("set_tags", error)


def _place() -> Place | None:
    if here.places:
        return here.places[-1]
    # Late: inside a stage nobody needs it.
    from mlbench.inside.scripts import current

    return current()


def _keep(
    place: Place, kind: str, data: bytes, name: str, suffix: str, step: SupportsInt | None
) -> None:
    from mlbench.inside.artifacts import keep_bytes

    stem = name[: -len(suffix)] if name.endswith(suffix) else name
    whole = None if step is None else whole_step(step)
    numbered = stem if whole is None else f"{stem}-{whole}"
    kept, size = keep_bytes(place.folder, data, numbered + suffix)
    place.said.write(kind, name=stem, path=kept, size=size, step=whole)


def _warn(call: str, error: Exception) -> None:
    advice = "; make room or make it writable" if isinstance(error, OSError) else ""
    warn(call, f"left a call out ({error}){advice}")
