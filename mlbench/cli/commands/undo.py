"""`mlbench undo`: take the last change of the record back."""

from __future__ import annotations

import argparse
from pathlib import Path

from mlbench.cli.output import narrate
from mlbench.engine.record_desk import RecordDesk


def configure(_parser: argparse.ArgumentParser) -> None:
    """It takes no arguments."""


def run(options: argparse.Namespace) -> int:
    """Undo the last note, tag, star, baseline, archiving or deletion."""
    narrate(RecordDesk.of(Path(options.folder)).undo())
    return 0
