"""The CPU as a device: its name and how many threads of it this process may use."""

from __future__ import annotations

import math
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_CPUINFO = Path("/proc/cpuinfo")
_OWN_CGROUP = Path("/proc/self/cgroup")
_CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device that can run a network: what people call it, its kind, and the threads given to it.

    index, uuid, memory_bytes, compute_capability, driver, multiprocessors: of a CUDA device (or MIG slice)
    only. multiprocessors: how many it has; 0 where that is not told.
    """

    name: str
    kind: Literal["cpu", "cuda", "remote"]
    threads: int
    index: int = 0
    uuid: str = ""
    memory_bytes: int = 0
    compute_capability: tuple[int, int] | None = None
    driver: str = ""
    multiprocessors: int = 0

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ValueError(f"Device.threads must be 1 or more, got {self.threads!r}")


def cpu_device(threads: int = 0, cpuinfo: Path = _CPUINFO) -> Device:
    """Return the CPU with so many threads; 0: all that this process may run on.

    More threads than cores that the process may use are cut to these: they would only wait for each other.
    """
    allowed = usable_cores()
    return Device(name=_name(cpuinfo), kind="cpu", threads=min(threads, allowed) if threads > 0 else allowed)


def usable_cores(own: Path = _OWN_CGROUP, cgroups: Path = _CGROUPS) -> int:
    """Return how many cores this process may use at a time: its affinity, and the quota of its cgroups.

    A container or unit with CPUQuota=150% sees all cores of the machine, and its threads are stopped for the
    rest of each period once they have used up their share: so many threads help as the quota, rounded up.
    """
    return min([len(os.sched_getaffinity(0)), *_quotas(own, cgroups)])


def _quotas(own: Path, cgroups: Path) -> list[int]:
    """Return the cores that cpu.max of the process's cgroup (version 2) and those above it leave, each."""
    try:
        lines = own.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    (path,) = [line[3:] for line in lines if line.startswith("0::")][:1] or ["/"]
    folder = cgroups / path.lstrip("/")
    found = []
    for level in (folder, *folder.parents):
        if not level.is_relative_to(cgroups):
            break
        try:
            quota, period = level.joinpath("cpu.max").read_text(encoding="ascii").split()
            if quota != "max":
                found.append(max(1, math.ceil(int(quota) / int(period))))
        except (OSError, ValueError):  # no controller at this level, or what is not cgroup 2
            continue
    return found


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
