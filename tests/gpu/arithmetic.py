"""Steps 3 and 5: the node's own kernels against scipy and their bandwidth, copies, a volume's way."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.gpu.steps import (
    Figures,
    NotRunError,
    compiled,
    context,
    gpu_ms,
    must,
    need,
    need_device,
    on_test_driver,
    sized,
    wall_ms,
)

CONTRACT = Path(__file__).parents[1] / "unit" / "device" / "kernels_on_cuda.py"
CLASSES = 3


def kernels() -> Figures:
    """The contract of the kernels (against scipy), twice the same bits, and compute-sanitizer where it is."""
    need_device()
    need("pycuda")
    figures: Figures = {"contract": _contract()}
    with context() as cuda:
        from dicomnode.device import HostKernels
        from dicomnode.device.cuda import CudaKernels

        on_device = CudaKernels(cuda, compiled())
        first, second, host = _walk(on_device), _walk(on_device), _walk(HostKernels(1))
        for name, array in first.items():
            must(array.tobytes() == second[name].tobytes(), "twice the same is the same bits", name)
        figures["bit_identical"] = len(first)
        figures["largest_difference_from_host"] = {
            name: float(np.abs(array.astype(np.float64) - host[name].astype(np.float64)).max())
            for name, array in first.items()
        }
    for name, apart in figures["largest_difference_from_host"].items():
        must(apart <= (2e-2 if name == "trilinear" else 1e-3), f"{name} is that of the host", apart)
    figures["compute_sanitizer"] = _sanitized()
    return figures


def _contract() -> str:
    if importlib.util.find_spec("pytest") is None or importlib.util.find_spec("hypothesis") is None:
        return "not run, because pytest or hypothesis is not installed"
    # None of the repository's options: they are those of plugins that need not be there
    options = ["-q", "-p", "no:cacheprovider", "-o", "addopts=", "--import-mode=importlib"]
    command = [sys.executable, "-m", "pytest", *options, str(CONTRACT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=80)
    passed = re.search(r"(\d+) passed", done.stdout)
    said = (done.stdout + done.stderr)[-800:]
    must(done.returncode == 0 and passed is not None, "the contract of the kernels", said)
    return passed.group(0) if passed else ""


def _sanitized() -> str:
    tool = shutil.which("compute-sanitizer")
    if tool is None or on_test_driver():
        return "not run, because compute-sanitizer is not on the PATH or the driver is the test driver"
    command = [
        tool,
        "--tool",
        "memcheck",
        "--error-exitcode",
        "9",
        sys.executable,
        "-m",
        "tests.gpu.arithmetic",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100, env=os.environ)
    must(done.returncode == 0, "compute-sanitizer finds nothing", done.stdout[-600:] + done.stderr[-200:])
    return "memcheck found nothing"


def _walk(kernels: Any) -> dict[str, np.ndarray]:
    """A small study from its stored values to the packed bits of a mask."""
    rng = np.random.default_rng(11)
    stored = rng.integers(-1000, 1500, (29, 64, 70)).astype(np.int16)
    out: dict[str, np.ndarray] = {}
    values = kernels.scale_clip(kernels.upload(stored), slope=1.0, intercept=-24.0, low=-1000.0, high=400.0)
    out["scaled"] = values.host()
    matrix = np.array([[0.8, 0.1, 0.0, -0.7], [0.0, 1.2, 0.05, 0.3], [0.02, 0.0, 1.4, -0.2]])
    image = kernels.trilinear(values, matrix, (32, 48, 48))
    out["trilinear"] = image.host()
    known = kernels.statistics(image)
    scored = kernels.z_score(image, mean=known.mean, std=known.std)
    starts = np.array([[k, j, i] for k in (0, 16) for j in (0, 24) for i in (0, 24)], np.int32)
    windows = kernels.gather(scored, starts, (16, 24, 24))
    sums = kernels.zeros((1, 32, 48, 48), np.float32)
    kernels.blend(sums, windows, starts, _weights(len(starts), (16, 24, 24)))
    out["blended"] = sums.host()
    mask = kernels.threshold(kernels.part(sums, 0), 0.1)
    out["mask"] = mask.host()
    parts, _ = kernels.components(mask)
    out["components"] = parts.host()
    out["bits"] = kernels.pack_bits(mask, ((0, 32), (0, 48), (0, 48))).host()
    return out


def _weights(count: int, window: tuple[int, int, int]) -> Any:
    from dicomnode.device.kernels import WindowWeights

    k, j, i = (np.tile(np.hanning(n + 2)[1:-1].astype(np.float32), (count, 1)) for n in window)
    return WindowWeights(along_k=k, along_j=j, along_i=i)


def bandwidth() -> Figures:
    """Each kernel on a volume of 300 × 512², over the time in which its bytes could be moved.

    The bandwidth is that of a copy on the device, measured here; a kernel's bytes are the floor that
    kernels.cu states.
    """
    with context() as cuda:
        from dicomnode.device.cuda import CudaKernels

        shape = (sized(300, 8), sized(512, 32), sized(512, 32))
        voxels = int(np.prod(shape))
        copied = cuda.empty((4 * voxels,), np.uint8)
        source = cuda.zeros((4 * voxels,), np.uint8)

        def copy() -> None:
            with cuda.working("copying") as driver:
                driver.memcpy_dtod_async(copied.address, source.address, 4 * voxels, cuda.stream.raw)

        per_ms = 8.0 * voxels / gpu_ms(cuda, copy)  # read and written
        copied.close()
        source.close()
        figures: Figures = {"shape": shape, "copy_gb_per_s": round(per_ms / 1e6, 1), "kernels": {}}
        for name, (work, floor_bytes) in _works(CudaKernels(cuda, compiled()), shape).items():
            ms = gpu_ms(cuda, lambda work=work: _closed(work()))
            figures["kernels"][name] = {
                "ms": round(ms, 4),
                "floor_ms": round(floor_bytes / per_ms, 4),
                "times_floor": round(ms * per_ms / floor_bytes, 2),
            }
        return figures


def _closed(made: Any) -> None:
    if hasattr(made, "close"):
        made.close()


def _works(kernels: Any, shape: tuple[int, int, int]) -> dict[str, tuple[Callable[[], Any], float]]:
    """What is launched, and the bytes that it must move."""
    from dicomnode.analyse.grids import interpolation

    rng = np.random.default_rng(0)
    voxels = int(np.prod(shape))
    stored = kernels.upload(rng.integers(-1000, 1500, shape).astype(np.int16))
    values = kernels.scale_clip(stored, low=-1000.0, high=1000.0)
    mask = kernels.threshold(values, 0.0)
    channels = kernels.upload(rng.random((CLASSES, *shape), np.float32))
    side = min(sized(96, 8), *shape)
    starts = np.array([[0, 0, n] for n in range(0, shape[2] - side + 1, side // 2)], np.int32)
    windows = kernels.gather(values, starts, (side, side, side))
    sums = kernels.zeros((1, *shape), np.float32)
    weights = _weights(len(starts), (side, side, side))
    patch = len(starts) * side**3
    covered = side * side * (int(starts[-1][2]) + side)
    same = np.hstack([np.eye(3), np.full((3, 1), 0.25)])
    csr = interpolation(np.arange(0.0, shape[0] - 1.0, 0.9), shape[0]).matrix
    from dicomnode.device.kernels import AxisWeights

    sift = AxisWeights(
        row_starts=csr.indptr.astype(np.int32),
        columns=csr.indices.astype(np.int32),
        weights=csr.data.astype(np.float32),
        length=shape[0],
    )
    box = ((0, shape[0]), (0, shape[1]), (0, shape[2]))
    return {
        "scale_clip": (lambda: kernels.scale_clip(stored, low=-1000.0, high=1000.0), 6.0 * voxels),
        "z_score": (lambda: kernels.z_score(values, mean=1.0, std=2.0), 8.0 * voxels),
        "statistics": (lambda: kernels.statistics(values), 4.0 * voxels),
        "turn": (lambda: kernels.turn(stored, (0, 1, 2), (True, False, False)), 4.0 * voxels),
        "axis_map": (lambda: kernels.axis_map(values, sift, 0), 4.0 * voxels * (1 + sift.rows / shape[0])),
        "trilinear": (lambda: kernels.trilinear(values, same, shape), 8.0 * voxels),
        "gather": (lambda: kernels.gather(values, starts, (side, side, side)), 8.0 * patch),
        "blend": (lambda: kernels.blend(sums, windows, starts, weights), 4.0 * patch + 8.0 * covered),
        "argmax": (lambda: kernels.argmax(channels), (4.0 * CLASSES + 1.0) * voxels),
        "threshold": (lambda: kernels.threshold(values, 0.0), 5.0 * voxels),
        "components": (lambda: kernels.components(mask)[0], 29.0 * voxels),
        "pack_bits": (lambda: kernels.pack_bits(mask, box), 1.125 * voxels),
    }


def copies() -> Figures:
    """Page-locked against ordinary memory, and a volume of 300 × 512² from stored values to packed bits."""
    with context() as cuda:
        figures = _rates(cuda)
        figures["stages_ms"] = _stages(cuda)
        return figures


def _rates(cuda: Any) -> Figures:
    nbytes = sized(256 << 20, 1 << 20)
    target = cuda.empty((nbytes,), np.uint8)
    ordinary = np.zeros(nbytes, np.uint8)
    with cuda.working("page-locking memory") as driver:
        pinned = driver.pagelocked_empty(nbytes, np.uint8)
    figures: Figures = {"copied_mb": nbytes >> 20}
    for name, host in (("pinned", pinned), ("pageable", ordinary)):

        def up(host: Any = host) -> None:
            with cuda.working("copying up") as driver:
                driver.memcpy_htod_async(target.address, host, cuda.stream.raw)

        def down(host: Any = host) -> None:
            with cuda.working("copying down") as driver:
                driver.memcpy_dtoh_async(host, target.address, cuda.stream.raw)

        figures[f"{name}_up_gb_per_s"] = round(nbytes / wall_ms(cuda, up) / 1e6, 2)
        figures[f"{name}_down_gb_per_s"] = round(nbytes / wall_ms(cuda, down) / 1e6, 2)
    figures["upload_gb_per_s"] = round(nbytes / wall_ms(cuda, lambda: cuda.upload(ordinary).close()) / 1e6, 2)
    target.close()
    return figures


def _stages(cuda: Any) -> Figures:
    from dicomnode.analyse.preparations.on_device import prepare_on_device
    from dicomnode.analyse.resample import Prepared
    from dicomnode.device.cuda import CudaKernels
    from dicomnode.engine import Preparation
    from dicomnode.values import Grid

    shape = (sized(300, 12), sized(512, 40), sized(512, 40))
    stored = np.random.default_rng(0).integers(-1000, 1500, shape).astype(np.int16)
    grid = Grid(shape, np.diag([0.7, 0.7, 1.0, 1.0]), "1.2.3")
    on_device = CudaKernels(cuda, compiled())
    figures: Figures = {"upload": wall_ms(cuda, lambda: on_device.upload(stored).close())}
    entries = [Preparation(clip=(-1000.0, 400.0)), Preparation(resample_mm=(1.25, 1.25, 1.25))]
    kept: list[Any] = []

    def prepare() -> None:
        for one in kept:
            one.close()
        kept[:] = [prepare_on_device(on_device, Prepared(stored, grid), entries).voxels]

    traffic = cuda.traffic
    figures["upload, clip, resample"] = wall_ms(cuda, prepare)
    image = kept[0]
    figures["threshold"] = wall_ms(cuda, lambda: on_device.threshold(image, 0.0).close())
    mask = on_device.threshold(image, 0.0)

    def components() -> None:
        on_device.components(mask)[0].close()

    figures["components"] = wall_ms(cuda, components)
    box = tuple((0, length) for length in image.shape)

    def bits() -> None:
        packed = on_device.pack_bits(mask, box)
        packed.host()
        packed.close()

    figures["pack bits, download"] = wall_ms(cuda, bits)
    moved = cuda.traffic - traffic
    must(moved.bytes_down < 6 * 2 * image.nbytes, "a mask comes down as bits", moved)
    return {name: round(ms, 3) for name, ms in figures.items()}


if __name__ == "__main__":
    try:
        with context() as cuda:
            from dicomnode.device.cuda import CudaKernels

            _walk(CudaKernels(cuda, compiled()))
    except NotRunError as error:
        sys.exit(str(error))
