"""The same entries through the arithmetic of a device give what the CPU path gives."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.analyse.preparations import PREPARATIONS
from dicomnode.analyse.preparations.on_device import (
    ON_DEVICE,
    DeviceImage,
    prepare_on_device,
    runs_on_device,
    split,
)
from dicomnode.analyse.resample import Prepared
from dicomnode.device.host_kernels import HostKernels
from dicomnode.device.kernels import Kernels
from dicomnode.device.launched import LaunchedKernels
from dicomnode.engine import Preparation
from dicomnode.engine.manifest.preparation_geometry import (
    CropCentre,
    CropForeground,
    Letterbox,
    Pad,
    Resample,
    Resize,
)
from dicomnode.engine.manifest.preparation_values import (
    Gaussian,
    Invert,
    Percentile,
    Rescale,
    ScaleMinmax,
    ScaleRange,
    WindowLevel,
    ZScore,
)
from dicomnode.faults import PREPARATION_FAILED, NodeError
from dicomnode.values import no_progress
from tests.unit.analyse.test_grids import TURNS, grid_of, rotation
from tests.unit.device.looped import LoopedMachine, compiled

ENTRIES = [
    {"orient": "SAR"},
    {"orient": "LPS"},
    {"resample_mm": (1.0, 1.0, 1.3)},
    {"resample_mm": (2.5, 0.7, 0.9)},
    {"resample": Resample(spacing_kji_mm=(1.0, 2.0, 1.3), align="first_centre", blur=False)},
    {"resize": Resize(shape_kji=(9, 16, 33), align="corners")},
    {"resize": Resize(shape_kji=(9, 16, 33), interpolation="area")},
    {"letterbox": Letterbox(shape_ji=(24, 40), value=-7.0)},
    {"crop_foreground": CropForeground(above=500.0, margin_voxels=2)},
    {"crop_foreground": CropForeground(margin_voxels=5, multiple=8, outside="pad", value=-3.0)},
    {"crop_foreground": CropForeground(above=1e6)},
    {"crop_centre": CropCentre(shape_kji=(5, 40, 7))},
    {"pad": Pad(shape_kji=(20, 20, 40), value=-1000.0)},
    {"pad": Pad(multiple_kji=(8, 8, 8), mode="edge")},
    {"pad": Pad(shape_kji=(14, 33, 25), mode="reflect", where="end")},
    {"clip": (-200.0, 700.5)},
    {"window": WindowLevel(centre=300.0, width=900.0)},
    {"scale_range": ScaleRange(a_min=-100.0, a_max=900.0, b_min=-1.0, clip=True)},
    {"scale_range": ScaleRange(a_min=-100.0, a_max=900.0)},
    {"scale_minmax": ScaleMinmax(b_min=-1.0)},
    {"z_score": ZScore()},
    {"z_score": ZScore(over="nonzero")},
    {"z_score": ZScore(mean=100.0, std=250.0)},
    {"rescale": Rescale(slope=0.226, intercept=0.449)},
    {"rescale": Rescale(slope=-2.0, intercept=1.0)},
    {"invert": Invert()},
]


def image_of(dtype) -> Prepared:
    """A box of signs and values in air that is 0, oblique."""
    rng = np.random.default_rng(6)
    voxels = np.zeros((12, 26, 22))
    voxels[2:9, 4:21, 3:19] = rng.integers(-400, 1200, (7, 17, 16))
    return Prepared(
        voxels.astype(dtype),
        grid_of(voxels.shape, (2.5, 0.7, 0.9), (3, 1, 2), TURNS[19], rotation(0.1, 0.2, 0)),
    )


@pytest.fixture(scope="module", params=["numpy", "kernels.cu"])
def kernels(request, tmp_path_factory) -> Kernels:
    """The arithmetic of the host, and the kernels of a device compiled for the host."""
    if request.param == "numpy":
        return HostKernels(1)
    return LaunchedKernels(LoopedMachine(compiled(tmp_path_factory.mktemp("kernels"))))


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_a_device_gives_what_the_cpu_gives(kernels, entry, dtype):
    one = Preparation(**entry)
    assert runs_on_device(one)
    image = image_of(dtype)
    expected = PREPARATIONS[one.name].run(image, one.declared, no_progress)
    found = prepare_on_device(kernels, image, [one])
    assert found.voxels.dtype == np.float32
    assert np.array_equal(found.grid.affine_lps, expected.grid.affine_lps)
    wanted = np.asarray(expected.voxels, dtype=np.float32)
    assert np.abs(found.voxels.host() - wanted).max() <= 3e-7 * max(1.0, np.abs(wanted).max())


def test_every_entry_of_a_device_is_compared():
    assert {next(iter(entry)) for entry in ENTRIES} == set(ON_DEVICE)


def test_a_whole_list_gives_what_the_cpu_gives(kernels):
    entries = [
        Preparation(clip=(-300.0, 1000.0)),
        Preparation(orient="LPS"),
        Preparation(resample_mm=(1.25, 1.25, 1.25)),
        Preparation(crop_foreground=CropForeground(above=-250.0)),
        Preparation(pad=Pad(multiple_kji=(16, 16, 16), value=-300.0)),
        Preparation(z_score=ZScore()),
    ]
    image = image_of(np.int16)
    found = prepare_on_device(kernels, image, entries)
    for entry in entries:
        image = PREPARATIONS[entry.name].run(image, entry.declared, no_progress)
    assert np.array_equal(found.grid.affine_lps, image.grid.affine_lps)
    assert np.abs(found.voxels.host() - image.voxels).max() < 1e-5


HOST_ONLY = [
    {"resample": Resample(spacing_kji_mm=(1, 1, 1), interpolation="cubic")},
    {"resample": Resample(spacing_kji_mm=(1, 1, 1), thick_slices="nearest")},
    {"resize": Resize(shape_kji=(8, 8, 8), interpolation="nearest")},
    {"letterbox": Letterbox(shape_ji=(8, 8), interpolation="cubic")},
    {"z_score": ZScore(over="nonzero_filled")},
    {"scale_minmax": ScaleMinmax(over="nonzero")},
    {"percentile": Percentile(lower=1.0, upper=99.0)},
    {"gaussian": Gaussian(sigma_mm=1.0)},
]


@pytest.mark.parametrize("entry", HOST_ONLY, ids=str)
def test_what_no_device_does_comes_before_the_volume_goes_up(entry):
    before, hard, after = Preparation(orient="LPS"), Preparation(**entry), Preparation(z_score=ZScore())
    assert split([before, hard, after]) == ((before, hard), (after,))
    assert split([before, after]) == ((), (before, after))
    with pytest.raises(ValueError, match=hard.name):
        prepare_on_device(HostKernels(1), image_of(np.int16), [hard])


class _Counted:
    """Buffers that must be closed once; everything else is the host's."""

    def __init__(self) -> None:
        self.inner, self.open = HostKernels(1), 0

    def __getattr__(self, name):
        def call(*args, **kwargs):
            found = getattr(self.inner, name)(*(self._bare(a) for a in args), **kwargs)
            return _Tracked(found, self) if hasattr(found, "host") else found

        return call

    @staticmethod
    def _bare(argument):
        return argument.inner if isinstance(argument, _Tracked) else argument


class _Tracked:
    def __init__(self, inner, owner: _Counted) -> None:
        self.inner, self.owner, self.closed = inner, owner, False
        owner.open += 1

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def close(self) -> None:
        assert not self.closed, "closed twice"
        self.closed = True
        self.owner.open -= 1


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_no_step_leaves_device_memory_behind(entry, dtype):
    kernels = _Counted()
    found = prepare_on_device(kernels, image_of(dtype), [Preparation(**entry)])
    assert isinstance(found, DeviceImage)
    assert kernels.open == 1
    found.voxels.close()
    assert kernels.open == 0


def test_a_grid_that_no_memory_holds_is_refused_before_it_is_made():
    for entry in ({"resample_mm": (1e-3,) * 3}, {"pad": Pad(shape_kji=(4096,) * 3)}):
        with pytest.raises(NodeError) as caught:
            prepare_on_device(HostKernels(1), image_of(np.int16), [Preparation(**entry)])
        assert caught.value.fault is PREPARATION_FAILED
