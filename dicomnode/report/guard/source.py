"""The geometry guard of the source: its images lie, by their own headers, where the grid has their slices.

What names images and holds coordinates of their pixels says nothing of patient space itself: reports and
presentation states. On a grid that is not that of the images they would be wrong and look right. How rows and
columns run is compared before anything is written (`agreement`), and so are frames of one object.
Source: PS3.3 C.7.6.2.1.1.
"""

from __future__ import annotations

from io import BytesIO
from typing import Final

import numpy as np
from pydicom import Dataset, dcmread

from dicomnode.report.guard.places import QUARTER
from dicomnode.report.guard.reading import Place
from dicomnode.report.mismatch.error import differs
from dicomnode.store.foreign import quiet
from dicomnode.values import Findings

_PLACING: Final = ("SOPInstanceUID", "ImagePositionPatient")
_ROUNDED_MM: Final = 0.025  # positions of very small pixels are rounded


def check_source(findings: Findings) -> None:
    """Compare the positions of single-frame images with the grid, slice by slice; pictures lie nowhere.

    Raises NodeError(GEOMETRY_GUARD).
    """
    source = findings.sources[0]
    if source.grid is None or source.plane is not None:
        return
    if any(frame.frame_number is not None for frame in source.frames):
        return
    positions: dict[str, list[float]] = {}
    with quiet():
        for encoded in source.headers.encoded:
            header = dcmread(BytesIO(encoded), specific_tags=list(_PLACING))
            positions[str(header.SOPInstanceUID)] = [float(one) for one in header.ImagePositionPatient]
    off = source.grid.to_index_kji([positions[frame.sop_instance_uid] for frame in source.frames])
    off[:, 0] -= np.arange(len(off))
    near = np.maximum(QUARTER, _ROUNDED_MM / np.array(source.grid.spacing_kji_mm))
    beyond = (np.abs(off) > near).any(axis=1)
    if beyond.any():
        k = int(np.argmax(beyond))
        away = ", ".join(f"{value:.2f}" for value in off[k])
        raise differs(f"the image of slice {k} lies {away} voxels (k, j, i) off it")


def place_of(image: Dataset) -> Place:
    """Where an image of one frame lies: PS3.3 equation C.7.6.2.1-1."""
    cosines = np.array(image.ImageOrientationPatient, dtype=np.float64)
    between_rows, between_columns = (float(one) for one in image.PixelSpacing)
    position = np.array(image.ImagePositionPatient, dtype=np.float64)
    plane = np.stack((cosines[:3] * between_columns, cosines[3:] * between_rows, position), axis=1)
    return Place(plane, between_rows * between_columns, None)
