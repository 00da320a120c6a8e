"""Where arithmetic happens: devices, and buffers that lie on them. For now the host's CPU."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dicomnode.device.buffer import Buffer
    from dicomnode.device.cpu import Device, cpu_device

_HOME_OF = {"Buffer": "buffer", "Device": "cpu", "cpu_device": "cpu"}

__all__ = ["Buffer", "Device", "cpu_device"]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
