"""Where everything lies in a user's project; nothing else in the code spells these paths."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CONFIG_NAME = "mlbench.toml"
LOCAL_CONFIG_NAME = "mlbench.local.toml"
LOCK_NAME = "mlbench.lock"


@dataclass(frozen=True)
class Layout:
    """The files of one project folder; `root` is absolute."""

    root: Path

    @property
    def config(self) -> Path:
        """The configuration, shared through git."""
        return self.root / CONFIG_NAME

    @property
    def local_config(self) -> Path:
        """What overrides the configuration on this machine alone."""
        return self.root / LOCAL_CONFIG_NAME

    @property
    def lock(self) -> Path:
        """What each stage was built from and gave, shared through git."""
        return self.root / LOCK_NAME

    @property
    def own(self) -> Path:
        """The folder of everything that mlbench writes."""
        return self.root / ".mlbench"

    @property
    def loop_lock(self) -> Path:
        """Held by the process that runs this folder's loop."""
        return self.own / "loop.lock"

    @property
    def events(self) -> Path:
        """Event files, one a holder of the loop."""
        return self.own / "events"

    @property
    def inbox(self) -> Path:
        """Commands on their way to the holder of the loop."""
        return self.own / "inbox"

    @property
    def flights(self) -> Path:
        """Runs on their way, so that the next holder of the loop can go on with them."""
        return self.own / "flights"

    @property
    def state(self) -> Path:
        """The stat cache, traces and intents."""
        return self.own / "state"

    @property
    def aside(self) -> Path:
        """Old outs while their stage runs."""
        return self.state / "aside"

    @property
    def cache(self) -> Path:
        """Outputs by content hash."""
        return self.own / "cache"

    @property
    def snapshots(self) -> Path:
        """Copies of the project in which stages run apart from it."""
        return self.own / "snapshots"

    @property
    def runs(self) -> Path:
        """One folder a run."""
        return self.own / "runs"

    @property
    def experiments(self) -> Path:
        """The TinyDB file that indexes the runs."""
        return self.own / "experiments.json"

    @property
    def unrecorded(self) -> Path:
        """An empty file for each run that a script began by itself and nobody has indexed yet."""
        return self.own / "unrecorded"

    @property
    def undo(self) -> Path:
        """What the last changes of marks and deletions replaced."""
        return self.own / "undo.jsonl"

    @property
    def trash(self) -> Path:
        """Runs that were deleted, for a while."""
        return self.own / "trash"

    @property
    def models(self) -> Path:
        """Candidates and versions."""
        return self.own / "models"

    @property
    def ledger(self) -> Path:
        """Every promotion and rollback, one line each."""
        return self.own / "ledger.jsonl"

    @property
    def serving(self) -> Path:
        """What each environment serves, and how its server does."""
        return self.own / "serving"

    def run_folder(self, run: str) -> Path:
        """Logs, step metrics, diff and record of one run."""
        return self.runs / run

    def stage_folder(self, run: str, stage: str) -> Path:
        """What one stage of one run wrote: its log, its steps, its exit."""
        return self.run_folder(run) / "stages" / stage.replace("/", "%2F")

    def deployment(self, environment: str) -> Path:
        """The Deployment that an environment's server reads."""
        return self.serving / f"{environment}.json"

    def server_state(self, environment: str) -> Path:
        """What an environment's server says of itself: pid, port, models, error."""
        return self.serving / f"{environment}.state.json"

    def server_lock(self, environment: str) -> Path:
        """Held by an environment's server while it lives."""
        return self.serving / f"{environment}.lock"

    def server_log(self, environment: str) -> Path:
        """What an environment's server prints."""
        return self.serving / f"{environment}.log"
