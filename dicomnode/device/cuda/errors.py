"""What PyCUDA raises, as rows of the fault table; and which of it this process does not survive."""

from __future__ import annotations

import re
from typing import Final

from dicomnode.device.cuda.driver import error_codes
from dicomnode.faults import CUDA_BROKEN, CUDA_FAILED, CUDA_MEMORY, CUDA_MISSING, CUDA_UNFIT, Fault, NodeError

OUT_OF_MEMORY: Final = 2

# After these "any further CUDA work will return the same error. To continue using CUDA, the process must be
# terminated and relaunched" (cuda.h), or the device itself is at fault. 999 says nothing: then the same.
_STICKY: Final = frozenset(
    {
        214,  # uncorrectable ECC error
        220,  # uncorrectable NVLink error
        226,  # memory error, contained
        700,  # illegal address
        702,  # launch timed out
        709,  # context is destroyed
        710,  # assert in a kernel
        714,  # hardware stack error
        715,  # illegal instruction
        716,  # misaligned address
        717,  # invalid address space
        718,  # invalid program counter
        719,  # launch failed
        721,  # tensor memory leak
        810,  # MPS client terminated
        911,  # external device
        999,  # unknown
    }
)
_NO_DEVICE: Final = frozenset(
    {3, 34, 35, 46, 100, 101, 802, 803, 804}
)  # not initialised, absent, driver too old
_UNFIT: Final = frozenset(
    {200, 209, 218, 222, 300, 500}
)  # image, no code for this GPU, PTX, kernel not in it

# PyCUDA: "cuMemAlloc failed: out of memory", after which it may say " - more"
_MESSAGE: Final = re.compile(r"^\S+ failed: (.*?)(?: - .*)?$", re.DOTALL)


def is_sticky(code: int) -> bool:
    """Tell whether every later call of this process fails too."""
    return code in _STICKY


def ends_process(error: BaseException) -> bool:
    """Tell whether this process cannot compute any more: it must end with a failure, to be started anew."""
    return isinstance(error, NodeError) and error.fault is CUDA_BROKEN


def code_of(error: Exception) -> int | None:
    """Return the driver's code of an error of PyCUDA; None: PyCUDA itself refused."""
    match = _MESSAGE.match(str(error))
    return error_codes().get(match.group(1)) if match else None


def row_of(code: int | None) -> Fault:
    """Return the row for a code of the driver."""
    if code is None:
        return CUDA_FAILED
    if is_sticky(code):
        return CUDA_BROKEN
    if code == OUT_OF_MEMORY:
        return CUDA_MEMORY
    if code in _NO_DEVICE:
        return CUDA_MISSING
    return CUDA_UNFIT if code in _UNFIT else CUDA_FAILED
