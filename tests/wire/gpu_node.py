"""A node with a GPU that is none: the test driver, and the double of TensorRT installed as the real one.

The processes, the plans, the cache, the gates and the way of a study are the product's own; numbers come from
ONNX Runtime behind the double.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.fixtures.cuda_driver.build import environment

# While a file of that name exists, a network that runs for a study breaks the device ("breaks": an address
# that is not there is read, which CUDA answers with the sticky error 700), or finds its memory full ("is
# full": the driver gives none). Gates and warm-up go well.
_MODULE = """
import ctypes, os, sys

from dicomnode.engine.runtimes.tensorrt.session import TensorRtSession
from tests.fixtures.tensorrt import double
from tests.fixtures.tensorrt.double import *
from tests.fixtures.tensorrt.double import __version__

_whole = double._Context.execute_async_v3
_infer = TensorRtSession.infer


def _happens(what):
    return os.path.exists(os.path.join(os.environ["DEVICE_TROUBLE"], what)) and _in_a_study()


def _limit(number_of_bytes):
    ctypes.CDLL("libcuda.so.1").test_cuda_set(b"OOM_AFTER", ctypes.c_longlong(number_of_bytes))


def _in_a_study():
    frame = sys._getframe()
    while frame is not None and frame.f_code.co_name != "analyse_stack":
        frame = frame.f_back
    return frame is not None


def _broken_for_studies(self, stream_handle):
    if _happens("breaks"):
        nowhere, here = ctypes.c_ulonglong(64), ctypes.create_string_buffer(16)
        ctypes.CDLL("libcuda.so.1").cuMemcpyDtoH_v2(here, nowhere, 16)
        return False
    return _whole(self, stream_handle)


def _without_memory(self, inputs):
    if not _happens("is full"):
        return _infer(self, inputs)
    self._cuda.pool.free_held()
    _limit(1)
    try:
        return _infer(self, inputs)
    finally:
        _limit(-1)


double._Context.execute_async_v3 = _broken_for_studies
TensorRtSession.infer = _without_memory
"""


def gpu_environment(folder: Path, **driver: str | int) -> dict[str, str]:
    """Return the environment of such a node; driver: settings of the test driver, as DEVICES=2."""
    modules = folder / "modules"
    modules.mkdir(parents=True, exist_ok=True)
    (modules / "tensorrt.py").write_text(_MODULE, encoding="utf-8")
    made = environment(**driver)
    made["PYTHONPATH"] = f"{modules}{os.pathsep}{made['PYTHONPATH']}"
    made["DEVICE_TROUBLE"] = str(folder)
    return made


def trouble(folder: Path, what: str) -> Path:
    """Return the file that, while it exists, gives the device trouble at every study: "breaks", "is full"."""
    return folder / what
