"""Registrations and moved series before dicom3tools and DCMTK; SimpleITK moves points as the object says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from dicomnode.report import make_moved_images, make_registration
from tests.judges import tools
from tests.unit.report.fields.fields import MR
from tests.unit.report.sources import Series
from tests.unit.report.spatial.test_registrations import (
    MATRIX,
    OCCASION,
    bent,
    field,
    image,
    prior,
    rigid,
    source,
)

pytestmark = pytest.mark.judge


@pytest.mark.parametrize("laid", [rigid(), bent()], ids=["matrix", "field"])
@pytest.mark.parametrize("plane", ["axial", "oblique", "sagittal"])
def test_the_judges_find_nothing_in_a_registration(laid, plane: str, tmp_path: Path) -> None:
    path = tmp_path / "reg.dcm"
    series = Series(plane=plane)
    path.write_bytes(make_registration(source(series), prior(series), laid, OCCASION).content)
    assert tools.dciodvfy(path) == []
    assert tools.run("dcm2xml", path, tmp_path / "reg.xml").starting("E:", "F:", "W:") == []


@pytest.mark.parametrize("extra", [{}, MR], ids=["CT", "MR"])
def test_the_judges_find_nothing_in_a_moved_series(extra: dict[str, object], tmp_path: Path) -> None:
    moving = prior(Series(extra=extra))
    made = make_moved_images(source(), moving, rigid(), image(Series()), OCCASION)
    if extra:
        from dicomnode.values.codes import NO_UNIT

        made = make_moved_images(source(), moving, rigid(), image(Series(), NO_UNIT), OCCASION)
    for number, one in enumerate((made[0], made[len(made) // 2], made[-1])):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(one.content)
        assert tools.dciodvfy(path) == []


def test_simpleitk_moves_points_as_the_deformation_says(tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    path = tmp_path / "reg.dcm"
    path.write_bytes(make_registration(source(), prior(), bent(), OCCASION).content)
    item = dcmread(path).DeformableRegistrationSequence[1]
    (grid,) = item.DeformableRegistrationGridSequence
    i, j, k = grid.GridDimensions
    vectors = np.frombuffer(grid.VectorGridData, dtype="<f4").reshape(k, j, i, 3).astype(np.float64)
    image = sitk.GetImageFromArray(vectors, isVector=True)
    image.SetSpacing(list(grid.GridResolution))
    image.SetOrigin([float(one) for one in grid.ImagePositionPatient])
    shift = sitk.DisplacementFieldTransform(image)
    matrix = np.reshape(
        item.PostDeformationMatrixRegistrationSequence[0].FrameOfReferenceTransformationMatrix, (4, 4)
    )
    back = sitk.AffineTransform(
        matrix[:3, :3].astype(float).ravel().tolist(), matrix[:3, 3].astype(float).tolist()
    )
    space, values = field()
    for index in ((0, 0, 0), (1, 2, 3), (2, 3, 4)):
        point = space.to_lps_mm(index)
        found = back.TransformPoint(shift.TransformPoint(point.tolist()))
        wanted = np.linalg.inv(MATRIX) @ [*(point + values[index]), 1.0]
        assert np.allclose(found, wanted[:3], atol=1e-4)
