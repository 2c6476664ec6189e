"""The actions of screen 5: on environments, what they serve, and the requests that came."""

from __future__ import annotations

from mlbench.tui.action import Action
from mlbench.tui.serving_rules import (
    no_logged,
    no_replay,
    no_trial,
    not_askable,
    not_switchable,
    nothing_served_to_copy,
)
from mlbench.tui.situation import ASKING, REQUEST, SERVING

ON_SERVING: tuple[Action, ...] = (
    Action(
        "ask", "a", "a", "try it", "ask the model under the cursor: a form with a held-out row; "
        "on a request, with its inputs", "mlbench predict ENV MODEL", (SERVING, REQUEST),
        not_askable, rank=2,
    ),
    Action(
        "switch", "u", "u", "up/down", "start the environment's server, or stop it after asking",
        "mlbench serve ENV", (SERVING,), not_switchable, rank=3,
    ),
    Action(
        "canary", "c", "c", "canary", "give another version a growing share of the requests until "
        "it passes or is rolled back by itself; end the one that goes on",
        "mlbench canary MODEL@VERSION ENV", (SERVING,), no_trial, rank=4,
    ),
    Action(
        "shadow", "S", "S", "shadow", "copy requests to another version and compare its answers, "
        "which nobody gets; end the one that goes on", "mlbench shadow MODEL@VERSION ENV",
        (SERVING,), no_trial, rank=4,
    ),
    Action(
        "traffic", "t", "t", "traffic", "share the requests among versions",
        "mlbench traffic ENV MODEL VERSION=WEIGHT…", (SERVING,), no_trial, rank=4,
    ),
    Action(
        "replay", "d", "d", "replay", "ask another version what was asked lately, and show which "
        "answers differ", "mlbench replay MODEL@VERSION [--last N]", (SERVING,), no_replay, rank=5,
    ),
    Action(
        "copy-request", "y", "y", "copy", "copy a request as curl or Python, or the address",
        "", (SERVING, REQUEST), nothing_served_to_copy, rank=5,
    ),
    Action(
        "copy-asked", "f2", "f2", "copy", "copy what the form asks as curl or Python",
        "", (ASKING,), not_askable, rank=4,
    ),
    Action("send", "enter", "enter", "send", "ask what the form holds", "mlbench predict ENV MODEL",
           (ASKING,), not_askable, rank=2),
    Action("next-row", "pagedown", "pgdn", "next row", "fill in the next held-out row",
           "mlbench predict ENV MODEL --row N", (ASKING,), not_askable, rank=3),
    Action("previous-row", "pageup", "pgup", "row before", "fill in the held-out row before",
           "mlbench predict ENV MODEL --row N", (ASKING,), not_askable, rank=4),
    Action("open-request", "enter", "enter", "request", "open the logged request with its inputs "
           "and its answer", "", (SERVING,), no_logged, rank=3),
    Action("next-request", "n", "n", "older", "the request before it", "", (REQUEST,), rank=4),
    Action("previous-request", "N", "N", "newer", "the request after it", "", (REQUEST,), rank=4),
)  # fmt: skip
