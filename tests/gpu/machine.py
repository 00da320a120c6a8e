"""Steps 1, 2, 4 and 8: the device, PyCUDA, what becomes of processes, and memory that is not to be had."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
from pathlib import Path

import numpy as np

from tests.gpu.steps import Figures, compiled, context, must, need, need_device, on_test_driver

TARGET = "DICOMNODE_GPU_TARGET"  # folder that what was brought along is put into, on the path of all steps
BROUGHT = "DICOMNODE_GPU_BROUGHT"


def device() -> Figures:
    """cuInit, name, compute capability, driver, memory."""
    need_device()
    from dicomnode.device.cuda import driver

    found = [driver.describe(index) for index in range(driver.count_devices())]
    for one in found:
        must(one.compute_capability >= (7, 5), "compute capability 7.5 or later", one.compute_capability)
        must(one.multiprocessors > 0, "multiprocessors", one.multiprocessors)
    return {
        "devices": [
            {
                "name": one.name,
                "uuid": one.uuid,
                "compute_capability": list(one.compute_capability or ()),
                "multiprocessors": one.multiprocessors,
                "memory_gb": round(one.memory_bytes / 1e9, 2),
                "driver": one.driver,
            }
            for one in found
        ]
    }


def brought() -> Figures:
    """Unpack what `tests.gpu.carry` packed, of one part or of several, where all steps find it."""
    parts = [Path(part) for part in os.environ[BROUGHT].split(os.pathsep)]
    missing = [str(part) for part in parts if not part.is_file()]
    must(not missing, "the files that --brought names", f"{missing} missing")
    with tempfile.TemporaryFile() as whole:
        for part in parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, whole)
        size = whole.tell()
        whole.seek(0)
        with tarfile.open(fileobj=whole, mode="r:xz") as packed:
            packed.extractall(os.environ[TARGET], filter="data")
    return {"parts": len(parts), "mb": round(size / 1e6, 2)}


def pycuda() -> Figures:
    """PyCUDA loads: its own part was built for this Python and finds the driver."""
    need_device()
    need("pycuda")
    failure = _pycuda_fails()
    must(not failure, "PyCUDA loads", failure)
    return {"version": _pycuda_version()}


def _pycuda_fails() -> str:
    command = [sys.executable, "-c", "import pycuda.driver"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else (done.stderr.strip() or "no word").splitlines()[-1]


def _pycuda_version() -> str:
    command = [sys.executable, "-c", "import pycuda; print(pycuda.VERSION_TEXT)"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def processes() -> Figures:
    """One owner thread, the primary context, a clean end; an illegal access ends its process alone."""
    with context() as cuda:
        refused: list[BaseException] = []

        def elsewhere() -> None:
            try:
                cuda.empty((4,), np.float32)
            except RuntimeError as error:
                refused.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        must(len(refused) == 1, "another thread is refused", refused)
        must(cuda.upload(np.arange(8)).host().sum() == 28, "the owner goes on", "another sum")
        shared = _primary_is_current()
    must(shared, "the context is the device's primary one", shared)
    fine = _child("fine")
    must(fine == (0, ""), "a process that leaves its context open ends with 0 and no word", fine)
    broken = _child(
        "broken", **({"TEST_CUDA_FAULT": "700", "TEST_CUDA_FAULT_AT": "1"} if on_test_driver() else {})
    )
    must(broken[0] == 70, "an illegal access is noticed, and its process ends itself with 70", broken)
    after = _child("fine")
    must(after == (0, ""), "the next process works", after)
    return {"illegal_access": "sticky, the process left by itself, the next one works"}


def _primary_is_current() -> bool:
    import ctypes

    from dicomnode.device.cuda import driver

    handle, primary, top = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_void_p()
    driver.call("cuDeviceGet", ctypes.byref(handle), 0)
    driver.call("cuDevicePrimaryCtxRetain", ctypes.byref(primary), handle)
    driver.call("cuCtxGetCurrent", ctypes.byref(top))
    driver.call("cuDevicePrimaryCtxRelease_v2", handle)
    return primary.value == top.value


def _child(part: str, **variables: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "tests.gpu.machine", part]
    done = subprocess.run(
        command, env=os.environ | variables, capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stderr if part == "fine" else ""


def _fine() -> None:
    from dicomnode.device.cuda import CudaContext, CudaKernels

    cuda = CudaContext()
    CudaKernels(cuda, compiled()).threshold(cuda.upload(np.ones((4, 4, 4), np.float32)), 0.5).host()


def _broken() -> None:
    """Launch a kernel on an address that is none, as a bug would; leave as a worker does."""
    from dicomnode.device.cuda import CudaContext, ends_process
    from dicomnode.device.fatbins import fatbin
    from dicomnode.device.launches import LAUNCHES
    from dicomnode.faults import NodeError

    cuda = CudaContext()
    launch = LAUNCHES["dn_threshold"]
    try:
        with cuda.working("running into a wall") as driver:
            module = driver.module_from_buffer(compiled() or fatbin(cuda.cuda_version))
            function = module.get_function(launch.kernel).prepare(launch.codes)
            out = cuda.empty((256,), np.uint8)
            wrong = out.address if on_test_driver() else 1 << 20
            given = {
                "values": wrong,
                "mask": out.address,
                "count": 4 if on_test_driver() else 256,
                "above": 0.5,
            }
            function.prepared_async_call((1, 1), launch.block, cuda.stream.raw, *launch.in_order(given))
        cuda.stream.synchronize()
    except NodeError as error:
        os._exit(70 if ends_process(error) and cuda.broken else 71)
    os._exit(72)


def out_of_memory() -> Figures:
    """A hog leaves little: what does not fit is a row to try again; what fits works; all comes back."""
    with context() as cuda:
        from dicomnode.device.cuda import CudaKernels
        from dicomnode.faults import CUDA_MEMORY, NodeError

        kernels = CudaKernels(cuda, compiled())
        before = cuda.memory().free
        left = min(before // 2, 512 << 20)
        hog = cuda.empty((before - left,), np.uint8)
        wanted = cuda.memory().free + (16 << 20)
        refusals, fits = 0, 0
        while wanted > 1 << 16:  # the ladder: half as much until it fits
            try:
                buffer = cuda.empty((wanted,), np.uint8)
            except NodeError as error:
                must(error.fault is CUDA_MEMORY, "too much memory is its own row", error)
                refusals += 1
                wanted //= 2
                continue
            fits = wanted
            buffer.close()
            break
        must(refusals > 0 and fits > 0, "first it does not fit, then it does", (refusals, fits))
        must(not cuda.broken, "the context goes on", cuda.broken)
        small = kernels.threshold(kernels.upload(np.ones((8, 8, 8), np.float32)), 0.5)
        must(small.host().all(), "kernels work beside the hog", "they do not")
        small.close()
        hog.close()
        cuda.pool.free_held()
        after = cuda.memory().free
        must(after >= before - (64 << 20), "memory comes back, but for 64 MB", before - after)
        return {"free_mb": round(before / 1e6), "refusals": refusals, "fitted_mb": round(fits / 1e6, 1)}


if __name__ == "__main__":
    need("pycuda")
    {"fine": _fine, "broken": _broken}[sys.argv[1]]()
