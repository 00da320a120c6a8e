"""What every table of figures must say beside them: the machine, how busy it was, versions."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

from dicomnode.device import cpu_device


def data_folder() -> Path:
    """Where the real scans of the tests lie, if they are there."""
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    return Path(os.environ.get("DICOMNODE_TEST_DATA", beside))


def machine(packages: tuple[str, ...], threads: int) -> str:
    """Name the CPU, its threads, the load over the last minutes, and versions."""
    cpu = cpu_device(threads)
    versions = ", ".join(f"{one} {metadata.version(one)}" for one in packages)
    loads = "/".join(f"{load:.1f}" for load in os.getloadavg())
    return (
        f"{cpu.threads} threads of {cpu.name}, {platform.machine()}; load at the end {loads}; "
        f"Python {platform.python_version()}, {versions}."
    )
