"""What others say is a value that cannot contradict itself."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.values import (
    AnnotatedRegion,
    AnnotatedSegment,
    Annotation,
    AnnotationKind,
    Grid,
    Mask,
    RegionKind,
)

FACTS = {
    "kind": AnnotationKind.SEG,
    "sop_class_uid": "1.2",
    "sop_instance_uid": "1.3",
    "series_instance_uid": "1.4",
    "study_instance_uid": "1.5",
}
GRID = Grid((2, 3, 4), np.eye(4), "1.6")


def test_a_mask_must_be_of_the_grid() -> None:
    fits = AnnotatedSegment(number=1, label="a", mask=Mask.from_array(np.zeros((2, 3, 4), dtype=bool)))
    other = AnnotatedSegment(number=2, label="b", mask=Mask.from_array(np.zeros((2, 3, 5), dtype=bool)))
    assert Annotation(**FACTS, grid=GRID, segments=(fits,)).segments == (fits,)
    with pytest.raises(ValueError, match="segment 2 lies on"):
        Annotation(**FACTS, grid=GRID, segments=(fits, other))
    with pytest.raises(ValueError, match="the grid is None"):
        Annotation(**FACTS, segments=(fits,))


def test_a_shape_has_points_and_points_have_a_shape() -> None:
    AnnotatedRegion(label="a", kind=RegionKind.POINT, points_lps_mm=((1.0, 2.0, 3.0),))
    AnnotatedRegion(label="a", kind=None)
    with pytest.raises(ValueError, match="kind is that of its points"):
        AnnotatedRegion(label="a", kind=RegionKind.POINT)
    with pytest.raises(ValueError, match="kind is that of its points"):
        AnnotatedRegion(label="a", kind=None, points_lps_mm=((1.0, 2.0, 3.0),))
