"""The actions of screen 4: on the versions, on one of them, on two side by side, on the ledger."""

from __future__ import annotations

from mlbench.tui.action import Action
from mlbench.tui.release_rules import (
    no_model_of_run,
    no_release,
    no_run_on_record,
    not_both_runs,
    nothing_to_compare_with,
    nothing_to_copy,
)
from mlbench.tui.situation import (
    CARD,
    LEDGER,
    MODELS,
    PIPELINE,
    RELEASE,
    RUN,
    RUNS,
    SERVING,
    VERSIONS,
    Situation,
    no_way_back,
    not_promotable,
    not_promotable_on,
    refused,
    refused_on,
)

_ONE = (MODELS, RELEASE, CARD)


def _no_request(situation: Situation) -> str:
    if situation.release is None:
        return no_release(situation)
    if situation.release.candidate.signature is None:
        return "it is a file: nothing serves it"
    files = situation.files
    return "" if files is not None and files.curl else "it has no sample request"


ON_MODELS: tuple[Action, ...] = (
    Action(
        "promote", "p", "p", "promote", "promote to the first environment, staging by custom; "
        "asks where a gate stands against it", "mlbench promote MODEL@VERSION staging",
        (PIPELINE, *_ONE, SERVING), not_promotable, refused, 2,
    ),
    Action(
        "promote-on", "P", "P", "production", "promote to the next environment, after asking "
        "where and whether; a refusal can be overruled with a reason",
        "mlbench promote MODEL production [--force --reason TEXT]",
        (PIPELINE, *_ONE, SERVING), not_promotable_on, refused_on, 4,
    ),
    Action(
        "rollback", "R", "R", "rollback", "go back to the version before, after asking",
        "mlbench rollback ENV MODEL", (PIPELINE, *_ONE, LEDGER, SERVING), no_way_back, rank=6,
    ),
    Action(
        "compare-live", "d", "d", "compare", "beside what production serves, else staging, else "
        "the version before: metrics, gates, parity, size, parameters",
        "mlbench diff @production/MODEL RUN",
        (MODELS, RELEASE), nothing_to_compare_with, rank=4,
    ),
    Action(
        "compare-runs", "d", "d", "runs", "their runs side by side: curves, code, environment",
        "mlbench diff RUN RUN", (VERSIONS,), not_both_runs, rank=2,
    ),
    Action(
        "card", "c", "c", "card", "read its model card", "mlbench card MODEL@VERSION",
        (MODELS, RELEASE), no_release, rank=4,
    ),
    Action(
        "ledger", "l", "l", "ledger", "who promoted what, when, from which run and why",
        "mlbench ledger", _ONE, rank=4,
    ),
    Action(
        "at", "at", "@", "at time", "what each environment served at a time",
        "mlbench ledger --at TIME", (MODELS, LEDGER), rank=5,
    ),
    Action(
        "open-run", "o", "o", "its run", "open the run that it is from", "mlbench show RUN",
        (*_ONE, LEDGER), no_run_on_record, rank=5,
    ),
    Action(
        "copy-release", "y", "y", "copy", "copy its name, run, path, digest or a request with "
        "curl", "", (*_ONE, LEDGER), nothing_to_copy, rank=6,
    ),
    Action(
        "copy-curl", "u", "u", "curl", "copy the sample request as a curl command",
        "mlbench predict ENV MODEL", _ONE, _no_request, rank=7,
    ),
)  # fmt: skip

EXPORT_MODEL = Action(
    "export-model", "M", "M", "model", "export its model by hand, whatever its gates say, and "
    "give it a version", "mlbench export RUN", (RUNS, RUN), no_model_of_run, rank=6,
)  # fmt: skip
