"""A table of lesions is read as LUNA16 writes it, placed on the stacks, and what is wrong is told at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from dicomnode.evaluate.data import read_labelled, with_lesions
from dicomnode.evaluate.data.lesion_tables import read_lesions
from dicomnode.evaluate.truth import labels_for, true_lesions
from dicomnode.faults import LESION_ROW_UNUSED, LESIONS_OF_OTHERS, LESIONS_UNNAMED, LESIONS_WRONG, NodeError
from dicomnode.learn.generate import SynthPlan, synth_cases
from dicomnode.phantom.enhanced import write_enhanced
from dicomnode.values import AnnotationKind, Grid, RegionKind
from tests.unit.evaluate.truth.values import lesion


@pytest.fixture
def table(tmp_path):
    def write(content: str) -> Path:
        path = tmp_path / "lesions.csv"
        path.write_bytes(content.encode())
        return path

    return write


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("films") / "data"
    synth_cases(SynthPlan(kind="discs", cases=3, seed=5), folder)
    return folder


def test_the_form_of_luna16_is_read(table):
    read = read_lesions(table("seriesuid,coordX,coordY,coordZ,diameter_mm\n1.2.3,-1.5,2,30.25,5.5\n"))
    (row,) = read.rows
    assert (row.key, row.place_mm, row.diameter_mm, row.number) == ("1.2.3", (-1.5, 2.0, 30.25), 5.5, 2)
    assert not read.named
    assert not row.is_none


def test_spreadsheets_with_commas_for_points_are_read(table):
    read = read_lesions(
        table("\ufeffSOP Instance UID;column;row;label;diameter\r\n1.2;12,5;7;mass;\r\n;;;;\r\n")
    )
    (row,) = read.rows
    assert (row.pixel, row.label, row.diameter_mm) == ((12.5, 7.0), "mass", None)


def test_a_row_without_a_place_says_that_there_is_none(table):
    (row,) = read_lesions(table("seriesuid,x,y,z,diameter_mm\n1.2.3,,,,\n")).rows
    assert row.is_none


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "it is empty"),
        ("seriesuid,coordX,coordY,coordZ\n", "no row but the header"),
        ("name,coordX,coordY,coordZ\na,1,2,3\n", "no column of keys"),
        ("seriesuid,diameter_mm\n1.2,3\n", "no place"),
        ("seriesuid,x,y,z\n1.2,1,,3\n", "row 2: its place is not whole"),
        ("seriesuid,x,y,z\n1.2,1,far,3\n", "row 2: y is no number"),
        ("seriesuid,x,y,z\n1.2,1,inf,3\n", "row 2: y is no number"),
        ("seriesuid,x,y,z,diameter_mm\n1.2,1,2,3,0\n", "row 2: diameter_mm is not above 0"),
        ("seriesuid,x,y,z\n,1,2,3\n", "row 2: it has no key"),
        ("seriesuid,x,x mm,y,z\n1.2,1,1,2,3\n", "several columns are x"),
        ('seriesuid,x,y,z\n"1.2,1,2,3\n', "no CSV"),
        ("seriesuid,x,y,z,diameter_mm\n1.2,,,,5\n", "row 2: it has a size and no place"),
        ("seriesuid,x,y,z\n1.2,1,5,2,3\n", "row 2: it has more cells than there are columns"),
        ("file,x,y,column,row\na,1,2,3,4\n", "row 2: it has its place twice"),
        ("seriesuid,coordX,coordY,coordZ,class\n1.2,1,2,3,0\n", "row 1: class is not read"),
        ("file,x,y,width,height\na,1,2,3,4\n", "row 1: boxes (width, height) are not read"),
    ],
)
def test_what_is_wrong_is_told_by_row(table, content, said):
    with pytest.raises(NodeError) as caught:
        read_lesions(table(content))
    assert caught.value.fault is LESIONS_WRONG
    assert said in str(caught.value)


def volume_of(volumes) -> tuple[Path, str, np.ndarray]:
    """Return the data, a series, and the place of its middle voxel in LPS mm, by pydicom alone."""
    folder, _ = volumes
    files = sorted((folder / "case-0001" / "images").glob("*.dcm"))
    slices = sorted((pydicom.dcmread(one) for one in files), key=lambda one: one.ImagePositionPatient[2])
    one = slices[len(slices) // 2]
    rows, columns = (float(mm) for mm in one.PixelSpacing)
    at = np.array(one.ImagePositionPatient, float)
    along, down = np.array(one.ImageOrientationPatient, float).reshape(2, 3)
    at = at + along * columns * (one.Columns // 2) + down * rows * (one.Rows // 2)
    return folder, str(one.SeriesInstanceUID), at


def test_a_place_in_mm_lies_where_the_slices_say_and_answers_an_engine(volumes, table):
    folder, series, (x, y, z) = volume_of(volumes)
    path = table(f"seriesuid,coordX,coordY,coordZ,diameter_mm\n{series},{x},{y},{z},6.5\n9.9,1,2,3,4\n")
    data = with_lesions(read_labelled([folder]), path, ["nodule"])
    (study,) = [one for one in data.studies if any(s.facts.series_instance_uid == series for s in one.stacks)]
    (said,) = [one for one in study.annotations if one.kind is AnnotationKind.TABLE]
    (region,) = said.regions
    assert (region.kind, region.label) == (RegionKind.POINT, "nodule")
    (stack,) = [one for one in study.stacks if one.facts.series_instance_uid == series]
    truth = true_lesions(lesion(), labels_for(study, stack, stack.placement.grid))
    (found,) = truth.lesions
    assert found.centre_lps_mm == pytest.approx((x, y, z))
    assert found.diameter_mm == pytest.approx(6.5)
    assert [one.code for one in data.set_aside if one.code == LESION_ROW_UNUSED.code] == ["DN-7132"]


def test_a_row_of_none_makes_a_study_healthy_and_no_row_leaves_it_unknown(volumes, table):
    folder, series, _ = volume_of(volumes)
    before = read_labelled([folder])
    data = with_lesions(before, table(f"seriesuid,x,y,z\n{series},,,\n"), ["nodule"])
    for study in data.studies:
        for stack in study.stacks:
            truth = true_lesions(lesion(), labels_for(study, stack, None))
            if stack.facts.series_instance_uid == series:
                assert truth.lesions == ()
            else:
                assert truth is None
    assert data.digest != before.digest


def test_pixels_of_a_picture_are_places_in_its_plane(films, table):
    path = min(films.glob("*/images/*.dcm"))
    header = pydicom.dcmread(path, stop_before_pixels=True)
    mm = float(header.PixelSpacing[0])
    content = f"file,column,row,diameter_px\n{path.relative_to(films).as_posix()},10,20,6\n"
    data = with_lesions(read_labelled([films]), table(content), ["opacity"], [films])
    (said,) = [one for study in data.studies for one in study.annotations if one.kind is AnnotationKind.TABLE]
    (region,) = said.regions
    assert region.points_lps_mm[0] == pytest.approx((10 * mm, 20 * mm, 0.0))
    assert region.measurements[0].value == pytest.approx(6 * mm)


def test_places_beside_the_images_and_slices_that_are_not_said_are_told_together(volumes, table):
    folder, series, (x, y, z) = volume_of(volumes)
    content = (
        f"seriesuid,x,y,z,column,row\n{series},{x + 9000},{y},{z},,\n{series},,,,4,5\n{series},{x},{y},,,\n"
    )
    with pytest.raises(NodeError) as caught:
        with_lesions(read_labelled([folder]), table(content), ["nodule"])
    text = str(caught.value)
    assert caught.value.fault is LESIONS_WRONG
    assert "row 2: its place lies outside the images" in text
    assert "row 3: columns and rows need the slice" in text
    assert "row 4: coordZ is missing" in text
    assert series not in text


def slices_of(folder: Path) -> list[pydicom.Dataset]:
    files = (folder / "case-0001" / "images").glob("*.dcm")
    return sorted(map(pydicom.dcmread, files), key=lambda one: one.ImagePositionPatient[2])


def test_a_column_and_row_of_a_slice_lie_where_the_slice_lies_and_not_on_its_neighbour(volumes, table):
    folder, _ = volumes
    for one in slices_of(folder)[:3]:
        content = f"SOPInstanceUID,column,row\n{one.SOPInstanceUID},3,5\n"
        data = with_lesions(read_labelled([folder]), table(content), ["nodule"])
        (said,) = [
            said for study in data.studies for said in study.annotations if said.kind is AnnotationKind.TABLE
        ]
        down_mm, across_mm = (float(mm) for mm in one.PixelSpacing)
        along, down = np.array(one.ImageOrientationPatient, float).reshape(2, 3)
        at = np.array(one.ImagePositionPatient, float) + along * across_mm * 3 + down * down_mm * 5
        assert said.regions[0].points_lps_mm[0] == pytest.approx(tuple(at), abs=1e-3)


def test_places_off_their_slice_and_slices_without_any_are_told(volumes, table):
    folder, _ = volumes
    first, other = slices_of(folder)[0], slices_of(folder)[4]
    place = ",".join(str(float(one)) for one in other.ImagePositionPatient)
    off = told(folder, table(f"SOPInstanceUID,x,y,z\n{first.SOPInstanceUID},{place}\n"))
    assert "row 2: its place lies off the slice that its key names" in str(off)
    none = told(folder, table(f"SOPInstanceUID,x,y,z\n{first.SOPInstanceUID},,,\n"))
    assert "that one slice has none says nothing of the others" in str(none)


def told(folder: Path, path: Path) -> NodeError:
    with pytest.raises(NodeError) as caught:
        with_lesions(read_labelled([folder]), path, ["nodule"], [folder])
    assert caught.value.fault is LESIONS_WRONG
    return caught.value


@pytest.fixture
def frames(tmp_path) -> tuple[Path, tuple[float, float, float]]:
    """One object of several frames, off the origin, and a place in it."""
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    affine[:3, 3] = 100.0
    grid = Grid((6, 16, 16), affine, "1.2.9")
    write_enhanced(np.zeros(grid.shape_kji), grid, tmp_path / "data" / "a.dcm", seed=1)
    x, y, z = (float(one) for one in grid.to_lps_mm([4.0, 5.0, 6.0]))
    return tmp_path / "data", (x, y, z)


def test_an_object_of_several_frames_is_one_key_and_not_a_lesion_a_frame(frames, table):
    folder, (x, y, z) = frames
    path = table(f"file,x,y,z,diameter_mm\na.dcm,{x},{y},{z},6\n")
    data = with_lesions(read_labelled([folder]), path, ["nodule"], [folder])
    (said,) = [one for one in data.studies[0].annotations if one.kind is AnnotationKind.TABLE]
    assert [one.points_lps_mm[0] for one in said.regions] == [pytest.approx((x, y, z))]
    pixels = told(folder, table("file,column,row\na.dcm,5,6\n"))
    assert "of an object of several frames give coordX" in str(pixels)


def test_places_that_would_lie_inside_in_ras_are_told_so(frames, table):
    folder, (x, y, z) = frames
    assert "is it RAS" in str(told(folder, table(f"file,x,y,z\na.dcm,{-x},{-y},{z}\n")))
    assert "RAS" not in str(told(folder, table(f"file,x,y,z\na.dcm,{x + 900},{y},{z}\n")))


def test_none_and_some_of_one_series_contradict_each_other(volumes, table):
    folder, series, (x, y, z) = volume_of(volumes)
    with pytest.raises(NodeError) as caught:
        with_lesions(
            read_labelled([folder]),
            table(f"seriesuid,x,y,z\n{series},,,\n{series},{x},{y},{z}\n"),
            ["nodule"],
        )
    assert "another row says that there is none" in str(caught.value)


def test_a_table_of_other_data_is_refused(volumes, table):
    folder, _ = volumes
    with pytest.raises(NodeError) as caught:
        with_lesions(read_labelled([folder]), table("seriesuid,x,y,z\n9.9,1,2,3\n"), ["nodule"])
    assert caught.value.fault is LESIONS_OF_OTHERS


def test_where_several_things_are_looked_for_rows_must_say_what_they_are(volumes, table):
    folder, series, (x, y, z) = volume_of(volumes)
    content = f"seriesuid,x,y,z\n{series},{x},{y},{z}\n"
    with pytest.raises(NodeError) as caught:
        with_lesions(read_labelled([folder]), table(content), ["nodule", "cyst"])
    assert caught.value.fault is LESIONS_UNNAMED
    named = f"seriesuid,x,y,z,label\n{series},{x},{y},{z},cyst\n"
    data = with_lesions(read_labelled([folder]), table(named), ["nodule", "cyst"])
    said = [one for study in data.studies for one in study.annotations if one.kind is AnnotationKind.TABLE]
    assert said[0].regions[0].label == "cyst"
