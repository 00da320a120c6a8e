"""The driver's library: through PyCUDA, and through ctypes for the little that PyCUDA does not pass on.

PyCUDA raises errors with a text and no number, knows no UUIDs, and leaves a context on the driver's stack
when it lets go of it. Nothing here needs more than the standard library: the probe runs without PyCUDA.
"""

from __future__ import annotations

import ctypes
import uuid
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from dicomnode.device.cpu import Device
from dicomnode.faults import CUDA_MISSING, NodeError

LIBRARY: Final = "libcuda.so.1"
SUCCESS: Final = 0
_LAST_CODE: Final = 999  # CUDA_ERROR_UNKNOWN, the largest code of cuda.h
_NAME_BYTES: Final = 256
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_…
_MULTIPROCESSORS = 16  # CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT
_KERNEL_MODULE = Path("/sys/module/nvidia/version")

NO_PYCUDA: Final = (
    "PyCUDA is not installed (pip install 'dicomnode[gpu]', or scripts/pycuda.sh where it must be built)"
)


@cache
def library() -> ctypes.CDLL:
    """Load the driver's library; OSError where there is no driver."""
    return ctypes.CDLL(LIBRARY)


def pycuda_driver() -> Any:
    """Return `pycuda.driver`; NodeError(CUDA_MISSING) where it or the driver is not there."""
    try:
        import pycuda.driver  # noqa: PLC0415  only a process that works on a GPU pays for it, or has it
    except ModuleNotFoundError as error:
        raise NodeError(CUDA_MISSING, reason=NO_PYCUDA) from error
    except ImportError as error:  # no libcuda.so.1, or one that is older than what PyCUDA was built against
        raise NodeError(CUDA_MISSING, reason=f"PyCUDA cannot be loaded ({error})") from error
    return pycuda.driver


def error_text(code: int) -> str:
    """Return what the driver says of an error code."""
    text = ctypes.c_char_p()
    library().cuGetErrorString(code, ctypes.byref(text))
    return text.value.decode("utf-8", "replace") if text.value else f"error {code}"


@cache
def error_codes() -> Mapping[str, int]:
    """Return the code of each text: PyCUDA's errors carry the text alone, and texts change with drivers."""
    return {error_text(code): code for code in range(1, _LAST_CODE + 1)}


class DriverError(Exception):
    """A call through ctypes failed."""

    def __init__(self, call: str, code: int) -> None:
        self.code = code
        super().__init__(f"{call}: {error_text(code)} (error {code})")


def call(name: str, *arguments: Any) -> None:
    """Call a function of the driver; DriverError unless it succeeds."""
    code = getattr(library(), name)(*arguments)
    if code != SUCCESS:
        raise DriverError(name, code)


def count_devices() -> int:
    """Return how many devices this process sees: CUDA_VISIBLE_DEVICES is the driver's to heed."""
    count = ctypes.c_int()
    call("cuDeviceGetCount", ctypes.byref(count))
    return count.value


def describe(index: int) -> Device:
    """Return device `index`, after cuInit. A MIG slice is a device like any other."""
    handle = ctypes.c_int()
    call("cuDeviceGet", ctypes.byref(handle), index)
    name = ctypes.create_string_buffer(_NAME_BYTES)
    call("cuDeviceGetName", name, _NAME_BYTES, handle)
    memory = ctypes.c_size_t()
    call("cuDeviceTotalMem_v2", ctypes.byref(memory), handle)
    shown = name.value.decode("utf-8", "replace")
    return Device(
        name=shown,
        kind="cuda",
        threads=1,
        index=index,
        uuid=_uuid(handle, slice_of_gpu=" MIG " in f" {shown} "),
        memory_bytes=memory.value,
        compute_capability=(_attribute(_CAPABILITY_MAJOR, handle), _attribute(_CAPABILITY_MINOR, handle)),
        driver=driver_title(),
        multiprocessors=_attribute(_MULTIPROCESSORS, handle),
    )


def driver_version() -> int:
    """Return the version of CUDA that the driver is of: 13000 for 13.0."""
    version = ctypes.c_int()
    call("cuDriverGetVersion", ctypes.byref(version))
    return version.value


def driver_title(kernel_module: Path = _KERNEL_MODULE) -> str:
    """Return the driver as people call it, "580.82.07 (CUDA 13.0)"; no release where that is hidden."""
    version = driver_version()
    cuda = f"CUDA {version // 1000}.{version % 1000 // 10}"
    try:
        release = kernel_module.read_text(encoding="ascii").strip()
    except OSError:
        return cuda
    return f"{release} ({cuda})"


def _attribute(attribute: int, handle: ctypes.c_int) -> int:
    value = ctypes.c_int()
    call("cuDeviceGetAttribute", ctypes.byref(value), attribute, handle)
    return value.value


def _uuid(handle: ctypes.c_int, *, slice_of_gpu: bool) -> str:
    """Return the UUID as nvidia-smi writes it: "GPU-…", or "MIG-…" for a slice."""
    raw = (ctypes.c_ubyte * 16)()
    call("cuDeviceGetUuid_v2", raw, handle)
    return f"{'MIG' if slice_of_gpu else 'GPU'}-{uuid.UUID(bytes=bytes(raw))}"


def take_off(context_handle: int) -> None:
    """Take a context off the calling thread's stack if it lies on top: PyCUDA's `detach` leaves it there."""
    top = ctypes.c_void_p()
    if library().cuCtxGetCurrent(ctypes.byref(top)) == SUCCESS and top.value == context_handle:
        library().cuCtxPopCurrent_v2(ctypes.byref(top))
