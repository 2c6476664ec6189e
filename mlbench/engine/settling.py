"""Writing down what canaries came to, in a process of its own: servers start it at a verdict."""

from __future__ import annotations

import threading

from mlbench.engine.hands.going_live import GoingLive
from mlbench.engine.hands.telling import Tell
from mlbench.engine.hands.verdicts import settle_canaries
from mlbench.engine.releases import Releases, find_environment
from mlbench.project.config import load_project
from mlbench.project.layout import Layout


def settle_environment(layout: Layout, name: str, tell: Tell) -> tuple[str, ...]:
    """Settle one environment's canaries, whoever holds the loop; gives a sentence for each.

    UsageError where there is no such environment; MlbenchError where it can't be written down.
    """
    environment = find_environment(load_project(layout), name)
    releases = Releases(layout)
    going_live = GoingLive(layout, releases, threading.Event())
    return settle_canaries(layout, releases, going_live, environment, tell)
