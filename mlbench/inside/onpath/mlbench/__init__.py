"""The `mlbench` that a stage's interpreter finds on PYTHONPATH where mlbench isn't installed.

It stands alone in its folder, so that nothing else of mlbench's environment is importable there.
"""

import os as _os

_folder = _os.path.abspath(__file__)
for _ in ("__init__.py", "mlbench", "onpath", "inside"):
    _folder = _os.path.dirname(_folder)
__path__ = [_folder]

from mlbench.inside.log import log  # noqa: E402 - only found once __path__ is the real package

__all__ = ["log"]
