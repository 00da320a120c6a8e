"""A segmentation of a multi-frame object lies on its frames by their numbers, not by the slices' order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import EnhancedCTImageStorage

from dicomnode.report import ReportProfile, make_objects
from dicomnode.values import Findings, SourceFrame, SourceHeaders
from tests.unit.report.sources import SALT, Series, findings, header_bytes

# Frame number of each slice, k ascending: in no order, and some frames are of another phase
ORDERS = {
    "against the normal": tuple(range(12, 0, -1)),
    "in no order": (5, 2, 9, 12, 1, 7, 3, 11, 4, 10, 6, 8),
    "of the second phase": tuple(range(13, 25)),
}


def on_frames(
    numbers: tuple[int, ...], series: Series | None = None, change: Callable[[Dataset], None] | None = None
) -> Findings:
    """The findings of `sources`, whose slices are these frames of one object.

    series: of images of one frame, whose places they have. change: what is done to the object.
    """
    series = series or Series()
    images = series.datasets()

    def edit(ds: Dataset, k: int) -> None:
        ds.SOPClassUID = EnhancedCTImageStorage
        ds.NumberOfFrames = max(numbers)
        shared, ds.PerFrameFunctionalGroupsSequence = Dataset(), []
        shared.PlaneOrientationSequence = [_moved(ds, "ImageOrientationPatient")]
        shared.PixelMeasuresSequence = [_moved(ds, "PixelSpacing")]
        ds.SharedFunctionalGroupsSequence = [shared]
        for number in range(1, max(numbers) + 1):
            # A frame of another phase lies where one of these lies
            slice_of = numbers.index(number) if number in numbers else number % len(numbers)
            frame, position = Dataset(), Dataset()
            position.ImagePositionPatient = images[slice_of].ImagePositionPatient
            frame.PlanePositionSequence = [position]
            ds.PerFrameFunctionalGroupsSequence.append(frame)
        del ds.ImagePositionPatient
        if change is not None:
            change(ds)

    whole = replace(series, edit=edit).datasets()[0]
    source = replace(
        series.source(),
        frames=tuple(SourceFrame(str(whole.SOPInstanceUID), number) for number in numbers),
        headers=SourceHeaders((header_bytes(whole),)),
    )
    return findings(series, sources=(source,))


def _moved(ds: Dataset, keyword: str) -> Dataset:
    """An item with an element of the object, which has it no more."""
    item = Dataset()
    item[keyword] = ds[keyword]
    del ds[keyword]
    return item


@pytest.mark.parametrize("numbers", ORDERS.values(), ids=list(ORDERS))
def test_each_frame_of_a_segmentation_names_the_frame_that_it_lies_on(numbers: tuple[int, ...]) -> None:
    found = on_frames(numbers)
    (made,) = make_objects(found, ReportProfile(kinds=("SEG",)), SALT)
    seg = dcmread(BytesIO(made.content))
    pixels = seg.pixel_array
    grid = found.sources[0].grid
    assert grid is not None
    seen = set()
    for n, group in enumerate(seg.PerFrameFunctionalGroupsSequence):
        image = group.DerivationImageSequence[0].SourceImageSequence[0]
        segment = int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber) - 1
        k = numbers.index(int(image.ReferencedFrameNumber))
        position = [float(one) for one in group.PlanePositionSequence[0].ImagePositionPatient]
        assert position == pytest.approx(grid.to_lps_mm((k, 0, 0)), abs=1e-5)
        assert np.array_equal(pixels[n].astype(bool), found.segments[segment].mask.to_array()[k])
        seen.add((segment, k))
    wanted = {
        (number, int(k))
        for number, segment in enumerate(found.segments)
        for k in np.flatnonzero(segment.mask.to_array().any(axis=(1, 2)))
    }
    assert seen == wanted
