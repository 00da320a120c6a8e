"""Registrations as objects: read back by pydicom, they move points as they were meant to."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from dicomnode.report import Laid, SpatialOccasion, make_moved_images, make_registration
from dicomnode.report.spatial.moved_images import against_moved_images
from dicomnode.values import DerivedImage, Grid, Source
from dicomnode.values.codes import HOUNSFIELD, NO_UNIT
from tests.unit.report.fields.fields import MR, PET
from tests.unit.report.sources import MADE_AT, SALT, Series, findings, provenance

OCCASION = SpatialOccasion(provenance=provenance(), made_at=MADE_AT, salt=SALT)
TURN = np.radians(4.0)
MATRIX = np.array(
    [
        [np.cos(TURN), -np.sin(TURN), 0.0, 12.5],
        [np.sin(TURN), np.cos(TURN), 0.0, -7.25],
        [0.0, 0.0, 1.0, 30.0],
        [0.0, 0.0, 0.0, 1.0],
    ]
)


def source(series: Series | None = None) -> Source:
    return findings(series or Series()).sources[0]


def prior(series: Series | None = None) -> Source:
    """The same images as of another study, in a space of their own."""
    own = source(series)
    assert own.grid is not None
    headers = []
    for encoded in own.headers.encoded:
        header = dcmread(BytesIO(encoded))
        header.StudyInstanceUID, header.SeriesInstanceUID = "1.2.9.1", "1.2.9.2"
        header.FrameOfReferenceUID = "1.2.9.3"
        stream = BytesIO()
        header.save_as(stream, enforce_file_format=True)
        headers.append(stream.getvalue())
    return replace(
        own,
        study_instance_uid="1.2.9.1",
        series_instance_uid="1.2.9.2",
        grid=Grid(own.grid.shape_kji, own.grid.affine_lps, "1.2.9.3"),
        headers=replace(own.headers, encoded=tuple(headers)),
    )


def field() -> tuple[Grid, np.ndarray]:
    affine = np.array([[4.0, 0, 0, -20], [0, 5.0, 0, -30], [0, 0, 6.0, 10], [0, 0, 0, 1.0]])
    grid = Grid((3, 4, 5), affine, "1.2.3")
    k, j, i = np.indices(grid.shape_kji)
    return grid, np.stack([k + 0.5, j * 2.0, i - 1.0], axis=-1).astype(np.float32)


def bent() -> Laid:
    grid, values = field()
    return Laid(kind="deformable", moved_lps=MATRIX, words="deformable, sure", grid=grid, field_lps_mm=values)


def read(content: bytes) -> Dataset:
    return dcmread(BytesIO(content))


def rigid(
    words: str = "rigid, forth and back within 0.31 mm at the corners of the body, overlap 99 %",
) -> Laid:
    return Laid(kind="rigid", moved_lps=MATRIX, words=words)


def test_a_matrix_takes_points_of_the_moving_series_to_the_fixed_one() -> None:
    made = read(make_registration(source(), prior(), rigid(), OCCASION).content)
    own, other = made.RegistrationSequence
    assert made.FrameOfReferenceUID == own.FrameOfReferenceUID == source().grid.frame_of_reference_uid
    assert other.FrameOfReferenceUID == "1.2.9.3"
    matrices = [one.MatrixRegistrationSequence[0].MatrixSequence[0] for one in (own, other)]
    assert [one.FrameOfReferenceTransformationMatrixType for one in matrices] == ["RIGID", "RIGID"]
    values = [
        np.array(one.FrameOfReferenceTransformationMatrix, dtype=float).reshape(4, 4) for one in matrices
    ]
    assert np.array_equal(values[0], np.eye(4))
    assert np.abs(values[1] - MATRIX).max() < 1e-8
    comment = other.MatrixRegistrationSequence[0].FrameOfReferenceTransformationComment
    assert comment.startswith("rigid, forth and back within 0.31 mm")
    assert len(comment) <= 64


def test_a_deformation_adds_the_field_before_the_matrix_goes_back() -> None:
    made = read(make_registration(source(), prior(), bent(), OCCASION).content)
    own, other = made.DeformableRegistrationSequence
    assert "DeformableRegistrationGridSequence" not in own
    assert other.SourceFrameOfReferenceUID == "1.2.9.3"
    (item,) = other.DeformableRegistrationGridSequence
    i, j, k = item.GridDimensions
    assert (k, j, i) == (3, 4, 5)
    assert list(item.GridResolution) == [4.0, 5.0, 6.0]
    assert [float(one) for one in item.ImagePositionPatient] == [-20.0, -30.0, 10.0]
    assert [float(one) for one in item.ImageOrientationPatient] == [1, 0, 0, 0, 1, 0]
    values = np.frombuffer(item.VectorGridData, dtype="<f4").reshape(k, j, i, 3)
    assert np.array_equal(values, field()[1])
    before = other.PreDeformationMatrixRegistrationSequence[0].FrameOfReferenceTransformationMatrix
    after = other.PostDeformationMatrixRegistrationSequence[0].FrameOfReferenceTransformationMatrix
    assert np.array_equal(np.reshape(before, (4, 4)).astype(float), np.eye(4))
    assert np.allclose(np.reshape(after, (4, 4)).astype(float) @ MATRIX, np.eye(4), atol=1e-7)


def test_it_stands_in_the_study_of_the_fixed_series_and_names_every_image_of_both() -> None:
    made = read(make_registration(source(), prior(), rigid(), OCCASION).content)
    assert made.StudyInstanceUID == source().study_instance_uid
    (here,) = made.ReferencedSeriesSequence
    (there,) = made.StudiesContainingOtherReferencedInstancesSequence
    assert here.SeriesInstanceUID == source().series_instance_uid
    assert there.StudyInstanceUID == "1.2.9.1"
    named = {
        one.ReferencedSOPInstanceUID for one in there.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    }
    assert named == {one.sop_instance_uid for one in prior().frames}


def test_two_series_of_one_study_stand_in_one_list() -> None:
    other = replace(source(), series_instance_uid="1.2.9.2")
    headers = []
    for encoded in other.headers.encoded:
        header = read(encoded)
        header.SeriesInstanceUID = "1.2.9.2"
        stream = BytesIO()
        header.save_as(stream, enforce_file_format=True)
        headers.append(stream.getvalue())
    other = replace(other, headers=replace(other.headers, encoded=tuple(headers)))
    made = read(make_registration(source(), other, rigid(), OCCASION).content)
    assert len(made.ReferencedSeriesSequence) == 2
    assert "StudiesContainingOtherReferencedInstancesSequence" not in made


def test_the_same_call_gives_the_same_bytes_and_another_map_another_object() -> None:
    first, again = (make_registration(source(), prior(), rigid(), OCCASION) for _ in range(2))
    assert first == again
    shifted = MATRIX.copy()
    shifted[0, 3] += 1.0
    other = make_registration(source(), prior(), replace(rigid(), moved_lps=shifted), OCCASION)
    assert other.sop_instance_uid != first.sop_instance_uid


def image(series: Series, unit=HOUNSFIELD) -> DerivedImage:
    grid = source(series).grid
    values = np.arange(np.prod(grid.shape_kji), dtype=np.float32).reshape(grid.shape_kji) % 900.0 - 100.0
    return DerivedImage(
        label="moved", description="Moved", unit=unit, values=values, grid=grid, algorithm="rigid"
    )


@pytest.mark.parametrize("plane", ["axial", "oblique", "sagittal"])
def test_the_moved_series_lies_on_the_fixed_grid_and_names_the_images_it_was_made_of(plane: str) -> None:
    series = Series(plane=plane)
    moving = prior(series)
    made = [
        read(one.content)
        for one in make_moved_images(source(series), moving, rigid(), image(series), OCCASION)
    ]
    grid = source(series).grid
    assert len(made) == grid.shape_kji[0]
    uids = [one.sop_instance_uid for one in moving.frames]
    for k, one in enumerate(made):
        assert np.allclose(
            np.array(one.ImagePositionPatient, dtype=float), grid.to_lps_mm((k, 0, 0)), atol=1e-3
        )
        stored = one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept)
        assert np.abs(stored - image(series).values[k]).max() <= 0.5
        assert one.FrameOfReferenceUID == grid.frame_of_reference_uid
        assert one.StudyInstanceUID == source(series).study_instance_uid
        assert one.ImageType[0] == "DERIVED"
        named = [str(item.ReferencedSOPInstanceUID) for item in one.SourceImageSequence]
        assert named
        assert set(named) <= set(uids)


def test_each_plane_names_the_images_that_it_cuts() -> None:
    series = Series()
    spacing = source(series).grid.slice_distance_mm
    shift = np.eye(4)
    shift[:3, 3] = 2.0 * spacing * source(series).grid.normal_lps
    laid = Laid(kind="rigid", moved_lps=shift, words="rigid")
    moving = prior(series)
    made = [
        read(one.content) for one in make_moved_images(source(series), moving, laid, image(series), OCCASION)
    ]
    uids = [one.sop_instance_uid for one in moving.frames]
    for k in range(3, len(made)):
        named = {str(item.ReferencedSOPInstanceUID) for item in made[k].SourceImageSequence}
        assert uids[k - 2] in named
        assert named <= set(uids[k - 3 : k])


def test_a_moved_mr_series_on_a_ct_stays_mr() -> None:
    fixed, moving = Series(), Series(extra=MR)
    made = make_moved_images(source(fixed), prior(moving), rigid(), image(fixed, NO_UNIT), OCCASION)
    assert {read(one.content).Modality for one in made} == {"MR"}


def test_a_moved_pet_series_has_no_images_and_it_is_said_why() -> None:
    moving = prior(Series(extra=PET))
    assert make_moved_images(source(), moving, rigid(), image(Series(), NO_UNIT), OCCASION) == ()
    assert "neither CT nor MR" in str(against_moved_images(moving, image(Series(), NO_UNIT), OCCASION))


def test_a_field_belongs_to_a_deformation_alone() -> None:
    with pytest.raises(ValueError, match="deformation"):
        replace(rigid(), kind="deformable")
    with pytest.raises(ValueError, match="deformation"):
        replace(bent(), kind="affine")
