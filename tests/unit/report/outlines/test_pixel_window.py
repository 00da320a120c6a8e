"""Grey images that bring no window are shown in that of their pixels, in the values that a display sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from dicomnode.report import ReportProfile, SourcePixels, make_objects
from dicomnode.values import Findings, Outcome, Region, RegionKind, Volume
from dicomnode.values.codes import BECQUEREL_PER_ML, COUNTS, NO_UNIT, SUV_BODY_WEIGHT
from tests.fixtures.pictures import computed_radiograph, radiograph
from tests.unit.report.outlines.finished import read
from tests.unit.report.outlines.test_presentation_states import region
from tests.unit.report.pages.paged import on_pictures, read_pictures, volume_of
from tests.unit.report.sources import SALT, Series, findings


def of_mr(**tags: object) -> Series:
    """MR without a window; a tag that is None is not there."""

    def edit(ds: Dataset, k: int) -> None:
        ds.Modality = "MR"
        del ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType
        for keyword, value in tags.items():
            setattr(ds, keyword, value)

    return Series(edit=edit)


def of_pet(units: str, *slopes: str) -> Series:
    """PET without a window, whose slices have these slopes in turns."""

    def edit(ds: Dataset, k: int) -> None:
        ds.Modality, ds.Units = "PT", units
        ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = slopes[k % len(slopes)], "0", units

    return Series(edit=edit)


def of_values(series: Series, values: np.ndarray, **changes: object) -> SourcePixels:
    """Voxels of a series as the node has them."""
    voxels = values.astype(np.float32)
    made: Volume = replace(volume_of(series), **{"voxels": voxels, "unit": NO_UNIT, **changes})  # type: ignore[arg-type]
    return SourcePixels((made,))


def ends(window: Dataset) -> tuple[float, float]:
    """What is black and what is white, by PS3.3 C.11.2.1.2.1 (LINEAR)."""
    half = (float(window.WindowWidth) - 1) / 2
    return float(window.WindowCenter) - 0.5 - half, float(window.WindowCenter) - 0.5 + half


def spot_on(pixels: SourcePixels) -> Findings:
    """A box on pictures, in its middle."""
    _, height, width = pixels.pictures[0].grid.shape_kji
    affine = pixels.pictures[0].grid.affine_lps
    corners = [(affine @ (x, y, 0, 1))[:3] for x, y in ((2, 2), (width - 3, height - 3))]
    box: Region = region(RegionKind.BOX, *(tuple(map(float, one)) for one in corners))  # type: ignore[arg-type]
    return on_pictures(pixels.pictures, outcome=Outcome.FINDINGS, regions=(box,))


# ── Volumes ───────────────────────────────────────────────────────────────────────────────────────
def test_mr_without_a_window_is_shown_from_the_1st_to_the_99th_percentile_of_its_voxels() -> None:
    series = of_mr()
    ds = read("GSPS", findings(series), pixels=of_values(series, series.voxels()))
    (window,) = ds.SoftcopyVOILUTSequence
    low, high = ends(window)
    wanted = np.percentile(series.voxels(), (1, 99.5))
    assert (low, high) == pytest.approx(wanted, abs=12)
    assert window.WindowCenterWidthExplanation == "window by percentiles"
    assert "ReferencedImageSequence" not in window


def test_padding_does_not_widen_the_window() -> None:
    series = of_mr()
    values = series.voxels() + 2000.0
    values[:, :, :20] = 0
    (window,) = read("GSPS", findings(series), pixels=of_values(series, values)).SoftcopyVOILUTSequence
    low, _ = ends(window)
    assert low > 1000


def test_only_the_images_without_a_window_take_that_of_the_pixels() -> None:
    def edit(ds: Dataset, k: int) -> None:
        ds.Modality = "MR"
        if k < 3:
            ds.WindowCenter, ds.WindowWidth = "-500", "90"

    series = Series(edit=edit)
    ds = read("GSPS", findings(series), pixels=of_values(series, series.voxels()))
    own, of_pixels = ds.SoftcopyVOILUTSequence
    assert (own.WindowWidth, len(own.ReferencedImageSequence)) == (90, 3)
    assert "WindowCenterWidthExplanation" not in own
    assert len(of_pixels.ReferencedImageSequence) == 9


def test_of_pet_whose_rescales_differ_the_window_is_in_stored_values() -> None:
    series = of_pet("BQML", "4", "2")
    pixels = of_values(series, series.voxels() + 1000.0, unit=BECQUEREL_PER_ML)
    fours, twos = (ends(one) for one in read("GSPS", findings(series), pixels=pixels).SoftcopyVOILUTSequence)
    assert np.multiply(fours, 4) == pytest.approx(np.multiply(twos, 2))
    highest = float(np.percentile(series.voxels() + 1000.0, 99.5))
    assert np.multiply(fours, 4) == pytest.approx((0.0, highest), abs=12)  # activity begins at nothing


NOT_AS_RESCALED = {
    "counts that became Bq/ml": (of_pet("CNTS", "2"), BECQUEREL_PER_ML),
    "activity that became SUV": (of_pet("BQML", "2"), SUV_BODY_WEIGHT),
    "values of a mapping": (of_mr(RealWorldValueMappingSequence=[Dataset()], Units="CNTS"), COUNTS),
}


@pytest.mark.parametrize("name", NOT_AS_RESCALED)
def test_there_is_none_where_voxels_are_not_the_values_that_are_shown(name: str) -> None:
    series, unit = NOT_AS_RESCALED[name]
    pixels = of_values(series, series.voxels(), unit=unit)
    assert "SoftcopyVOILUTSequence" not in read("GSPS", findings(series), pixels=pixels)


def test_there_is_none_of_images_of_one_value() -> None:
    series = of_mr()
    pixels = of_values(series, np.full_like(series.voxels(), 7))
    (window,) = read("GSPS", findings(series), pixels=pixels).SoftcopyVOILUTSequence
    assert float(window.WindowWidth) >= 1


# ── Pictures ──────────────────────────────────────────────────────────────────────────────────────
def contrasts(**tags: object) -> dict[str, Dataset]:
    return {
        "stored alone": computed_radiograph(**tags),
        "rescaled": computed_radiograph(RescaleSlope="0.5", RescaleIntercept="-20", RescaleType="US", **tags),
        "without an intercept": computed_radiograph(RescaleSlope="2", **tags),
        "signed": computed_radiograph(PixelRepresentation=1, **tags),
        "dark is more": computed_radiograph(PhotometricInterpretation="MONOCHROME1", **tags),
    }


@pytest.mark.parametrize("display", [True, False], ids=["as displayed", "as they are"])
@pytest.mark.parametrize("name", contrasts())
def test_a_picture_without_a_window_is_shown_in_that_of_its_pixels(
    name: str, display: bool, tmp_path: Path
) -> None:
    ds = contrasts()[name]
    pixels = SourcePixels(read_pictures(tmp_path, ds, display=display))
    state = read("GSPS", spot_on(pixels), pixels=pixels)
    values = ds.pixel_array * float(ds.get("RescaleSlope", 1)) + float(ds.get("RescaleIntercept", 0))
    assert state.get("RescaleSlope", 1) == float(ds.get("RescaleSlope", 1))
    (window,) = state.SoftcopyVOILUTSequence
    low, high = ends(window)
    assert values.min() - 0.01 <= low < np.percentile(values, 15)
    assert np.percentile(values, 85) < high <= values.max() + 0.01


def test_a_picture_with_a_window_or_a_table_keeps_it(tmp_path: Path) -> None:
    pixels = SourcePixels(read_pictures(tmp_path, radiograph(WindowCenter="2000", WindowWidth="4000")))
    (window,) = read("GSPS", spot_on(pixels), pixels=pixels).SoftcopyVOILUTSequence
    assert (window.WindowCenter, window.WindowWidth) == (2000, 4000)


# ── Making it ─────────────────────────────────────────────────────────────────────────────────────
def made(series: Series, pixels: Callable[[], SourcePixels | None]) -> Dataset:
    (one,) = make_objects(findings(series), ReportProfile(kinds=("GSPS",)), SALT, pixels=pixels)
    return dcmread(BytesIO(one.content))


def test_pixels_are_asked_for_only_where_a_window_is_missing() -> None:
    def never() -> SourcePixels:
        raise AssertionError("nobody needs them")

    made(Series(), never)
    made(of_mr(WindowCenter="5", WindowWidth="10"), never)


def test_with_and_without_a_window_it_is_not_the_same_object() -> None:
    series = of_mr()
    without, within = made(series, lambda: None), made(series, lambda: of_values(series, series.voxels()))
    assert "SoftcopyVOILUTSequence" not in without
    assert "SoftcopyVOILUTSequence" in within
    assert without.SOPInstanceUID != within.SOPInstanceUID
    assert made(series, lambda: of_values(series, series.voxels())) == within
