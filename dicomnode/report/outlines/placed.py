"""Where the slices of the first source lie, and how an object refers to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from pydicom import Dataset

from dicomnode.report.heading.identity import Imprint
from dicomnode.report.outlines.outlines import Ring
from dicomnode.values import Float64, Grid

# In a pixel: what is rounded away of a coordinate is a thousandth of its spacing at most
_FINENESS: Final = 1e-3
_DS_MAX: Final = 16  # characters, PS3.5 6.2


class PlacedSlices:
    """The slices of the first source by their k. It has a grid."""

    def __init__(self, imprint: Imprint) -> None:
        source = imprint.findings.sources[0]
        assert source.grid is not None
        self.grid: Grid = source.grid
        self._frames = source.frames
        self._stubs = {str(stub.SOPInstanceUID): stub for stub in imprint.heading.stubs[0]}

    def reference(self, k: int) -> Dataset:
        """Return what names a slice: an item of the Image SOP Instance Reference Macro (PS3.3 table 10-3)."""
        frame = self._frames[k]
        item = reference_of(self._stubs[frame.sop_instance_uid])
        if frame.frame_number is not None:
            item.ReferencedFrameNumber = frame.frame_number
        return item

    def to_lps_mm(self, k: int, ring: Ring) -> Float64:
        """Map columns and rows (n, 2) on slice k to patient space (n, 3).

        By the position of the image itself: slices that jitter lie beside their place in the grid.
        """
        frame = self._frames[k]
        stub = self._stubs[frame.sop_instance_uid]
        if frame.frame_number is None:
            position, cosines, spacing = (
                stub.ImagePositionPatient,
                stub.ImageOrientationPatient,
                stub.PixelSpacing,
            )
        else:
            shared = stub.SharedFunctionalGroupsSequence[0]
            group = stub.PerFrameFunctionalGroupsSequence[frame.frame_number - 1]
            position = group.PlanePositionSequence[0].ImagePositionPatient
            cosines = shared.PlaneOrientationSequence[0].ImageOrientationPatient
            spacing = shared.PixelMeasuresSequence[0].PixelSpacing
        between_rows, between_columns = _numbers(spacing)
        along_row, down_column = _numbers(cosines).reshape(2, 3)
        # PS3.3 C.7.6.2.1.1
        placed: Float64 = (
            _numbers(position)
            + ring[:, :1] * (along_row * between_columns)
            + ring[:, 1:] * (down_column * between_rows)
        )
        return placed

    @property
    def decimals(self) -> int:
        """Decimals that a coordinate in mm is written with."""
        smallest_mm = min(self.grid.spacing_kji_mm[1:]) * _FINENESS
        return max(0, int(np.ceil(-np.log10(smallest_mm))))


def reference_of(stub: Dataset) -> Dataset:
    """Return what names an instance: an item of the SOP Instance Reference Macro."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = stub.SOPClassUID, stub.SOPInstanceUID
    return item


def decimal_strings(points: Float64, decimals: int) -> list[str]:
    """Write coordinates, each with 16 characters at most. Raises ValueError for one that needs more."""
    texts = []
    for number in (np.round(points.ravel(), decimals) + 0.0).tolist():  # + 0.0: of -0 makes 0
        text = f"{number:.{decimals}f}"
        texts.append(text.rstrip("0").rstrip(".") if decimals else text)
    if max(map(len, texts), default=0) > _DS_MAX:
        raise ValueError("a coordinate is too far away to be written with 16 characters")
    return texts


def _numbers(values: Sequence[object]) -> Float64:
    return np.array([float(str(value)) for value in values])
