"""A server that speaks the few of MLflow's REST calls that a script's logging makes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

EXPERIMENT = {"experiment_id": "0", "name": "Default", "lifecycle_stage": "active"}


class Tracker:
    """What came in, in its order, and the address that it came to."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.uri = ""

    def said(self, call: str) -> list[dict[str, Any]]:
        return [body for name, body in self.calls if name == call]

    def answer(self, call: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if call == "runs/log-parameter" and body["key"] == "refused":
            return 400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "no"}
        if call.startswith("experiments/"):
            return 200, {"experiment": EXPERIMENT}
        if call in ("runs/create", "runs/get", "runs/update"):
            run = {"run_id": "f" * 32, "run_uuid": "f" * 32, "experiment_id": "0"}
            info = {**run, "run_name": "r", "status": "RUNNING", "artifact_uri": "file:///nowhere"}
            return 200, {"run": {"info": info, "data": {}}, "run_info": info}
        return 200, {}


@contextmanager
def tracking_server() -> Iterator[Tracker]:
    """A server on a port of its own, until the block ends."""
    tracker = Tracker()

    class _Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            call = urlsplit(self.path).path.partition("/mlflow/")[2]
            tracker.calls.append((call, body))
            status, answer = tracker.answer(call, body)
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    tracker.uri = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield tracker
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
