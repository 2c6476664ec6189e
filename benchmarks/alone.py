"""The limit: onnxruntime alone, the same rows again and again in one thread.

`python -m benchmarks.alone MODEL ROWS.npy SECONDS` prints one JSON object with `rate` (calls a
second) and `p99_ms`.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import onnxruntime


def main(words: list[str]) -> int:
    """Warm up, then count."""
    model, file, seconds = words
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feeds = {session.get_inputs()[0].name: np.load(file)}
    session.run(None, feeds)
    took = []
    began = time.perf_counter()
    while (now := time.perf_counter()) < began + float(seconds):
        session.run(None, feeds)
        took.append(time.perf_counter() - now)
    took.sort()
    rate = len(took) / (time.perf_counter() - began)
    print(json.dumps({"rate": rate, "p99_ms": took[int(len(took) * 0.99)] * 1000}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
