"""Whether the voxels that an algorithm is given are about cubic, as far as engine.toml tells."""

from __future__ import annotations

from typing import Final

from dicomnode.engine import Manifest, StepSpec

_LONGEST: Final = 1.25  # of the sides of a voxel, by the shortest
_OTHER_SPACING: Final = ("resize", "letterbox")  # it follows from the images


def cubic_problems(step: StepSpec, what: str, manifest: Manifest) -> list[str]:
    """Say what is wrong where the first input has other voxels than cubic ones. what: counts in voxels."""
    if _is_cubic(manifest):
        return []
    entry = "{ resample_mm = [1.25, 1.25, 1.25] }"
    wanted = f"{manifest.input[0].name} wants an entry such as {entry} in its `prepare`"
    return [f"step {step.name}: {what} counts in voxels, about cubic ones: {wanted}"]


def _is_cubic(manifest: Manifest) -> bool:
    """Tell whether the last entry of `prepare` that gives a spacing gives three that are about the same."""
    cubic = False
    for entry in manifest.input[0].prepare:
        if entry.resample_mm is not None:
            cubic = _are_alike(entry.resample_mm)
        elif entry.resample is not None:
            cubic = _are_alike(entry.resample.spacing_kji_mm)
        elif entry.name in _OTHER_SPACING:
            cubic = False
    return cubic


def _are_alike(spacing_kji_mm: tuple[float, float, float]) -> bool:
    """Tell whether three spacings are about the same; 0 is that of the images, whatever it is."""
    return 0.0 < max(spacing_kji_mm) <= _LONGEST * min(spacing_kji_mm)
