"""Everything that Triton's own client offers over HTTP for health, metadata, repository, statistics
and inference, plainly and with asyncio: `python with_tritonclient.py ADDRESS TOKEN`.

Run by an interpreter that has tritonclient[http], which need not have mlbench. Prints the name of
each check that held; the first that does not ends it.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
from typing import Any

import numpy as np
import tritonclient.http as plain
from tritonclient.http import aio
from tritonclient.utils import InferenceServerException

ADDRESS, TOKEN = sys.argv[1:]
TRUSTED = {"Authorization": f"Bearer {TOKEN}"}
ROWS = np.random.default_rng(7).normal(size=(4, 3)).astype(np.float32)
SAMPLES: dict[str, Any] = {
    "BOOL": np.array([[True, False]]),
    "UINT8": np.array([[0, 255]], np.uint8),
    "UINT16": np.array([[0, 65_535]], np.uint16),
    "UINT32": np.array([[0, 2**32 - 1]], np.uint32),
    "UINT64": np.array([[0, 2**64 - 1]], np.uint64),
    "INT8": np.array([[-128, 127]], np.int8),
    "INT16": np.array([[-(2**15), 2**15 - 1]], np.int16),
    "INT32": np.array([[-(2**31), 2**31 - 1]], np.int32),
    "INT64": np.array([[-(2**63), 2**63 - 1]], np.int64),
    "FP16": np.array([[0.5, -65_504.0]], np.float16),
    "FP32": np.array([[1.5, np.float32(0.1)]], np.float32),
    "FP64": np.array([[1.5, 0.1]], np.float64),
    "BYTES": np.array([["", "naïve ☃"]], object),
}


def tensor(name: str, datatype: str, values: Any, binary: bool) -> Any:
    made = plain.InferInput(name, list(values.shape), datatype)
    return made.set_data_from_numpy(values, binary_data=binary)


def rows_as(binary: bool) -> list[Any]:
    return [tensor("x", "FP32", ROWS, binary)]


async def call(client: Any, method: str, *args: Any, **options: Any) -> Any:
    """The same call of either client."""
    result = getattr(client, method)(*args, **options)
    return await result if inspect.isawaitable(result) else result


async def refused(client: Any, method: str, *args: Any, **options: Any) -> Any:
    try:
        await call(client, method, *args, **options)
    except InferenceServerException as error:
        return error
    raise AssertionError(f"{method} was not refused")


async def health(client: Any) -> None:
    assert await call(client, "is_server_live")
    assert await call(client, "is_server_ready")
    assert await call(client, "is_model_ready", "multiplier")
    assert await call(client, "is_model_ready", "multiplier", "3")
    assert not await call(client, "is_model_ready", "multiplier", "99")
    assert not await call(client, "is_model_ready", "nothing")
    assert await call(client, "is_server_live", query_params={"a": "b"})


async def metadata(client: Any) -> None:
    server = await call(client, "get_server_metadata")
    assert server["name"] == "mlbench"
    assert server["version"]
    assert {"binary_tensor_data", "model_repository"} <= set(server["extensions"])
    model = await call(client, "get_model_metadata", "multiplier")
    assert model == await call(client, "get_model_metadata", "multiplier", "3")
    assert (model["name"], model["versions"]) == ("multiplier", ["3"])
    assert model["platform"] == "onnxruntime_onnx"
    assert model["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}]
    assert [output["name"] for output in model["outputs"]] == ["y", "version"]
    unknown = await refused(client, "get_model_metadata", "nothing")
    assert 'no model "nothing"' in unknown.message()
    assert "404" in unknown.status()


async def configuration(client: Any) -> None:
    config = await call(client, "get_model_config", "multiplier", "3")
    assert (config["name"], config["backend"]) == ("multiplier", "onnxruntime")
    assert config["input"][0]["data_type"] == "TYPE_FP32"
    assert config["version_policy"]["specific"]["versions"] == [3]
    assert "404" in (await refused(client, "get_model_config", "nothing")).status()


async def repository(client: Any) -> None:
    index = await call(client, "get_model_repository_index")
    states = {(item["name"], item["version"]): item["state"] for item in index}
    assert states["multiplier", "3"] == "READY"
    assert states["multiplier", "2"] == "UNAVAILABLE"
    policy = json.dumps({"version_policy": {"specific": {"versions": [2]}}})
    assert "401" in (await refused(client, "load_model", "multiplier", config=policy)).status()
    await call(client, "load_model", "multiplier", headers=TRUSTED, config=policy)
    assert await call(client, "is_model_ready", "multiplier", "2")
    answer = await call(client, "infer", "multiplier", rows_as(True), model_version="2")
    np.testing.assert_array_equal(answer.as_numpy("y"), ROWS * np.float32(2))
    live = await call(client, "infer", "multiplier", rows_as(True))
    assert live.get_response()["model_version"] == "3"
    await call(client, "unload_model", "multiplier", headers=TRUSTED)
    assert not await call(client, "is_model_ready", "multiplier", "2")
    assert await call(client, "is_model_ready", "multiplier", "3")
    unknown = await refused(client, "load_model", "nothing", headers=TRUSTED)
    assert "nothing" in unknown.message()
    foreign = {"file:1/model.onnx": b"abc"}
    sent = {"headers": TRUSTED, "config": "{}", "files": foreign}
    assert "400" in (await refused(client, "load_model", "multiplier", **sent)).status()


async def statistics(client: Any) -> None:
    before = await _inferences(client)
    await call(client, "infer", "multiplier", rows_as(True))
    assert await _inferences(client) == before + len(ROWS)
    every = await call(client, "get_inference_statistics")
    assert {item["name"] for item in every["model_stats"]} >= {"multiplier", "every"}


async def _inferences(client: Any) -> int:
    found = await call(client, "get_inference_statistics", "multiplier", "3")
    (one,) = found["model_stats"]
    assert one["inference_stats"]["success"]["ns"] >= 0
    return int(one["inference_count"])


async def answers(client: Any) -> None:
    for binary_in in (True, False):
        for binary_out in (True, False, None):
            wanted = None
            if binary_out is not None:
                wanted = [
                    plain.InferRequestedOutput(name, binary_data=binary_out)
                    for name in ("version", "y")
                ]
            answer = await call(
                client,
                "infer",
                "multiplier",
                rows_as(binary_in),
                outputs=wanted,
                request_id=f"{binary_in}-{binary_out}",
                parameters={"mine": "ignored"},
                priority=1,
                timeout=5_000_000,
            )
            np.testing.assert_array_equal(answer.as_numpy("y"), ROWS * np.float32(3))
            assert answer.as_numpy("version").tolist() == [3]
            assert answer.get_response()["id"] == f"{binary_in}-{binary_out}"
            assert answer.get_output("y")["datatype"] == "FP32"
    unnamed = await call(client, "infer", "multiplier", rows_as(True))
    assert unnamed.get_response()["id"]


async def compression(client: Any) -> None:
    for there in ("gzip", "deflate", None):
        for back in ("gzip", "deflate", None):
            for binary in (True, False):
                answer = await call(
                    client,
                    "infer",
                    "multiplier",
                    [tensor("x", "FP32", np.tile(ROWS, (200, 1)), binary)],
                    outputs=[plain.InferRequestedOutput("y", binary_data=binary)],
                    request_compression_algorithm=there,
                    response_compression_algorithm=back,
                )
                np.testing.assert_array_equal(
                    answer.as_numpy("y"), np.tile(ROWS, (200, 1)) * np.float32(3)
                )


async def datatypes(client: Any) -> None:
    for binary in (True, False):
        inputs = [
            tensor(f"in{place}", name, values, binary or name == "FP16")
            for place, (name, values) in enumerate(SAMPLES.items())
        ]
        wanted = [
            plain.InferRequestedOutput(f"out{place}", binary_data=binary or name == "FP16")
            for place, name in enumerate(SAMPLES)
        ]
        answer = await call(client, "infer", "every", inputs, outputs=wanted)
        for place, (name, values) in enumerate(SAMPLES.items()):
            given = answer.as_numpy(f"out{place}")
            if name == "BYTES":
                given = np.array(
                    [[v.decode() if isinstance(v, bytes) else v for v in row] for row in given],
                    object,
                )
            assert given.dtype == values.dtype, name
            np.testing.assert_array_equal(given, values, err_msg=name)


async def classes(client: Any) -> None:
    wanted = [plain.InferRequestedOutput("y", binary_data=False, class_count=2)]
    answer = await call(client, "infer", "multiplier", rows_as(True), outputs=wanted)
    top = answer.as_numpy("y")
    assert top.shape == (4, 2)
    for row, given in zip(ROWS * np.float32(3), top, strict=True):
        order = np.argsort(-row)[:2]
        said = [value.decode() if isinstance(value, bytes) else value for value in given]
        assert [int(text.split(":")[1]) for text in said] == order.tolist()


async def refusals(client: Any) -> None:
    wrong = {
        "does not fit": [tensor("x", "FP32", ROWS.T.copy(), True)],
        'no input "z"': [tensor("z", "FP32", ROWS, True)],
        "lacks": [],
        'must be "FP32"': [tensor("x", "INT64", ROWS.astype(np.int64), True)],
    }
    for sentence, inputs in wrong.items():
        error = await refused(client, "infer", "multiplier", inputs)
        assert sentence in error.message(), error.message()
        assert "400" in error.status()
    shared = plain.InferInput("x", [4, 3], "FP32")
    shared.set_shared_memory("region", 48)
    assert "400" in (await refused(client, "infer", "multiplier", [shared])).status()
    outputs = [plain.InferRequestedOutput("nothing")]
    sent = await refused(client, "infer", "multiplier", rows_as(True), outputs=outputs)
    assert 'no output "nothing"' in sent.message()
    assert "404" in (await refused(client, "infer", "nothing", rows_as(True))).status()
    gone = await refused(client, "infer", "multiplier", rows_as(True), model_version="9")
    assert "404" in gone.status()


CHECKS = (
    health,
    metadata,
    configuration,
    repository,
    statistics,
    answers,
    compression,
    datatypes,
    classes,
    refusals,
)


def only_the_plain_client(client: Any) -> None:
    """What asyncio's has no word for: requests in flight, and bodies made and read by hand."""
    flights = [client.async_infer("multiplier", rows_as(True)) for _ in range(16)]
    for flight in flights:
        np.testing.assert_array_equal(flight.get_result().as_numpy("y"), ROWS * np.float32(3))
    body, length = client.generate_request_body(rows_as(True))
    assert length is not None
    assert len(body) > length


async def all_of(client: Any, kind: str) -> None:
    for check in CHECKS:
        await check(client)
        print(f"{kind}: {check.__name__}", flush=True)


async def asynchronous() -> None:
    async with aio.InferenceServerClient(ADDRESS) as client:
        await all_of(client, "asyncio")
        many = [client.infer("multiplier", rows_as(True)) for _ in range(16)]
        for answer in await asyncio.gather(*many):
            np.testing.assert_array_equal(answer.as_numpy("y"), ROWS * np.float32(3))


if __name__ == "__main__":
    with plain.InferenceServerClient(ADDRESS, concurrency=4) as made:
        asyncio.run(all_of(made, "plain"))
        only_the_plain_client(made)
    asyncio.run(asynchronous())
    print("all held")
