"""Printing what shares an environment's requests: shares, canaries and shadows."""

from __future__ import annotations

import argparse
from pathlib import Path

from mlbench.cli.output import narrate, print_json
from mlbench.domain.errors import UsageError
from mlbench.domain.ledger import shares_in_words
from mlbench.domain.plain import to_plain
from mlbench.domain.release import EnvironmentStatus
from mlbench.domain.stages import EnvironmentSpec
from mlbench.domain.trials import canary_lines, shadow_lines
from mlbench.engine.sandbox import Sandbox
from mlbench.engine.session import find_layout
from mlbench.engine.trials import TrafficNow


def look(options: argparse.Namespace, model: str | None) -> tuple[EnvironmentSpec, TrafficNow]:
    """How the traffic of one model stands; UsageError where the environment does not serve it."""
    environment, _, known = look_at_all(options)
    found = [one for one in known if model in (None, one.model)]
    if len(found) != 1:
        listed = ", ".join(one.model for one in known) or "nothing"
        raise UsageError(f"{environment.name}: say which model; it serves {listed}")
    return environment, found[0]


def look_at_all(
    options: argparse.Namespace,
) -> tuple[EnvironmentSpec, EnvironmentStatus, tuple[TrafficNow, ...]]:
    """How the traffic of every model of an environment stands."""
    sandbox = Sandbox(find_layout(Path(options.folder)))
    environment = sandbox.environments((options.environment,))[0]
    status = sandbox.status(environment)
    return environment, status, sandbox.traffic(status)


def show(environment: EnvironmentSpec, now: TrafficNow) -> None:
    """The shares of a model, and how its canary and shadow stand."""
    print(f"{now.model}  {shares_in_words(now.weights)}")
    if now.canary is not None:
        for line in canary_lines(now.canary, environment.canary):
            print(f"  {line}")
    elif now.traffic.canary is not None:
        print(f"  canary v{now.traffic.canary}: its server has said nothing of it yet")
    if now.shadow is not None:
        for line in shadow_lines(now.shadow):
            print(f"  {line}")
    elif now.traffic.shadow is not None:
        print(f"  shadow v{now.traffic.shadow}: its server has said nothing of it yet")


def show_one(options: argparse.Namespace, model: str | None, kind: str) -> int:
    """How the canary or shadow of a model stands, or that there is none."""
    environment, now = look(options, model)
    version = now.traffic.canary if kind == "canary" else now.traffic.shadow
    state = now.canary if kind == "canary" else now.shadow
    if options.json:
        print_json({"model": now.model, "version": version, "state": to_plain(state)})
    elif version is None:
        narrate(f"{environment.name} has no {kind} of {now.model}")
    else:
        show(environment, now)
    return 0
