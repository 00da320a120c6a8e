"""Asks the driver which devices there are: `python -m dicomnode.device.cuda.probing`, a process of its own.

Writes one JSON object: {"devices": [{...}, ...]} or {"reason": "..."}. A driver may hang, or kill who asks.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Final

from dicomnode.device.cuda import driver
from dicomnode.faults import NodeError

_RELEASE: Final = "install release 580 or later (535 or later with dicomnode[gpu-cu12])"
_NO_DRIVER: Final = "there is no NVIDIA driver ({error}): " + _RELEASE
_NO_INIT: Final = (
    "the NVIDIA driver does not start ({error}): see whether nvidia-smi works, and whether "
    "CUDA_VISIBLE_DEVICES, if set, names a device that is there"
)


def answer() -> dict[str, object]:
    """Return the devices that PyCUDA would work on, or why there are none."""
    try:
        driver.library()
    except OSError as error:
        return {"reason": _NO_DRIVER.format(error=error)}
    try:
        driver.call("cuInit", 0)
        devices = [driver.describe(index) for index in range(driver.count_devices())]
    except driver.DriverError as error:
        return {"reason": _NO_INIT.format(error=error)}
    except AttributeError as error:  # ctypes: the library has no such function
        return {"reason": f"the NVIDIA driver is too old ({error}): {_RELEASE}"}
    try:
        driver.pycuda_driver()
    except NodeError as error:
        return {"reason": str(error.values["reason"])}
    return {"devices": [asdict(device) for device in devices]}


if __name__ == "__main__":
    json.dump(answer(), sys.stdout)
