"""The CPU as a device: its name and how many threads of it this process may use."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device that can run a network: what people call it, its kind, and the threads given to it.

    index, uuid, memory_bytes, compute_capability, driver: of a CUDA device (or MIG slice) only.
    """

    name: str
    kind: Literal["cpu", "cuda", "remote"]
    threads: int
    index: int = 0
    uuid: str = ""
    memory_bytes: int = 0
    compute_capability: tuple[int, int] | None = None
    driver: str = ""

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ValueError(f"Device.threads must be 1 or more, got {self.threads!r}")


def cpu_device(threads: int = 0, cpuinfo: Path = _CPUINFO) -> Device:
    """Return the CPU with so many threads; 0: all that this process may run on.

    More threads than cores that the process may use are cut to these: they would only wait for each other.
    """
    allowed = len(os.sched_getaffinity(0))
    return Device(name=_name(cpuinfo), kind="cpu", threads=min(threads, allowed) if threads > 0 else allowed)


def _name(cpuinfo: Path) -> str:
    """Return the model name of the CPU, or of the architecture where the system does not tell."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name" and value.strip():
            return " ".join(value.split())
    return platform.machine() or "unknown CPU"
