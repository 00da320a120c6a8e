"""Which devices the workers get: those that are named, or every GPU that a runtime here can use."""

from __future__ import annotations

import importlib.util
import threading
from typing import Final

import structlog

from dicomnode.faults import CUDA_MISSING, NodeError
from dicomnode.serve.logs import fault_facts
from dicomnode.serve.process.crew import NO_GPU
from dicomnode.serve.process.place import Place
from dicomnode.settings import Settings

log = structlog.get_logger("dicomnode.serve")

_OF_GPUS: Final = ("auto", "tensorrt", "tensorrt-rtx")  # runtimes that a GPU is of use to


class Survey:
    """Asks which devices there are, in a thread of its own: a driver may take a minute, or never answer.

    Nothing waits for it but the workers. Where no runtime for GPUs is installed nobody is asked.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._places: tuple[Place, ...] | None = None
        self._thread: threading.Thread | None = None

    def places(self) -> tuple[Place, ...] | None:
        """Where workers shall work; None while that is not known yet."""
        if self._places is None and self._thread is None:
            named = self._settings.analyse.devices
            if named != ("auto",):
                self._places = _named(named)
            elif importlib.util.find_spec("pycuda") is None:
                self._places = (Place(),)
            else:
                self._thread = threading.Thread(target=self._ask, name="survey", daemon=True)
                self._thread.start()
        return self._places

    def _ask(self) -> None:
        self._places = _found() if may_use_gpus(self._settings) else (Place(),)


def may_use_gpus(settings: Settings) -> bool:
    """Whether an engine may run on a GPU of this machine, and what that takes is installed."""
    wanted = [one for one in settings.engine if one.mode != "off"]
    own = [(one.runtime, one.fallback) for one in wanted if one.runtime]
    if len(own) < len(wanted):
        own.append((settings.analyse.runtime, settings.analyse.fallback))
    if not any(runtime in _OF_GPUS or fallback for runtime, fallback in own):
        return False
    # Only a node with PyCUDA pays for the engine room in the supervisor's process
    from dicomnode.engine.runtimes.tensorrt import FLAVOURS  # noqa: PLC0415
    from dicomnode.engine.runtimes.tensorrt.flavours import installed  # noqa: PLC0415

    return any(installed(flavour) for flavour in FLAVOURS)


def _named(devices: tuple[str, ...]) -> tuple[Place, ...]:
    """One worker for each device that is named. CUDA itself says whether it is there."""
    return tuple(
        Place(number=number, workers=len(devices), visible=NO_GPU)
        if device == "cpu"
        else Place(number=number, workers=len(devices), device=device, visible=device)
        for number, device in enumerate(devices)
    )


def _found() -> tuple[Place, ...]:
    from dicomnode.device.cuda import probe_cuda  # noqa: PLC0415  as above

    devices = probe_cuda()
    if isinstance(devices, str):
        log.warning("device.none", **fault_facts(NodeError(CUDA_MISSING, reason=devices)))
        return (Place(),)
    for device in devices:
        log.info("device.found", device=device.name, uuid=device.uuid)
    return tuple(
        Place(
            number=number,
            workers=len(devices),
            device=f"{device.name} ({device.uuid})",
            visible=device.uuid,
        )
        for number, device in enumerate(devices)
    )
