"""Tries a flavour of TensorRT in a process of its own.

`python -m dicomnode.engine.runtimes.tensorrt.probing NAME` prints one line of JSON.
The driver is proven first: without one, TensorRT 11 gives a runtime that is not null, and ends the process
at the next call.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
from dataclasses import asdict
from typing import Final

from dicomnode.device import Device
from dicomnode.engine.runtimes.contract import Capability, Reason
from dicomnode.engine.runtimes.tensorrt.flavours import (
    TENSORRT_RTX,
    Flavour,
    Trt,
    bindings,
    cuda_major,
    flavour_named,
    install_line,
)
from dicomnode.engine.runtimes.tensorrt.logger import logger_of

_TURING: Final = (7, 5)  # the least that TensorRT 10.16 and 11 and TensorRT-RTX run on
_AMPERE: Final = (8, 0)  # bf16
_ADA: Final = (8, 9)  # fp8

# CUDA of the wheels → the first release of the driver that they run with
_RELEASES: Final = {12: "535", 13: "580"}


def try_here(flavour: Flavour) -> Capability | Reason:
    """Prove the driver, import the library, let it make its runtime. The process may not survive that."""
    trt = bindings(flavour)
    if isinstance(trt, Reason):
        return trt
    if importlib.util.find_spec("pycuda") is None:
        return Reason(flavour.name, f"PyCUDA is not installed: {install_line(flavour)}")
    device = _proven(flavour)
    if isinstance(device, Reason):
        return device
    unfit = unfit_for(flavour, device, cuda_major(flavour)) or _does_not_start(flavour, trt)
    if unfit:
        return Reason(flavour.name, unfit)
    return Capability(flavour.name, trt.__version__, device, precisions_of(device))


def unfit_for(flavour: Flavour, device: Device, wheels: int | None) -> str:
    """Say why a device or its driver is not enough, or nothing. wheels: the CUDA that they were made for."""
    if device.compute_capability is None or device.compute_capability < _TURING:
        found = ".".join(map(str, device.compute_capability or ("unknown",)))
        return f"{device.name} has compute capability {found}, {flavour.title} needs 7.5 or later"
    match = re.search(r"CUDA (\d+)", device.driver)
    offered = int(match.group(1)) if match else None
    if wheels in _RELEASES and offered is not None and offered < wheels:
        other = ", or install 'dicomnode[gpu-cu12]'" if flavour is not TENSORRT_RTX and offered == 12 else ""
        return (
            f"the driver {device.driver} is too old for {flavour.title} for CUDA {wheels}: "
            f"update it to release {_RELEASES[wheels]} or later{other}"
        )
    return ""


def precisions_of(device: Device) -> tuple[str, ...]:
    """Return what a device computes in; whether a network gains by it, its own runs tell."""
    level = device.compute_capability or _TURING
    some = ["fp32", "fp16", "int8"]
    if level >= _AMPERE:
        some.append("bf16")
    if level >= _ADA:
        some.append("fp8")
    return tuple(some)


def _proven(flavour: Flavour) -> Device | Reason:
    from dicomnode.device.cuda import probe_cuda  # noqa: PLC0415  the room with pycuda

    found = probe_cuda()
    if isinstance(found, str):
        return Reason(flavour.name, found)
    return found[0]


def _does_not_start(flavour: Flavour, trt: Trt) -> str:
    """Make a runtime; return what it complained of."""
    logger, kept = logger_of(trt)
    try:
        trt.Runtime(logger)
    except TypeError as error:  # of pybind11: the library gave nothing
        kept.add("ERROR", str(error))
    errors = [line for line in kept.tail() if line.startswith(("ERROR", "INTERNAL_ERROR"))]
    return f"{flavour.title} {trt.__version__} does not start: {'; '.join(errors)}" if errors else ""


def main(name: str) -> int:
    """Try it and print the answer; nothing that the libraries print is in its way."""
    answers = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    answer = try_here(flavour_named(name))
    facts = {"reason": answer.text} if isinstance(answer, Reason) else asdict(answer)
    os.write(answers, json.dumps(facts).encode())
    # Not by the interpreter's long way out: a driver that cannot be shut down has answered all the same
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
