"""Long and short axis are those on a slice of the series: where it is not axial, that is said."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.values import RemarkKind
from tests.unit.analyse.test_analyst import analyse, blocks, by_label, value
from tests.unit.analyse.test_analyst import tissue_engine as engine

# Columns: where i, j and k run to, in LPS
AXIAL = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
TILTED = [[1, 0, 0], [0, np.cos(0.5), -np.sin(0.5)], [0, np.sin(0.5), np.cos(0.5)]]
CORONAL = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
SAGITTAL = [[0, 1, 0], [0, 0, -1], [1, 0, 0]]


def turned(rows: list[list[float]]) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = np.array(rows, dtype=float).T
    return affine


@pytest.mark.parametrize(
    ("rows", "plane"),
    [(AXIAL, None), (TILTED, None), (CORONAL, "coronal"), (SAGITTAL, "sagittal")],
    ids=["axial", "tilted", "coronal", "sagittal"],
)
def test_axes_of_slices_that_are_not_axial_are_said_to_be_those_of_their_plane(
    tmp_path, make_volume, rows, plane
):
    found = analyse(engine(tmp_path / "e", kind="lesion"), make_volume(blocks(), affine=turned(rows)))
    lesion = by_label(found)["soft-1"]
    first, last = np.array(lesion.long_axis_lps_mm)
    assert abs((last - first) @ np.array(rows[2], float)) < 1e-6, "it lies in a slice"
    assert value(lesion, "long_axis_mm") == pytest.approx(np.linalg.norm(last - first))
    said = [one.text for one in found.remarks if one.kind is RemarkKind.LIMIT]
    text = f"Long and short axes are measured on the {plane} slices of this series, not on axial ones."
    assert said == ([] if plane is None else [text])


def test_where_no_axis_is_measured_nothing_is_said_of_planes(tmp_path, make_volume):
    package = engine(tmp_path / "e")
    hu = np.where(blocks() == 40, -1000, blocks()).astype(np.int16)  # bone alone, whose volume is asked for
    found = analyse(package, make_volume(hu, affine=turned(SAGITTAL)))
    assert list(by_label(found)) == ["bone"]
    assert not [one for one in found.remarks if "axes" in one.text]
