"""The smoke test of a staged version: its server's answers beside the training code's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlbench.domain.errors import MlbenchError, ServingError
from mlbench.domain.release import Candidate, GateResult
from mlbench.domain.serving import SMOKE_TEST
from mlbench.release.folders import ANSWERS_NAME, REQUEST_NAME
from mlbench.release.request import tensors
from mlbench.release.skew import HeldOut, held_out, judge_served, not_judged, served_answers
from mlbench.serving import client
from mlbench.system.files import read_json


def smoke_test(
    address: str, version: Candidate, folder: Path, token: str | None = None
) -> GateResult:
    """Ask a staged version for its sample request and all held-out rows, as a client does.

    ServingError where it does not answer as the protocol and its signature have it.
    """
    signature = version.signature
    if signature is None:
        raise MlbenchError(f"{version.model} v{version.version} is not served: it has no signature")
    try:
        request = read_json(folder / REQUEST_NAME)
        if isinstance(request, dict):
            _ask(address, version, request["inputs"], token)
        asked = _held_out(folder, version)
        if asked is None or not asked.rows:
            why = "its held-out rows have NaN, which JSON can't hold" if asked else "no rows kept"
            return not_judged(version.model, why)
        responses = [
            _ask(address, version, tensors(batch, signature), token) for batch in asked.batches()
        ]
        served = served_answers(responses, signature, asked)
    except (ServingError, ValueError, KeyError) as error:
        raise ServingError(
            f"{version.model} v{version.version} does not answer as it should: {error}; "
            "what is live stays"
        ) from None
    return judge_served(version.model, signature, asked, served)


def _held_out(folder: Path, version: Candidate) -> HeldOut | None:
    assert version.signature is not None
    try:
        return held_out(folder / ANSWERS_NAME, version.signature)
    except FileNotFoundError:
        return None


def _ask(
    address: str, version: Candidate, inputs: Sequence[Mapping[str, Any]], token: str | None
) -> dict[str, Any]:
    response = client.infer(
        address, version.model, inputs, version.version, token=token, id_=SMOKE_TEST
    )
    if response.get("model_version") != str(version.version):
        raise ServingError(f"version {response.get('model_version')} answered in its place")
    return response
