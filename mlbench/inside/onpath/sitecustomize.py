"""Starts the trace hook in every Python process of a stage, then runs what this file shadows.

Any Python that a stage starts runs it, however old: hence the plain syntax.
"""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
_OURS = os.path.join("inside", "onpath", "sitecustomize.py")
_PACKAGE = "_mlbench_inside"


def _start_trace():  # noqa: ANN202
    folder = os.environ.get("MLBENCH_STAGE_DIR")
    if not folder or not hasattr(sys, "addaudithook") or _PACKAGE in sys.modules:
        return
    # Under a name of its own: a script beside a folder `mlbench` must find that one by its import.
    package = sys.modules[_PACKAGE] = type(sys)(_PACKAGE)
    package.__path__ = [os.path.dirname(_HERE)]
    from _mlbench_inside.trace import start

    start(folder)


def _shadowed():  # noqa: ANN202
    """The spec of the sitecustomize that Python would have found without this one, if any."""
    from _frozen_importlib_external import PathFinder

    for entry in sys.path:
        spec = PathFinder.find_spec("sitecustomize", [entry])
        if spec is not None and spec.loader is not None and not str(spec.origin).endswith(_OURS):
            return spec
    return None


try:  # noqa: SIM105
    _start_trace()
except Exception:  # whatever it is, the stage runs as without it
    pass
try:
    _spec = _shadowed()
except Exception:
    _spec = None
if _spec is not None:
    from _frozen_importlib import module_from_spec

    # Its errors go up from here, so that Python shows them as it would.
    _module = sys.modules["sitecustomize"] = module_from_spec(_spec)
    _spec.loader.exec_module(_module)
