"""What a client of an environment's server has to bring."""

from __future__ import annotations

from mlbench.project.layout import Layout
from mlbench.serving.http.guard import is_loopback
from mlbench.serving.token import read_token


def token_for(layout: Layout, host: str) -> str | None:
    """The token that a server on this address asks whoever infers for; None where it asks none."""
    return None if is_loopback(host) else read_token(layout.server_token) or None
