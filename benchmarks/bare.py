"""The limit: an ASGI handler on uvicorn that answers a constant, or runs the model and no more.

`python -m benchmarks.bare PORT ANSWER_FILE [MODEL_FILE]`
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import uvicorn

Message = MutableMapping[str, Any]


def handler(answer: Callable[[bytes], bytes]) -> Callable[..., Awaitable[None]]:
    """The ASGI application that gives to each body its answer."""

    async def app(
        scope: Message,  # noqa: ARG001
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        message = await receive()
        body: bytes = message["body"]
        while message.get("more_body"):
            message = await receive()
            body += message["body"]
        given = answer(body)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(given)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": given})

    return app


def constant(answer: bytes) -> Callable[[bytes], bytes]:
    """The same answer to everything."""
    return lambda _body: answer


def computed(model: str) -> Callable[[bytes], bytes]:
    """What the model gives for the first tensor of the request; bodies are believed."""
    import numpy as np
    import onnxruntime
    import orjson

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def answer(body: bytes) -> bytes:
        tensor = orjson.loads(body)["inputs"][0]
        rows = np.array(tensor["data"], dtype=np.float32).reshape(tensor["shape"])
        outputs = [
            {"name": name, "shape": array.shape, "data": array.ravel()}
            for name, array in zip(names, session.run(None, {"input": rows}), strict=True)
        ]
        return orjson.dumps({"outputs": outputs}, option=orjson.OPT_SERIALIZE_NUMPY)

    return answer


if __name__ == "__main__":
    uvicorn.run(
        handler(
            computed(sys.argv[3]) if sys.argv[3:] else constant(Path(sys.argv[2]).read_bytes())
        ),
        port=int(sys.argv[1]),
        http="httptools",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
    )
