"""Whether the networks of an engine compute on a device, and who makes volumes ready there."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import structlog

from dicomnode.analyse.device_path.ladder import Ladder, MakeRoom, no_room
from dicomnode.analyse.device_path.study import DeviceStudy
from dicomnode.device.cuda import CudaKernels, kernels_of
from dicomnode.device.kernels import Kernels
from dicomnode.engine import Session
from dicomnode.engine.runtimes import cuda_of
from dicomnode.faults import CUDA_UNFIT, KERNELS_ALTERED, KERNELS_MISSING, KERNELS_UNFIT, NodeError

_NO_KERNELS: Final = (CUDA_UNFIT, KERNELS_ALTERED, KERNELS_MISSING, KERNELS_UNFIT)


class DevicePath:
    """The device that an engine's networks compute on. make_room: lets other engines go when it is full."""

    def __init__(self, kernels: Kernels, make_room: MakeRoom = no_room) -> None:
        self._kernels = kernels
        self._ladder = Ladder(kernels, make_room)

    def serves(self, session: Session) -> bool:
        """Tell whether a network computes where the volumes are."""
        if isinstance(self._kernels, CudaKernels):
            return cuda_of(session) is self._kernels.context
        return cuda_of(session) is None

    def study(self) -> DeviceStudy:
        """Begin a study; everything of it ends with its `with`."""
        return DeviceStudy(self._kernels, self._ladder)


def device_path(sessions: Collection[Session], make_room: MakeRoom = no_room) -> DevicePath | str:
    """Return the path over the device of these sessions, or why there is none; "": none of them is on one.

    Raises NodeError as a CUDA context does.
    """
    contexts = [context for context in map(cuda_of, sessions) if context is not None]
    if not contexts:
        return ""
    try:
        return DevicePath(kernels_of(contexts[0]), make_room)
    except NodeError as error:
        if error.fault not in _NO_KERNELS:
            raise
        reason = error.fault.text(**error.values)
        structlog.get_logger("dicomnode.analyse").warning("device.kernels_missing", reason=reason)
        return reason
