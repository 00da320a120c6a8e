"""The device path: a volume goes up once, is prepared, seen by networks and read there; masks come down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.analyse.device_path.ladder import MakeRoom, no_room
    from dicomnode.analyse.device_path.path import DevicePath, device_path
    from dicomnode.analyse.device_path.step import run_network_on_device
    from dicomnode.analyse.device_path.study import DeviceStudy

_HOMES = {
    "ladder": ("MakeRoom", "no_room"),
    "path": ("DevicePath", "device_path"),
    "step": ("run_network_on_device",),
    "study": ("DeviceStudy",),
}

__all__ = ["DevicePath", "DeviceStudy", "MakeRoom", "device_path", "no_room", "run_network_on_device"]

__getattr__ = lazy_face(__name__, _HOMES)
