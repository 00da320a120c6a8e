"""Which CUDA devices this process may use, found out without touching the driver here.

A broken driver, or one that does not fit its GPU, can hang whoever calls it or end his process: a child asks.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Any, Final

from dicomnode.device.cpu import Device

_PROBING: Final = "dicomnode.device.cuda.probing"
_TIMEOUT_S: Final = (
    60.0  # a first call may wake eight sleeping GPUs, seconds each, without nvidia-persistenced
)


def probe_cuda(timeout_s: float = _TIMEOUT_S) -> tuple[Device, ...] | str:
    """Return the devices, in the driver's order, or the sentence why none can be used; never raises.

    What is seen is what CUDA_VISIBLE_DEVICES leaves; a MIG slice is a device. How GPUs are cut is left alone.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", _PROBING],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"the NVIDIA driver did not answer within {timeout_s:g} s: see whether nvidia-smi does"
    except OSError as error:
        return f"no process could be started to ask the NVIDIA driver ({error})"
    if done.returncode < 0:
        return f"asking the NVIDIA driver killed the process that asked ({_signal(-done.returncode)})"
    if done.returncode:
        last = (done.stderr.strip() or "no word").splitlines()[-1]
        return f"the process that asked the NVIDIA driver failed: {last}"
    return _devices(done.stdout)


def _devices(said: str) -> tuple[Device, ...] | str:
    try:
        answer = json.loads(said)
        if "reason" in answer:
            return str(answer["reason"])
        devices = tuple(_device(fields) for fields in answer["devices"])
    except (ValueError, KeyError, TypeError) as error:
        return f"the process that asked the NVIDIA driver said something else ({error})"
    return devices or "the NVIDIA driver sees no device"


def _device(fields: dict[str, Any]) -> Device:
    major, minor = fields.pop("compute_capability")
    return Device(**fields, compute_capability=(int(major), int(minor)))


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
