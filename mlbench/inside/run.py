"""`with mlbench.run():` for scripts outside a pipeline; inside a stage it adds to the stage."""

from __future__ import annotations

from mlbench.inside.place import here, warn

TYPE_CHECKING = False  # type checkers take it for True; importing typing costs milliseconds
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType
    from typing import Any

    from mlbench.inside.logged import LoggedWriter
    from mlbench.inside.script import ScriptRun


def run(
    name: str | None = None,
    *,
    tags: str | Iterable[str] | Mapping[str, object] = (),
    params: Mapping[str, Any] | Any = None,
) -> OpenRun:
    """A run of the script's own for a `with` block: all that is logged in the block goes there.

    It ends as failed where an exception leaves the block, as cancelled on Ctrl-C, else as passed.
    Inside another run it is that one's child. Inside a stage of a pipeline, which has its run, it
    begins none: tags and params are the stage's. Nothing is raised.
    """
    return OpenRun(name or "", tags, params)


class OpenRun:
    """A run while its block is open; `id` and `folder` are empty where none could be begun."""

    def __init__(
        self, name: str, tags: str | Iterable[str] | Mapping[str, object], params: Any
    ) -> None:
        """Remember what it is to begin with."""
        self.name = name
        self.id = ""
        self.folder = ""
        self._tags = tags
        self._params = params
        self._run: ScriptRun | None = None

    def __enter__(self) -> OpenRun:
        """Begin it."""
        try:
            self._begin()
        except Exception as error:
            warn("run", f"can't begin one here ({error}); make the folder writable")
        for what, say in (("params", self._say_params), ("name and tags", self._say_words)):
            try:
                if here.places:
                    say(here.places[-1].said)
            except Exception as error:
                warn("run", f"left its {what} out ({error})")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it; what leaves the block goes on its way."""
        if self._run is None:
            return
        from mlbench.inside.ending import outcome_of
        from mlbench.inside.scripts import finish

        begun, self._run = self._run, None
        try:
            finish(begun, *outcome_of(kind, error))
        except Exception as problem:
            warn("run", f"can't write how it ended ({problem})")

    def _begin(self) -> None:
        from mlbench.inside.scripts import begin, inherited_run, is_off, scripts

        parent = inherited_run()
        if parent == "" or is_off():
            return
        with scripts.lock:
            self._run = begin(self.name, parent or "")
        self.id, self.folder = self._run.id, self._run.folder

    def _say_params(self, said: LoggedWriter) -> None:
        if self._params is not None:
            said.params(self._params)

    def _say_words(self, said: LoggedWriter) -> None:
        if self.name and self._run is None:
            said.write("section", name=self.name)
        if self._tags:
            words, values = _tags(self._tags)
            said.tags(*words, **values)


def _tags(tags: Any) -> tuple[list[str], dict[str, object]]:
    if isinstance(tags, str):
        return [tags], {}
    if hasattr(tags, "items"):
        return [], {str(key): value for key, value in tags.items()}
    return [str(tag) for tag in tags], {}
