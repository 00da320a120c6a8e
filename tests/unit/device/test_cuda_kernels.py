"""The kernels through PyCUDA, on the test driver."""

from __future__ import annotations

import re
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from dicomnode.device import HostBuffer
from dicomnode.device.cuda import CudaContext, CudaKernels
from dicomnode.device.host_kernels import HostKernels
from dicomnode.device.kernels import AxisWeights, Kernels, WindowWeights
from dicomnode.device.launches import LAUNCHES
from tests.fixtures.cuda_driver.child import STAND_IN, counted, on_test_driver, run_pytest

# Equal to the last bit, but for sums in another order, and indices in float32: 4e-6 of a voxel at these
# sizes, times the step of 800 that neighbours may differ by.
_RELATIVE = {
    "statistics": 1e-12,
    "sifted": 1e-6,
    "blended": 1e-6,
    "normalised": 1e-6,
    "softmax": 1e-6,
    "sigmoid": 1e-6,
}
_ABSOLUTE = {"trilinear": 3e-3, "held": 3e-3}


def test_they_keep_the_contract():
    done = run_pytest(Path(__file__).with_name("kernels_on_cuda.py"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"(\d+) passed", done.stdout).group(1)) >= 30
    assert not done.stderr


@on_test_driver()
def test_every_kernel_of_the_table_is_launched_by_some_method():
    with CudaContext() as context:
        _walk(CudaKernels(context, STAND_IN))
        assert {name for name in LAUNCHES if not counted(name)} == set()


@on_test_driver()
def test_a_walk_over_all_methods_gives_what_the_host_gives():
    with CudaContext() as context:
        on_device, on_host = _walk(CudaKernels(context, STAND_IN)), _walk(HostKernels(1))
        assert context.pool.used == 0
    for name, (device, host) in {name: (on_device[name], on_host[name]) for name in on_host}.items():
        assert (device.dtype, device.shape) == (host.dtype, host.shape), name
        np.testing.assert_allclose(device, host, rtol=_RELATIVE.get(name, 0.0), atol=_ABSOLUTE.get(name, 0.0))


@on_test_driver()
def test_twice_the_same_is_the_same_to_the_last_bit():
    with CudaContext() as context:
        kernels = CudaKernels(context, STAND_IN)
        first, second = _walk(kernels), _walk(kernels)
    for name in first:
        assert first[name].tobytes() == second[name].tobytes(), name


@on_test_driver()
def test_a_buffer_from_elsewhere_is_refused():
    with CudaContext() as context:
        kernels = CudaKernels(context, STAND_IN)
        with pytest.raises(TypeError, match=r"HostBuffer\(float32 \(2, 2, 2\)\) does not lie on Test GPU"):
            kernels.threshold(HostBuffer(np.zeros((2, 2, 2), np.float32)), 0.0)


@on_test_driver(DRIVER=12_090)
def test_the_compiled_kernels_are_chosen_by_the_driver():
    asked = []

    def fatbin(driver_version):
        asked.append(driver_version)
        return STAND_IN

    with CudaContext() as context, patch("dicomnode.device.cuda.kernels.fatbin", fatbin):
        mask = CudaKernels(context).threshold(context.upload(np.arange(4, dtype=np.float32)), 1.5)
        assert mask.host().tolist() == [0, 0, 1, 1]
    assert asked == [12_090]


def _walk(kernels: Kernels) -> dict[str, np.ndarray]:
    """Run a small study through every method; what each gave, by a name."""
    rng = np.random.default_rng(11)
    out: dict[str, np.ndarray] = {}
    open_ = []

    def kept(name, buffer):
        open_.append(buffer)
        out[name] = buffer.host()
        return buffer

    values = None
    for dtype in (np.uint16, np.float32, np.int16):
        volume = kernels.upload(rng.integers(0, 2000, (13, 22, 31)).astype(dtype))
        open_.append(volume)
        kept(f"turned {dtype.__name__}", kernels.turn(volume, (2, 0, 1), (True, False, True)))
        kept(f"cropped {dtype.__name__}", kernels.crop(volume, ((1, 9), (0, 22), (5, 30))))
        scaled = kernels.scale_clip(volume, slope=0.5, intercept=-100.0, low=0.0, high=800.0)
        values = kept(f"scaled {dtype.__name__}", scaled)
    for only_nonzero in (False, True):
        s = kernels.statistics(values, only_nonzero=only_nonzero)
        out["statistics"] = np.array([s.count, s.total, s.squares, s.smallest, s.largest])
        scored = kernels.z_score(values, mean=s.mean, std=s.std, only_nonzero=only_nonzero)
        kept(f"scored {only_nonzero}", scored)
    sift = AxisWeights(
        row_starts=np.arange(0, 25, 2, dtype=np.int32),
        columns=np.arange(24, dtype=np.int32) % 22,
        weights=rng.random(24, np.float32),
        length=22,
    )
    kept("sifted", kernels.axis_map(values, sift, 1))
    matrix = np.array([[0.9, 0.1, 0.0, -0.7], [0.0, 1.1, 0.05, 0.3], [0.02, 0.0, 1.5, -0.2]])
    kept("trilinear", kernels.trilinear(values, matrix, (14, 20, 25), outside=-5.0))
    kept("held", kernels.trilinear(values, matrix, (14, 20, 25)))

    starts = np.array([[0, 0, 0], [5, 6, 7], [5, 14, 23]], np.int32)
    windows = kept("gathered", kernels.gather(values, starts, (8, 8, 8), outside=-1.0))
    weights = WindowWeights(
        along_k=rng.random((3, 8), np.float32),
        along_j=rng.random((3, 8), np.float32),
        along_i=rng.random((3, 8), np.float32),
    )
    sums = kernels.zeros((1, 13, 22, 31), np.float32)
    kernels.blend(sums, windows, starts, weights)
    kept("blended", sums)
    within = kernels.upload(rng.random((8, 8, 8), np.float32))
    open_.append(within)
    sums = kernels.zeros((1, 13, 22, 31), np.float32)
    kernels.blend_within(sums, windows, starts, within)
    covering = tuple(np.arange(0, size - 7, 1, np.int32) for size in (13, 22, 31))
    kernels.normalise(sums, covering, within)
    kept("normalised", sums)
    channels = kernels.upload(rng.random((4, 13, 22, 31), np.float32))
    open_.append(channels)
    for name in ("softmax", "sigmoid"):
        kept(name, getattr(kernels, name)(channels))
    kept("last above", kernels.last_above(channels, 0.6))
    flat = kernels.reshaped(channels, (4, 13, 22 * 31))
    kept("joined", kernels.join([flat, flat]))
    kept("part", kernels.part(channels, 2))
    labels = kept("argmax", kernels.argmax(channels))
    kept("nearest", kernels.nearest(labels, matrix, (14, 20, 25), outside=9))
    kept("turned uint8", kernels.turn(labels, (1, 2, 0), (False, True, False)))
    kept("threshold", kernels.threshold(values, 400.0))
    parts, count = kernels.components(labels, 3)
    kept("components", parts)
    kept("components by corners", kernels.components(labels, 3, corners=True)[0])
    sizes = kernels.sizes(parts, count)
    out["sizes"] = sizes
    kept("chosen", kernels.chosen(parts, sizes >= 4))
    box = kernels.extent(labels, 2)
    out["extent"] = np.array(box)
    kept("packed", kernels.pack_bits(labels, ((2, 11), (3, 20), (1, 28)), 2))
    for buffer in open_:
        buffer.close()
    return out
