"""Where everything lies in a user's project; nothing else in the code spells these paths.

Worktrees of one repository share what is on record: cache, traces, runs and their index, models,
ledger, and with the ledger the servers. What belongs to one tree and its loop is each one's own.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from mlbench.inside.worktree import home_of, sharing_with, worktree_name, worktree_names

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

    @functools.cached_property
    def home(self) -> Path:
        """The project's folder in the main worktree, `root` itself where nothing is shared."""
        return Path(home_of(str(self.root)))

    @functools.cached_property
    def tree_name(self) -> str:
        """What tells this worktree from the others that share its record; empty for the home."""
        return "" if self.home == self.root else worktree_name(str(self.root))

    @property
    def others(self) -> tuple[Layout, ...]:
        """The same project in the other worktrees that share its record, where they are there."""
        return tuple(Layout(Path(folder)) for folder in sharing_with(str(self.root)))

    @property
    def tree_names(self) -> frozenset[str]:
        """The `tree_name` of every worktree that git knows of, there or not."""
        return frozenset({"", self.tree_name, *worktree_names(str(self.root))})

    @property
    def own(self) -> Path:
        """The folder of what mlbench writes for this tree alone."""
        return self.root / ".mlbench"

    @property
    def shared(self) -> Path:
        """The folder of what mlbench writes for all worktrees of the repository."""
        return self.home / ".mlbench"

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
        """The stat cache, intents and locks of stages."""
        return self.own / "state"

    @property
    def traces(self) -> Path:
        """What each stage was built from and gave."""
        return self.shared / "state" / "traces.jsonl"

    @property
    def aside(self) -> Path:
        """Old outs while their stage runs."""
        return self.state / "aside"

    @property
    def scores(self) -> Path:
        """What models scored on other evaluation data than their run's; derived, may be dropped."""
        return self.shared / "state" / "scores.json"

    @property
    def cache(self) -> Path:
        """Outputs by content hash."""
        return self.shared / "cache"

    @property
    def snapshots(self) -> Path:
        """Copies of the project in which stages run apart from it."""
        return self.own / "snapshots"

    @property
    def runs(self) -> Path:
        """One folder a run."""
        return self.shared / "runs"

    @property
    def environments(self) -> Path:
        """What runs were made in, by content hash; each run's folder has its own link to one."""
        return self.shared / "environments"

    @property
    def experiments(self) -> Path:
        """The TinyDB file that indexes the runs."""
        return self.shared / "experiments.json"

    @property
    def unrecorded(self) -> Path:
        """An empty file for each run that a script began by itself and nobody has indexed yet."""
        return self.shared / "unrecorded"

    @property
    def undo(self) -> Path:
        """What the last changes of marks and deletions replaced."""
        return self.shared / "undo.jsonl"

    @property
    def trash(self) -> Path:
        """Runs that were deleted, for a while."""
        return self.shared / "trash"

    @property
    def studies(self) -> Path:
        """One folder a study of a sweep, each of this tree's own code."""
        return self.own / "studies"

    @property
    def models(self) -> Path:
        """Candidates and versions."""
        return self.shared / "models"

    @property
    def ledger(self) -> Path:
        """Every promotion and rollback, one line each."""
        return self.shared / "ledger.jsonl"

    @property
    def serving(self) -> Path:
        """What each environment serves, and how its server does."""
        return self.shared / "serving"

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

    @property
    def available(self) -> Path:
        """Every version that servers may load, for who asks them to over the protocol."""
        return self.serving / "available" / "versions.json"

    @property
    def server_token(self) -> Path:
        """The secret that load, unload, feedback and every address beyond loopback ask for."""
        return self.serving / "token"

    def counters(self, environment: str) -> Path:
        """What the workers of an environment's server count, a file a version."""
        return self.serving / f"{environment}.counters"

    def door(self, environment: str) -> Path:
        """What the workers count of connections, before a request comes to a model."""
        return self.serving / f"{environment}.door"

    def requests(self, environment: str) -> Path:
        """The request log of an environment, in segments."""
        return self.serving / f"{environment}.requests"

    def labels(self, environment: str) -> Path:
        """Labels that came after their requests, one line each."""
        return self.serving / f"{environment}.labels.jsonl"

    def canaries(self, environment: str) -> Path:
        """How the canaries of an environment stand; its server writes it."""
        return self.serving / f"{environment}.canaries" / "now.json"

    def shadows(self, environment: str) -> Path:
        """How the shadows of an environment stand; its server writes it."""
        return self.serving / f"{environment}.shadows" / "now.json"

    def change_lock(self, environment: str) -> Path:
        """Held by whoever promotes to an environment or rolls it back."""
        return self.serving / f"{environment}.change.lock"

    def change_mark(self, environment: str) -> Path:
        """Stands while an environment is changed; without the lock held, the change broke off."""
        return self.serving / f"{environment}.changing"

    def told_outside(self, sequence: int) -> Path:
        """How `on_promote` ended for an entry of the ledger; what it printed lies beside it."""
        return self.serving / "on_promote" / f"{sequence}.json"
