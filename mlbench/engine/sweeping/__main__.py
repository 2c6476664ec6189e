"""`python -m mlbench.engine.sweeping ROOT STUDY`: the coordinator of one study."""

from __future__ import annotations

import signal
import sys
import time
import traceback
from pathlib import Path

from mlbench.domain.errors import MlbenchError
from mlbench.domain.sweeps import Progress, StopSweep
from mlbench.engine.study_files import StudyFiles
from mlbench.engine.sweeping.coordinator import Coordinator
from mlbench.project.layout import Layout

_TRIES, _PAUSE = 50, 0.01


def main(root: str, study: str) -> int:
    """Go on with a study until it ends; says in its progress.json how it did."""
    layout = Layout(Path(root))
    files = StudyFiles(layout, study)
    if not _acquired(files):
        return 0
    try:
        coordinator = Coordinator(layout, files)
        signal.signal(signal.SIGTERM, lambda *_: coordinator.stop(StopSweep(at_once=True)))
        ending = coordinator.run()
    except MlbenchError as error:
        ending = Progress(
            "ended", because=str(error), has_failed=True, exit_status=error.exit_status
        )
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        ending = Progress("ended", because=f"{where}{error.strerror or error}", has_failed=True)
    except Exception:
        traceback.print_exc()
        told = f"internal error: {traceback.format_exc()}"
        ending = Progress("ended", because=told, has_failed=True)
    files.write_progress(ending)
    files.lock.release()
    return 1 if ending.has_failed else 0


def _acquired(files: StudyFiles) -> bool:
    """Take the lock, which a face that looks whether it is held may have for an instant."""
    for _ in range(_TRIES):
        if files.lock.try_acquire():
            return True
        time.sleep(_PAUSE)
    return False


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
