"""Where arithmetic happens: devices, and buffers that lie on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.device.buffer import Buffer, HostBuffer
    from dicomnode.device.cpu import Device, cpu_device, usable_cores
    from dicomnode.device.host_kernels import HostKernels
    from dicomnode.device.kernels import AxisWeights, Kernels, Statistics, WindowWeights

_HOMES = {
    "buffer": ("Buffer", "HostBuffer"),
    "cpu": ("Device", "cpu_device", "usable_cores"),
    "host_kernels": ("HostKernels",),
    "kernels": ("AxisWeights", "Kernels", "Statistics", "WindowWeights"),
}

__all__ = [
    "AxisWeights",
    "Buffer",
    "Device",
    "HostBuffer",
    "HostKernels",
    "Kernels",
    "Statistics",
    "WindowWeights",
    "cpu_device",
    "usable_cores",
]

__getattr__ = lazy_face(__name__, _HOMES)
