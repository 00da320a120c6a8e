"""Pictures of cases: both outlines where they lie, on the slice that shows what went wrong."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from dicomnode.evaluate.pictures import FOUND, TRUE, Place, truth_and_found_png
from dicomnode.values import Code, Mask, Picture, SourceFrame, SourceHeaders, Volume
from dicomnode.values.codes import HOUNSFIELD
from dicomnode.values.picture import PicturePlane

_LUNG = Code("39607008", "SCT", "Lung")


def _volume(affine=None) -> Volume:
    voxels = np.full((12, 60, 80), -600, dtype=np.int16)
    return Volume(
        voxels,
        np.diag([1.0, 1.0, 3.0, 1.0]) if affine is None else affine,
        HOUNSFIELD,
        "1.2",
        "1.3",
        "1.4",
        tuple(SourceFrame(f"1.5.{n}") for n in range(12)),
        SourceHeaders(()),
    )


def _box(k: slice, j: slice, i: slice, shape=(12, 60, 80)) -> Mask:
    array = np.zeros(shape, dtype=bool)
    array[k, j, i] = True
    return Mask.from_array(array)


def _pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(png)).convert("RGB")).astype(int)


def _whole(png: bytes) -> np.ndarray:
    """The left panel: the whole slice."""
    return _pixels(png)[8:348, 8:348]


def _where(panel: np.ndarray, colour) -> tuple[float, float, float, float]:
    """First and last row and column of a colour, in pixels."""
    rows, columns = np.nonzero(np.abs(panel - colour).sum(axis=2) < 90)
    return rows.min(), rows.max(), columns.min(), columns.max()


def test_both_outlines_lie_where_their_masks_lie() -> None:
    truth = _box(slice(2, 9), slice(20, 40), slice(30, 50))
    found = _box(slice(2, 9), slice(24, 36), slice(34, 46))
    panel = _whole(truth_and_found_png(_volume(), [truth], [found], _LUNG))
    scale, top = 340 / 80, (340 - 60 * 340 / 80) / 2
    for mask, colour in ((truth, TRUE), (found, FOUND)):
        (row0, row1), (column0, column1) = mask.box_kji[1:]
        wanted = (top + row0 * scale, top + row1 * scale, column0 * scale, column1 * scale)
        assert _where(panel, colour) == pytest.approx(wanted, abs=5)


def test_the_slice_is_the_one_on_which_both_differ_most() -> None:
    truth = np.zeros((12, 60, 80), dtype=bool)
    truth[2:9, 20:40, 30:50] = True
    found = truth.copy()
    found[6, 20:38] = False  # here a strip alone is left
    png = truth_and_found_png(_volume(), [Mask.from_array(truth)], [Mask.from_array(found)], _LUNG)
    row0, row1, _, _ = _where(_whole(png), FOUND)
    assert row1 - row0 < 20


def test_a_missed_finding_is_looked_at_rather_than_one_that_was_found() -> None:
    volume = _volume()
    known = [
        Place(centre_lps_mm=(20.0, 30.0, 6.0), diameter_mm=8.0),
        Place(centre_lps_mm=(60.0, 30.0, 27.0), diameter_mm=8.0),
    ]
    png = truth_and_found_png(volume, known, [Place(centre_lps_mm=(20.0, 31.0, 6.0))])
    _, _, column0, column1 = _where(_whole(png), TRUE)
    assert (column0 + column1) / 2 == pytest.approx(60.5 * 340 / 80, abs=5)
    with pytest.raises(ValueError, match="zero-size"):
        _where(_whole(png), FOUND)  # it lies on another slice


def test_a_candidate_without_a_size_is_a_cross() -> None:
    png = truth_and_found_png(_volume(), [], [Place(centre_lps_mm=(40.0, 30.0, 15.0))])
    row0, row1, column0, column1 = _where(_whole(png), FOUND)
    assert (column0 + column1) / 2 == pytest.approx(40.5 * 340 / 80, abs=4)
    assert (row0 + row1) / 2 == pytest.approx(170 + 0.5 * 340 / 80, abs=4)


def test_a_tiny_finding_still_has_an_outline() -> None:
    png = truth_and_found_png(_volume(), [Place(centre_lps_mm=(40.2, 30.4, 16.1), diameter_mm=0.2)], [])
    assert _where(_whole(png), TRUE)


def test_a_finding_beside_the_images_is_not_drawn_and_breaks_nothing() -> None:
    png = truth_and_found_png(_volume(), [Place(centre_lps_mm=(400.0, 30.0, 15.0), diameter_mm=5.0)], [])
    assert _pixels(png).shape == (380, 702, 3)


def test_where_nothing_is_outlined_the_middle_slice_is_shown() -> None:
    empty = Mask.from_array(np.zeros((12, 60, 80), dtype=bool))
    assert _pixels(truth_and_found_png(_volume(), [empty], [])).shape == (380, 702, 3)


def test_sagittal_slices_are_shown_as_they_were_taken() -> None:
    affine = np.array([[0, 0, 3.0, 0], [1.0, 0, 0, 0], [0, -1.0, 0, 0], [0, 0, 0, 1.0]])
    truth = _box(slice(5, 6), slice(20, 40), slice(30, 50))
    panel = _whole(truth_and_found_png(_volume(affine), [truth], [], _LUNG))
    assert _where(panel, TRUE)[2:] == pytest.approx((30 * 340 / 80, 50 * 340 / 80), abs=5)


def test_a_colour_picture_is_drawn_on_as_well() -> None:
    frames = np.zeros((2, 60, 80, 3), dtype=np.uint8)
    frames[..., 1] = 80
    picture = Picture(
        frames=frames,
        plane=PicturePlane(),
        study_instance_uid="1.3",
        series_instance_uid="1.4",
        sources=(SourceFrame("1.5", 1), SourceFrame("1.5", 2)),
        headers=SourceHeaders(()),
    )
    truth = _box(slice(1, 2), slice(20, 40), slice(30, 50), (2, 60, 80))
    panel = _whole(truth_and_found_png(picture, [truth], []))
    assert _where(panel, TRUE)[2:] == pytest.approx((30 * 340 / 80, 50 * 340 / 80), abs=5)
    assert tuple(panel[170, 20]) == (0, 80, 0)


def test_a_mask_of_other_images_is_refused() -> None:
    with pytest.raises(ValueError, match="mask of"):
        truth_and_found_png(_volume(), [_box(slice(0, 1), slice(0, 1), slice(0, 1), (2, 2, 2))], [])


def test_the_same_case_gives_the_same_bytes() -> None:
    truth = _box(slice(2, 9), slice(20, 40), slice(30, 50))
    first, second = (truth_and_found_png(_volume(), [truth], [], _LUNG) for _ in range(2))
    assert first == second
