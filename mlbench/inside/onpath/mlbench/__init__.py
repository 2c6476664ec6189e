"""The `mlbench` that a stage's interpreter finds on PYTHONPATH where mlbench isn't installed.

It stands alone in its folder, so that nothing else of mlbench's environment is importable there.
"""

import os as _os

_folder = _os.path.abspath(__file__)
for _ in ("__init__.py", "mlbench", "onpath", "inside"):
    _folder = _os.path.dirname(_folder)
__path__ = [_folder]

# Only found once __path__ is the real package.
from mlbench.inside.log import log  # noqa: E402
from mlbench.inside.run import run  # noqa: E402
from mlbench.inside.say import (  # noqa: E402
    log_artifact,
    log_figure,
    log_params,
    log_table,
    set_tags,
)

__all__ = ["log", "log_artifact", "log_figure", "log_params", "log_table", "run", "set_tags"]
