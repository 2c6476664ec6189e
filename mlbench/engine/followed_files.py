"""The curve files of a stage that runs, as it was written down when it began."""

from __future__ import annotations

from pathlib import Path

from mlbench.domain.curves import Points
from mlbench.pipeline.curve_files import CurveFiles
from mlbench.pipeline.launch import Intents
from mlbench.pipeline.tree import DiskTree
from mlbench.project.layout import Layout


class FollowedFiles:
    """Follows what one stage writes in the project's folder; what runs in a snapshot writes there.

    Of that nothing is seen before it has ended.
    """

    def __init__(self, layout: Layout, stage: str, folder: Path) -> None:
        """`folder` is the stage's in the run that runs it."""
        self._root = layout.root
        self._intents = Intents(DiskTree(), layout.state / "intents")
        self._stage = stage
        self._folder = folder
        self._files: CurveFiles | None = None

    def look(self) -> Points:
        """All points as of now; none before the stage has begun, or where it runs apart."""
        if self._files is None:
            launch = self._intents.get(self._stage)
            if launch is None or launch.folder != str(self._folder):
                return {}
            self._files = CurveFiles(self._root, launch.stage, launch.started)
        return self._files.look()
