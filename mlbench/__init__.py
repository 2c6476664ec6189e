"""mlbench for training scripts: `import mlbench; mlbench.log(loss=0.3)`.

It is imported inside the user's own process, so it loads almost nothing (about 2 ms).
"""

from mlbench.inside.log import log
from mlbench.inside.run import run
from mlbench.inside.say import log_artifact, log_figure, log_params, log_table, set_tags

__all__ = ["log", "log_artifact", "log_figure", "log_params", "log_table", "run", "set_tags"]
