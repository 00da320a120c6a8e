"""Our segmentations say what highdicom's say, element by element; only it took longer to write them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from dicomnode.report.heading.identity import apply_identity, to_bytes
from dicomnode.report.segmentation.binary import build_segmentation
from dicomnode.report.segmentation.labelmap import build_labelmap
from dicomnode.values import Findings, Mask
from tests.unit.report.segmentation.plain import (
    SERIES_NUMBER,
    differences,
    imprint_of,
    plain,
    plain_pixels,
    plain_sources,
    uids_of,
)
from tests.unit.report.sources import PLANES, Series, findings
from tests.unit.report.test_multi_frame import ORDERS, on_frames

RANDOM = frozenset({"DimensionOrganizationUID"})  # drawn by highdicom
CODED = RANDOM | {"PixelData"}  # in other runs, or padded with the digit 0


def _both(found: Findings, kind: str, *, empty_frames: bool = False) -> tuple[Dataset, Dataset]:
    """What a reader finds in our file, and in that of highdicom."""
    imprint, uids = imprint_of(found), uids_of(found, kind)
    build = build_segmentation if kind == "BINARY" else build_labelmap
    (ours,) = build(imprint, uids, SERIES_NUMBER, empty_frames=empty_frames)
    other = plain(
        imprint,
        uids,
        plain_sources(imprint),
        plain_pixels(found),
        kind=kind,
        empty_frames=empty_frames,
    )
    files = []
    for one in (ours, other):
        apply_identity(one, imprint, uids, "SEG")
        files.append(dcmread(BytesIO(to_bytes(one))))
    return files[0], files[1]


def _shifted(found: Findings) -> Findings:
    """Segments on other slices each, apart, with empty slices in between and of some only one."""
    array = np.zeros(found.segments[0].mask.shape_kji, dtype=bool)
    masks = []
    for n, ks in enumerate(((8, 9, 11), (2,), (3, 4))):
        own = array.copy()
        own[list(ks), 3 : 9 - n, 5 + 7 * n : 11 + 7 * n] = True
        masks.append(Mask.from_array(own))
    segments = [replace(one, mask=mask) for one, mask in zip(found.segments, masks, strict=True)]
    return replace(found, segments=tuple(segments))


def _jitter(ds: Dataset, k: int) -> None:
    ds.ImagePositionPatient[2] = f"{float(ds.ImagePositionPatient[2]) + (0.3 if k % 2 else 0.0):.4f}"


def _long_numbers(ds: Dataset, k: int) -> None:
    ds.ImagePositionPatient[0] = "-9.4999999000001"


CASES: dict[str, Callable[[], Findings]] = {
    **{f"{plane}, overlapping": lambda plane=plane: findings(Series(plane=plane)) for plane in PLANES},  # type: ignore[misc]
    "apart": lambda: _shifted(findings()),
    "oblique, apart": lambda: _shifted(findings(Series(plane="oblique"))),
    "one segment": lambda: findings(segments=findings().segments[:1]),
    "one segment with gaps": lambda: findings(segments=_shifted(findings()).segments[:1]),
    "one slice": lambda: findings(segments=_shifted(findings()).segments[1:2]),
    "odd number of pixels": lambda: findings(Series(shape_kji=(7, 11, 13))),
    "slices that jitter": lambda: findings(Series(edit=_jitter)),
    "long numbers": lambda: findings(Series(edit=_long_numbers)),
    "lossy": lambda: findings(
        Series(extra={"LossyImageCompression": "01", "LossyImageCompressionRatio": "12.5"})
    ),
    "frames against the normal": lambda: on_frames(ORDERS["against the normal"]),
    "frames in no order": lambda: on_frames(ORDERS["in no order"]),
    "frames in no order, one segment": lambda: replace(
        on_frames(ORDERS["in no order"]), segments=findings().segments[:1]
    ),
}


@pytest.mark.parametrize("empty_frames", [False, True], ids=["", "with empty frames"])
@pytest.mark.parametrize("case", CASES)
def test_a_segmentation_is_that_of_highdicom(case: str, empty_frames: bool) -> None:
    ours, other = _both(CASES[case](), "BINARY", empty_frames=empty_frames)
    assert list(differences(ours, other, apart=CODED if case == "odd number of pixels" else RANDOM)) == []
    assert np.array_equal(ours.pixel_array, other.pixel_array)


@pytest.mark.parametrize("empty_frames", [False, True], ids=["", "with empty frames"])
@pytest.mark.parametrize("case", [case for case in CASES if "apart" in case or "one" in case])
def test_a_label_map_is_that_of_highdicom(case: str, empty_frames: bool) -> None:
    ours, other = _both(CASES[case](), "LABELMAP", empty_frames=empty_frames)
    assert list(differences(ours, other, apart=CODED)) == []
    assert np.array_equal(ours.pixel_array, other.pixel_array)
    assert ours.pixel_array.max() == len(CASES[case]().segments)


def test_the_bytes_of_frames_are_those_that_pydicom_writes() -> None:
    found = CASES["oblique, overlapping"]()
    imprint, uids = imprint_of(found), uids_of(found, "BINARY")
    (ours,) = build_segmentation(imprint, uids, SERIES_NUMBER)
    other = plain(imprint, uids, plain_sources(imprint), plain_pixels(found))
    for item in (*other.DimensionOrganizationSequence, *other.DimensionIndexSequence):
        item.DimensionOrganizationUID = uids.inside("dimensions")
    apply_identity(ours, imprint, uids, "SEG")
    apply_identity(other, imprint, uids, "SEG")
    assert to_bytes(ours) == to_bytes(other)
