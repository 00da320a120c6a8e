"""Reports that are no measurement reports, damaged ones, and those of other images are set aside."""

from __future__ import annotations

from pathlib import Path

import pytest
from highdicom import sr
from pydicom import Dataset
from pydicom.sr.codedict import codes

from dicomnode.values import Annotation
from tests.unit.assemble.annotations.objects import change, refused, the_annotation, write_images
from tests.unit.assemble.annotations.reporting import SMALL, group_of, on, planar, report
from tests.unit.report.sources import Series


def _retitled(ds: Dataset) -> None:
    ds.pop("ContentTemplateSequence")
    ds.ConceptNameCodeSequence[0].CodeValue = "121000"


def _deep(ds: Dataset) -> None:
    item = next(one for one in ds.ContentSequence if one.ValueType == "CONTAINER")
    for _ in range(30):
        inner = Dataset()
        inner.ValueType, inner.RelationshipType = "CONTAINER", "CONTAINS"
        item.ContentSequence, item = [inner], inner


def _coordinates(edit):
    return lambda ds: edit(next(one for one in group_of(ds).ContentSequence if one.ValueType == "SCOORD"))


DAMAGE = {
    "another title": (_retitled, "DN-7006"),
    "another class": (
        lambda ds: (
            setattr(ds, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.88.67"),
            setattr(ds.file_meta, "MediaStorageSOPClassUID", "1.2.840.10008.5.1.4.1.1.88.67"),
        ),
        "DN-7006",
    ),
    "a point and a half": (_coordinates(lambda one: setattr(one, "GraphicData", [1.0, 2.0, 3.0])), "DN-7000"),
    "no coordinates": (_coordinates(lambda one: one.pop("GraphicData")), "DN-7000"),
    "a shape that nobody knows": (_coordinates(lambda one: setattr(one, "GraphicType", "STAR")), "DN-7000"),
    "a line of one point": (_coordinates(lambda one: setattr(one, "GraphicType", "POLYLINE")), "DN-7000"),
    "coordinates beyond any image": (
        _coordinates(lambda one: setattr(one, "GraphicData", [1e30, 2.0])),
        "DN-7000",
    ),
    "an image that is not here": (
        _coordinates(
            lambda one: setattr(
                one.ContentSequence[0].ReferencedSOPSequence[0], "ReferencedSOPInstanceUID", "1.2.3"
            )
        ),
        "DN-7001",
    ),
}


@pytest.mark.parametrize(("edit", "code"), DAMAGE.values(), ids=DAMAGE)
def test_what_is_no_measurement_report_or_damaged_is_set_aside(edit, code: str, tmp_path: Path) -> None:
    images = write_images(SMALL, tmp_path)
    path = report(images, [planar(on(images[3], "POINT", (5.5, 6.5)))], tmp_path)
    change(path, edit)
    assert refused(tmp_path) == code


def test_a_report_on_other_images_is_set_aside(tmp_path: Path) -> None:
    other = Series(shape_kji=SMALL.shape_kji, study="another").datasets()
    write_images(SMALL, tmp_path)
    report(other, [planar(on(other[3], "POINT", (5.5, 6.5)))], tmp_path)
    assert refused(tmp_path) == "DN-7001"


def test_a_number_without_a_value_is_told(tmp_path: Path) -> None:
    images = write_images(SMALL, tmp_path)
    length = sr.Measurement(codes.SCT.Length, 2.8, codes.UCUM.Millimeter)
    path = report(images, [planar(on(images[3], "POINT", (5.5, 6.5)), measurements=[length])], tmp_path)

    def edit(ds: Dataset) -> None:
        number = next(one for one in group_of(ds).ContentSequence if one.ValueType == "NUM")
        number.MeasuredValueSequence = []

    change(path, edit)
    annotation: Annotation = the_annotation(tmp_path)
    assert annotation.regions[0].measurements == ()
    assert "1 measurement(s)" in annotation.notes[0]
