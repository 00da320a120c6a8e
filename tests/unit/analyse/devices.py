"""Devices for the tests of the device path, and Findings held against those of the CPU path."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from unittest.mock import patch

import numpy as np

from dicomnode.analyse import Analysis, Analyst
from dicomnode.analyse import analyst as analyst_module
from dicomnode.analyse.device_path import DevicePath
from dicomnode.device import HostKernels
from dicomnode.device.kernels import Kernels
from dicomnode.engine import EnginePackage
from dicomnode.faults import CUDA_MEMORY, NodeError
from dicomnode.store.findings_file import pack_findings
from dicomnode.values import Findings, Volume

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class CountingKernels(HostKernels):
    """The host as a device that counts what goes up to it, and fails as a full one does.

    most_bytes: the largest block that it gives. Beyond it, or while `full` says so, memory is short.
    """

    def __init__(self, most_bytes: float = np.inf) -> None:
        super().__init__(1)
        self.most_bytes = most_bytes
        self.bytes_up: list[int] = []
        self.refused = 0

    def upload(self, array):
        self.bytes_up.append(np.asarray(array).nbytes)
        return super().upload(array)

    def zeros(self, shape, dtype):
        self._allow(shape, dtype)
        return super().zeros(shape, dtype)

    def gather(self, values, starts, window, outside=0.0):
        self._allow((len(starts), *window), np.float32)
        return super().gather(values, starts, window, outside)

    def _allow(self, shape, dtype):
        wanted = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if wanted > self.most_bytes:
            self.refused += 1
            raise NodeError(
                CUDA_MEMORY, device="Small", doing="allocating", used_mb=1.0, free_mb=1.0, error="none left"
            )


@contextmanager
def on(path: DevicePath | Callable[[], DevicePath]) -> Iterator[None]:
    """Let every Analyst that is made within go over this path."""
    made = (lambda sessions, make_room: path()) if callable(path) else (lambda sessions, make_room: path)
    with patch.object(analyst_module, "device_path", made):
        yield


def analysed(package: EnginePackage, volumes: dict[str, Volume], kernels: Kernels | None = None) -> Findings:
    """Analyse on the CPU path, or over the device path with these kernels and the CPU's networks."""
    analyst = Analyst(package, threads=1, node_version="9.9")
    try:
        if kernels is not None:
            analyst.path = DevicePath(kernels)
        return analyst.analyse(Analysis(volumes=volumes, salt=b"s" * 32, study_version=1, made_at=WHEN))
    finally:
        analyst.close()


def same(found: Findings, expected: Findings) -> bool:
    """Tell whether they are the same to the last bit, but for what they say of how they were computed."""
    return pack_findings(replace(found, provenance=expected.provenance)) == pack_findings(expected)


def dice(found: Findings, expected: Findings) -> list[float]:
    """Return the Dice of each mask; the segments must be the same ones."""
    assert [one.label for one in found.segments] == [one.label for one in expected.segments]
    scores = []
    for one, other in zip(found.segments, expected.segments, strict=True):
        a, b = one.mask.to_array(), other.mask.to_array()
        scores.append(2.0 * float((a & b).sum()) / float(a.sum() + b.sum()))
    return scores
