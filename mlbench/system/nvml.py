"""What NVIDIA's graphics cards do, by NVML: the library of their driver, as nvidia-smi asks it."""

from __future__ import annotations

import ctypes


class _Utilization(ctypes.Structure):
    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class _Memory(ctypes.Structure):
    _fields_ = (
        ("total", ctypes.c_ulonglong),
        ("free", ctypes.c_ulonglong),
        ("used", ctypes.c_ulonglong),
    )


class Gpus:
    """The cards of this machine; to be asked in a process that may hang or crash."""

    def __init__(self) -> None:
        """There are none where the library is not there or finds no driver."""
        self._handles: list[ctypes.c_void_p] = []
        try:
            self._library = ctypes.CDLL("libnvidia-ml.so.1")
            if self._library.nvmlInit_v2() != 0:
                return
            count = ctypes.c_uint()
            self._library.nvmlDeviceGetCount_v2(ctypes.byref(count))
            for number in range(count.value):
                handle = ctypes.c_void_p()
                if self._library.nvmlDeviceGetHandleByIndex_v2(number, ctypes.byref(handle)) == 0:
                    self._handles.append(handle)
        except (OSError, AttributeError):
            return

    def sample(self) -> dict[str, int]:
        """Each card's utilization in percent and its memory in use in bytes, where it tells."""
        found: dict[str, int] = {}
        for number, handle in enumerate(self._handles):
            use, memory = _Utilization(), _Memory()
            if self._library.nvmlDeviceGetUtilizationRates(handle, ctypes.byref(use)) == 0:
                found[f"gpu/{number}/utilization"] = use.gpu
            if self._library.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)) == 0:
                found[f"gpu/{number}/memory"] = memory.used
        return found
