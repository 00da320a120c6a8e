"""The frame of the steps: what one of them is, and when it says that it was not run."""

from __future__ import annotations

import ctypes
import importlib.util
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

Figures = dict[str, Any]

GOOD, BAD, NOT_RUN = "passed", "failed", "not run"
TEST_DRIVER_CODE: Final = b"\x50\xed\x55\xba" + bytes(60)  # what the test driver takes for a fatbin


class NotRunError(Exception):
    """A step cannot be done here: its text says why. It says nothing of whether it would have passed."""


class WrongError(AssertionError):
    """Something is not as it must be on a GPU."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: a function that returns figures, or raises. box_s: how long it may take."""

    number: int
    name: str
    run: Callable[[], Figures]
    box_s: float


def must(holds: bool, what: str, found: object) -> None:
    """Raise WrongError with what was found, unless it holds."""
    if not holds:
        raise WrongError(f"{what}: found {found}")


def on_test_driver() -> bool:
    """Whether the driver here is that of the tests: it computes on the host, its times mean nothing."""
    try:
        return hasattr(ctypes.CDLL("libcuda.so.1"), "test_cuda_get")
    except OSError:
        return False


def sized(full: int, small: int) -> int:
    """A size for a GPU, or a small one for the test driver, which loops over threads."""
    return small if on_test_driver() else full


def need_device() -> None:
    """Raise NotRunError where there is no driver or no device."""
    from dicomnode.device.cuda import driver

    try:
        driver.library()
        driver.call("cuInit", 0)
        count = driver.count_devices()
    except OSError as error:
        raise NotRunError(f"there is no NVIDIA driver ({error})") from error
    except (driver.DriverError, AttributeError) as error:
        raise NotRunError(f"the NVIDIA driver does not start ({error})") from error
    if not count:
        raise NotRunError("the driver sees no device")


def need(*modules: str) -> None:
    """Raise NotRunError where a Python package is not installed."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise NotRunError(f"not installed: {', '.join(missing)}")


@contextmanager
def context() -> Iterator[Any]:
    """Open the first device. Raises NotRunError where there is none, or no PyCUDA."""
    need_device()
    need("pycuda")
    from dicomnode.device.cuda import CudaContext

    with CudaContext(pinned_limit_bytes=1 << 30) as opened:
        yield opened


def compiled() -> bytes | None:
    """The kernels for `CudaKernels`: those of this installation, or what the test driver takes for them."""
    return TEST_DRIVER_CODE if on_test_driver() else None


def gpu_ms(cuda: Any, work: Callable[[], object], repeats: int = 20) -> float:
    """Milliseconds of the device for what `work` queues: the median of `repeats`, after one to warm up."""
    work()
    cuda.stream.synchronize()
    times = []
    for _ in range(repeats):
        first = cuda.stream.mark()
        work()
        last = cuda.stream.mark()
        last.synchronize()
        times.append(last.raw.time_since(first.raw))
    return statistics.median(times)


def wall_ms(cuda: Any, work: Callable[[], object], repeats: int = 5) -> float:
    """Milliseconds by the clock until the device has done what `work` queues: the median of `repeats`."""
    work()
    times = []
    for _ in range(repeats):
        cuda.stream.synchronize()
        begun = time.perf_counter()
        work()
        cuda.stream.synchronize()
        times.append(1e3 * (time.perf_counter() - begun))
    return statistics.median(times)


def percentiles(values: list[float]) -> dict[str, float]:
    """p50, p90 and p99 of at least two values."""
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {"p50": round(cuts[49], 4), "p90": round(cuts[89], 4), "p99": round(cuts[98], 4)}
