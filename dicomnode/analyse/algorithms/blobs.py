"""Blobs in the lungs, of any size: places where a nodule may be, for what looks at each of them next.

What is denser than lung counts alike from 300 HU above it on, so that ground glass is not lost behind
vessels; of what is left after all openings by lines (`blobs_lines`) the maxima are taken on grids of three
coarsenesses. The filters by the curvature of the image (Li, Sone and Doi, Medical Physics 30 (2003) 2040;
Laplacian) were tried first: they had fewer nodules among the first 150 places of a phantom in every size.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

import numpy as np

from dicomnode.analyse.algorithms.blobs_peaks import Ends, Peaks, peaks_of
from dicomnode.analyse.algorithms.blobs_region import region_of
from dicomnode.analyse.algorithms.contract import Blob, LesionAlgorithm, Parameters
from dicomnode.analyse.grids import Bool, Box, Float32, box_of
from dicomnode.analyse.resample import Prepared
from dicomnode.values import Progress
from dicomnode.values.codes import HOUNSFIELD

_STAGE: Final = "blobs"
_AIR_HU, _DENSE_HU = -1000.0, 100.0  # lime is no larger for being brighter
_ABOVE_HU: Final = 300.0  # above lung: what is denser counts alike
_AERATED_HU: Final = -500.0
_LUNG_HU: Final = -850.0  # where nothing is aerated
_MARGIN: Final = 2  # voxels around the box of the lungs


def _run(image: Prepared, within: Bool, parameters: Parameters, progress: Progress) -> tuple[Blob, ...]:
    box = box_of(within, margin=_MARGIN)
    if box is None:
        return ()
    spacing = image.grid.spacing_kji_mm
    inside = within[box]
    hu = np.clip(np.asarray(image.voxels[box], dtype=np.float32), _AIR_HU, _DENSE_HU)
    lung = _lung_hu(hu[inside])
    hu = np.where(inside, hu, np.float32(lung))  # the wall is no edge, and nothing beyond it is seen
    alike = np.minimum(hu, np.float32(lung + _ABOVE_HU))
    least = parameters["response_hu"]
    peaks = peaks_of(alike, inside, spacing, least, _cut(within), lambda done, of: progress(_STAGE, done, of))
    return _apart(peaks, hu, inside, box, (spacing, parameters))


def _cut(within: Bool) -> Ends:
    """Tell at which ends of the images what is looked in goes on."""
    k, j, i = (
        (bool(planes[0].any()), bool(planes[-1].any()))
        for planes in (np.moveaxis(within, axis, 0) for axis in range(3))
    )
    return k, j, i


def _lung_hu(values: Float32) -> float:
    aerated = values[values < _AERATED_HU]
    return float(np.median(aerated)) if aerated.size else _LUNG_HU


def _apart(
    peaks: Peaks,
    hu: Float32,
    inside: Bool,
    box: Box,
    how: tuple[tuple[float, float, float], Parameters],
) -> tuple[Blob, ...]:
    """Outline peaks, the surest first; one that lies in an earlier one's ball is that one again."""
    spacing, parameters = how
    steps = np.array(spacing)
    first = np.array([part.start for part in box])
    found: list[Blob] = []
    taken = np.zeros((0, 4))
    for at, diameter_mm, response in zip(peaks.at_kji, peaks.diameters_mm, peaks.responses, strict=True):
        if len(found) >= parameters["at_most"]:
            break
        ways = np.linalg.norm((taken[:, :3] - at) * steps, axis=1)
        if (ways < np.maximum(parameters["apart_mm"], 0.5 * np.maximum(taken[:, 3], diameter_mm))).any():
            continue
        taken = np.concatenate([taken, [[*at, diameter_mm]]])
        start, mask = region_of(hu, inside, at, diameter_mm, spacing)
        middle = np.argwhere(mask).mean(axis=0) + start
        k, j, i = (float(one) for one in middle + first)
        low = [int(one) for one in np.array(start) + first]
        volume = float(np.count_nonzero(mask)) * float(np.prod(steps))
        found.append(
            Blob(
                centre_kji=(k, j, i),
                diameter_mm=(6.0 * volume / np.pi) ** (1 / 3),
                response=float(response),
                start_kji=(low[0], low[1], low[2]),
                mask=mask,
            )
        )
    return tuple(found)


BLOBS: Final = LesionAlgorithm(
    name="blobs",
    version=1,
    unit=HOUNSFIELD,
    parameters=MappingProxyType(
        {
            "response_hu": 15.0,  # contrast that is left: noise has less
            "apart_mm": 4.0,
            "at_most": 150.0,
        }
    ),
    run=_run,
    cubic=True,
)
