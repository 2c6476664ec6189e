"""`python -m mlbench.serving.worker`: started by a supervisor, which gives it its sockets."""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
from pathlib import Path

import uvloop

from mlbench.project.layout import Layout
from mlbench.serving.worker.process import Place, Worker

# How long a thread may keep the others from Python. By default it is ten times as long, which a
# model's thread waited for at each batch, and the event loop while another version was loaded.
_SWITCH_SECONDS = 0.0005


def main() -> int:
    """Work until the supervisor says to finish, or is gone."""
    parser = argparse.ArgumentParser(prog="mlbench.serving.worker", description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--environment", required=True)
    parser.add_argument("--index", type=int, required=True)
    parser.add_argument("--listen", type=int, required=True, help="the listening socket")
    parser.add_argument("--control", type=int, required=True, help="the line to the supervisor")
    given = parser.parse_args()
    sys.setswitchinterval(_SWITCH_SECONDS)
    place = Place(Layout(given.root.resolve()), given.environment, given.index)
    listener = socket.socket(fileno=given.listen)
    control = socket.socket(fileno=given.control)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(Worker(place, listener).run(control))
    return 0


if __name__ == "__main__":
    sys.exit(main())
