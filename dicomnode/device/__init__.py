"""Where arithmetic happens: devices, and buffers that lie on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.device.buffer import Buffer, HostBuffer
    from dicomnode.device.cpu import Device, cpu_device

_HOMES = {
    "buffer": ("Buffer", "HostBuffer"),
    "cpu": ("Device", "cpu_device"),
}

__all__ = ["Buffer", "Device", "HostBuffer", "cpu_device"]

__getattr__ = lazy_face(__name__, _HOMES)
