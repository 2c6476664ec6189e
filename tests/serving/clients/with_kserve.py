"""What KServe's inference client offers over the V2 protocol: `python with_kserve.py URL`.

Run by an interpreter that has kserve, which need not have mlbench. Prints the name of each check
that held; the first that does not ends it.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
from kserve.protocol.infer_type import RequestedOutput

URL = sys.argv[1]
ROWS = np.random.default_rng(7).normal(size=(4, 3)).astype(np.float32)


def request(binary: bool, **options: Any) -> InferRequest:
    made = InferInput("x", list(ROWS.shape), "FP32")
    made.set_data_from_numpy(ROWS, binary_data=binary)
    return InferRequest("multiplier", [made], **options)


async def health(client: Any) -> None:
    assert await client.is_server_live(URL)
    assert await client.is_server_ready(URL)
    assert await client.is_model_ready(URL, "multiplier")
    assert not await client.is_model_ready(URL, "nothing")


async def answers(client: Any) -> None:
    for binary_in in (True, False):
        for binary_out in (True, False):
            asked = request(
                binary_in,
                request_id="mine",
                request_outputs=[RequestedOutput("y", {"binary_data": binary_out})],
            )
            headers: dict[str, str] = {}
            answer = await client.infer(
                URL, asked, model_name="multiplier", response_headers=headers
            )
            np.testing.assert_array_equal(answer.outputs[0].as_numpy(), ROWS * np.float32(3))
            assert (answer.model_name, answer.id) == ("multiplier", "mine")
            assert ("inference-header-content-length" in headers) == binary_out
    everything = request(True, parameters={"binary_data_output": True})
    answer = await client.infer(URL, everything, model_name="multiplier")
    assert [output.name for output in answer.outputs] == ["y", "version"]
    np.testing.assert_array_equal(answer.outputs[0].as_numpy(), ROWS * np.float32(3))


async def plain_dictionaries(client: Any) -> None:
    tensor = {"name": "x", "shape": [4, 3], "datatype": "FP32", "data": ROWS.tolist()}
    answer = await client.infer(URL, {"inputs": [tensor]}, model_name="multiplier")
    np.testing.assert_allclose(answer.outputs[0].as_numpy(), ROWS * np.float32(3), rtol=1e-6)


async def refusals(client: Any) -> None:
    for name, data, status in (
        ("nothing", request(True), 404),
        ("multiplier", {"inputs": []}, 400),
    ):
        refused: httpx.HTTPStatusError | None = None
        try:
            await client.infer(URL, data, model_name=name)
        except httpx.HTTPStatusError as error:
            refused = error
        assert refused is not None, f"{name} was not refused"
        assert refused.response.status_code == status
        assert refused.response.json()["error"] in str(refused)


async def main() -> None:
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        for check in (health, answers, plain_dictionaries, refusals):
            await check(client)
            print(f"kserve: {check.__name__}", flush=True)
    print("all held")


if __name__ == "__main__":
    asyncio.run(main())
