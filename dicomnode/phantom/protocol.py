"""How a patient is scanned: slices of a real thickness, a kernel, a dose; and how truth goes into slices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from dicomnode.phantom.acquire import Scanner, acquire
from dicomnode.phantom.lattice import Float32

Kernel = Literal["soft", "standard", "sharp"]

_KERNELS: Final[dict[Kernel, Scanner]] = {
    "soft": Scanner(blur_mm=0.75, grain_mm=1.0),
    "standard": Scanner(blur_mm=0.55, grain_mm=0.8),
    "sharp": Scanner(blur_mm=0.40, grain_mm=0.5, sharpen=0.7),
}
_THICKNESSES_MM: Final = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 5.0)
_FWHM: Final = 2.3548  # of a Gaussian, in its SD


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How a scan is taken.

    thickness_mm: full width of a slice's profile at half its height. increment_mm: from slice to slice, at
    most the thickness. noise_hu: SD of the noise in the middle of the body. lung_field: whether the images
    show the lungs only, or the whole trunk.
    """

    thickness_mm: float = 1.25
    increment_mm: float = 1.25
    kernel: Kernel = "standard"
    noise_hu: float = 17.0
    lung_field: bool = False

    def __post_init__(self) -> None:
        if not 0.5 <= self.increment_mm <= self.thickness_mm <= 10.0:
            raise ValueError(
                f"Protocol needs 0.5 <= increment_mm <= thickness_mm <= 10, "
                f"got {self.increment_mm} and {self.thickness_mm}"
            )
        if not 0.0 <= self.noise_hu <= 200.0:
            raise ValueError(f"Protocol.noise_hu must be from 0 to 200, got {self.noise_hu}")


def draw_protocol(rng: np.random.Generator) -> Protocol:
    """Draw a protocol: thin ones more often; sharp kernels and low doses are noisy, thick slices are not."""
    thickness = _THICKNESSES_MM[
        int(rng.choice(len(_THICKNESSES_MM), p=(0.2, 0.2, 0.1, 0.15, 0.15, 0.1, 0.1)))
    ]
    overlap = (1.0, 0.8)[int(rng.uniform() < 0.3)] if thickness > 1.0 else 1.0
    kernel: Kernel = ("soft", "standard", "sharp")[int(rng.choice(3, p=(0.4, 0.35, 0.25)))]
    dose = float(np.exp(rng.uniform(np.log(9.0), np.log(28.0))))
    noise = dose * {"soft": 0.8, "standard": 1.2, "sharp": 2.4}[kernel] * (1.5 / thickness) ** 0.5
    return Protocol(
        thickness_mm=thickness,
        increment_mm=round(thickness * overlap, 3),
        kernel=kernel,
        noise_hu=round(min(noise, 75.0), 1),
        lung_field=bool(rng.uniform() < 0.5),
    )


def take(
    hu: Float32, spacing_kji_mm: tuple[float, float, float], per_slice: int, protocol: Protocol, seed: int
) -> NDArray[np.int16]:
    """Scan noise-free anatomy `hu` (k, j, i), of which `per_slice` planes go into an increment: int16 HU."""
    plane_mm, _, pixel_mm = spacing_kji_mm
    count = len(hu) // per_slice
    # What is painted is already an average over the plane's own height.
    sigma = max((protocol.thickness_mm / _FWHM) ** 2 - plane_mm**2 / 12.0, 0.0) ** 0.5 / plane_mm
    slices = np.empty((count, *hu.shape[1:]), dtype=np.float32)
    for n in range(count):
        middle = n * per_slice + (per_slice - 1) / 2.0
        reach = int(np.ceil(3.0 * sigma + 0.5))
        near = np.arange(int(np.floor(middle)) - reach, int(np.ceil(middle)) + reach + 1)
        weights = np.exp(-0.5 * ((near - middle) / max(sigma, 0.25)) ** 2)
        weights /= weights.sum()
        slices[n] = 0.0
        for k, weight in zip(near.clip(0, len(hu) - 1), weights, strict=True):
            if weight > 1e-4:
                slices[n] += np.float32(weight) * hu[k]
    usual = _KERNELS[protocol.kernel]
    scanner = Scanner(
        blur_mm=usual.blur_mm,
        noise_hu=protocol.noise_hu,
        grain_mm=usual.grain_mm,
        sharpen=usual.sharpen,
    )
    return acquire(slices, pixel_mm, scanner, seed)


def into_slices(inside: NDArray[np.bool_], first: int, per_slice: int) -> tuple[int, NDArray[np.bool_]]:
    """Truth of planes as truth of slices: voxels more than half of which is inside.

    inside: (k, j, i), of the planes from `first` on. Gives the first slice and (slice, j, i). Of an even
    number of planes the one above the middle decides where it is just half: volumes are right on average.
    What is nowhere half a voxel leaves the voxels that hold most of it: what is there is somewhere.
    """
    if per_slice == 1:
        return first, inside
    low = first // per_slice
    count = (first + len(inside) - 1) // per_slice - low + 1
    part = np.zeros((count, *inside.shape[1:]), dtype=np.int16)
    for n, plane in enumerate(inside):
        slice_, at = divmod(first + n, per_slice)
        part[slice_ - low] += plane * np.int16(3 if 2 * at == per_slice else 2)
    most = int(part.max(initial=0))
    held: NDArray[np.bool_] = part >= (per_slice + 1 if most > per_slice else max(most, 1))
    return low, held
