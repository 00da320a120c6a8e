"""A picture cannot be wrong."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.values import Picture, PicturePlane, SourceFrame, SourceHeaders


def picture(frames, sources=1, **plane):
    return Picture(
        frames=frames,
        plane=PicturePlane(**plane),
        study_instance_uid="1.2",
        series_instance_uid="1.2.3",
        sources=tuple(SourceFrame("1.2.3.4", n) for n in range(1, sources + 1)),
        headers=SourceHeaders((b"",)),
    )


GREY = (2, 5, 7, 1)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: picture(np.zeros((5, 7), np.uint8)), "must be"),
        (lambda: picture(np.zeros((1, 5, 7, 2), np.uint8)), "1 or 3"),
        (lambda: picture(np.zeros((1, 5, 7, 1), np.float64)), "float64"),
        (lambda: picture(np.zeros(GREY, np.uint8)), "each of 2 frames, got 1"),
        (lambda: picture(np.zeros(GREY, np.uint8), 2, frame_times_ms=(0.0, 1.0, 2.0)), "3 times for 2"),
        (lambda: PicturePlane(frame_times_ms=(0.0, 2.0, 1.0)), "ascending"),
        (lambda: PicturePlane(frame_times_ms=(0.0, float("nan"))), "finite"),
        (lambda: PicturePlane(spacing_ji_mm=(0.0, 1.0)), "> 0 mm"),
        (lambda: PicturePlane(spacing_ji_mm=(float("nan"), 1.0)), "> 0 mm"),
    ],
)
def test_what_is_no_picture_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_its_pixels_are_read_only():
    one = picture(np.zeros(GREY, np.uint8), 2)
    assert not one.frames.flags.writeable
    assert not one.is_colour


def test_its_grid_counts_mm_along_rows_and_columns_and_frames():
    grid = picture(np.zeros(GREY, np.uint8), 2, spacing_ji_mm=(0.5, 0.25)).grid
    assert grid.shape_kji == (2, 5, 7)
    assert grid.to_lps_mm((1, 2, 3)) == pytest.approx((0.75, 1.0, 1.0))
    assert grid.frame_of_reference_uid == ""


def test_without_a_spacing_its_grid_counts_pixels():
    assert picture(np.zeros(GREY, np.uint8), 2).grid.to_lps_mm((1, 2, 3)) == pytest.approx((3, 2, 1))
