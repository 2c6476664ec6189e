"""mlbench for training scripts: `import mlbench; mlbench.log(loss=0.3)`.

It is imported inside the user's own process, so it loads almost nothing (about 2 ms).
"""

from mlbench.inside.log import log

__all__ = ["log"]
