"""NVIDIA GPUs by PyCUDA: one context and one thread a process, buffers, and the kernels of kernels.cu."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.device.cuda.buffers import CudaBuffer
    from dicomnode.device.cuda.context import CudaContext, Memory
    from dicomnode.device.cuda.errors import ends_process
    from dicomnode.device.cuda.kernels import CudaKernels, kernels_of
    from dicomnode.device.cuda.probe import probe_cuda
    from dicomnode.device.cuda.streams import Event, Stream
    from dicomnode.device.cuda.transfers import Traffic

_HOMES = {
    "buffers": ("CudaBuffer",),
    "context": ("CudaContext", "Memory"),
    "errors": ("ends_process",),
    "kernels": ("CudaKernels", "kernels_of"),
    "probe": ("probe_cuda",),
    "streams": ("Event", "Stream"),
    "transfers": ("Traffic",),
}

__all__ = [
    "CudaBuffer",
    "CudaContext",
    "CudaKernels",
    "Event",
    "Memory",
    "Stream",
    "Traffic",
    "ends_process",
    "kernels_of",
    "probe_cuda",
]

__getattr__ = lazy_face(__name__, _HOMES)
