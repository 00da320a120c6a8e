"""Segmentations of others, and our own, read back as masks on the images that they were made on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from dicomnode.values import AnnotationKind, Code, MadeBy
from dicomnode.values.codes import LEFT, RIGHT
from tests.unit.assemble.annotations.objects import (
    blob,
    by_highdicom,
    change,
    described,
    hd_file,
    read_in,
    refused,
    the_annotation,
    write_images,
    write_results,
)
from tests.unit.report.sources import LUNG, NODULE, PLANES, Series, findings, masks

SMALL = Series(shape_kji=(8, 12, 14))
every_plane = pytest.mark.parametrize("plane", list(PLANES))


@every_plane
@pytest.mark.parametrize("kind", ["SEG", "LABELMAP"])
def test_what_the_node_wrote_is_read_back_voxel_for_voxel(plane: str, kind: str, tmp_path: Path) -> None:
    series = Series(plane=plane)
    found = findings(series)
    if kind == "LABELMAP":  # which cannot hold the nodule within the lung
        found = replace(found, segments=found.segments[:2])
    write_images(series, tmp_path)
    write_results(found, tmp_path, kind)
    annotation = the_annotation(tmp_path)
    assert annotation.kind is AnnotationKind.SEG
    assert annotation.of_series == series.uid("series")
    assert annotation.grid is not None
    assert annotation.grid.same_as(found.sources[0].grid)
    wanted = masks(series.shape_kji)
    assert [one.label for one in annotation.segments] == [one.label for one in found.segments]
    for segment in annotation.segments:
        assert np.array_equal(segment.mask.to_array(), wanted[segment.label])


def test_a_segment_says_what_it_is_where_it_lies_and_who_drew_it(tmp_path: Path) -> None:
    write_images(Series(), tmp_path)
    found = findings()
    write_results(found, tmp_path, "SEG")
    annotation = the_annotation(tmp_path)
    right, left, nodule = annotation.segments
    assert (right.type, right.laterality, left.laterality) == (LUNG, RIGHT, LEFT)
    assert (nodule.type, nodule.site, nodule.laterality) == (NODULE, LUNG, RIGHT)
    assert nodule.tracking_uid == found.segments[2].tracking_uid
    assert nodule.tracking_id == found.segments[2].tracking_id
    assert {one.made_by for one in annotation.segments} == {MadeBy.MACHINE}
    assert annotation.made_by is MadeBy.MACHINE
    assert annotation.made_at is not None
    assert set(annotation.references) >= {frame.sop_instance_uid for frame in found.sources[0].frames}
    assert annotation.frame_of_reference_uid == Series().uid("frame of reference")


@every_plane
@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_what_highdicom_wrote_is_read_voxel_for_voxel(plane: str, kind: str, tmp_path: Path) -> None:
    series = Series(plane=plane, shape_kji=SMALL.shape_kji)
    images = write_images(series, tmp_path)
    mask = blob(series.shape_kji)
    array = mask.astype(np.float32 if kind == "FRACTIONAL" else np.uint8)
    hd_file(by_highdicom(images, array, kind), tmp_path / "seg.dcm")
    annotation = the_annotation(tmp_path)
    (segment,) = annotation.segments
    assert np.array_equal(segment.mask.to_array(), mask)
    assert segment.made_by is MadeBy.PERSON


def test_of_a_fractional_segment_half_of_the_maximum_and_more_belongs_to_it(tmp_path: Path) -> None:
    images = write_images(SMALL, tmp_path)
    array = np.zeros(SMALL.shape_kji, dtype=np.float32)
    array[2, 3, 4:8] = (0.25, 0.49, 0.5, 1.0)
    seg = by_highdicom(images, array, "FRACTIONAL", max_fractional_value=100)
    hd_file(seg, tmp_path / "seg.dcm")
    annotation = the_annotation(tmp_path)
    (segment,) = annotation.segments
    assert np.argwhere(segment.mask.to_array()).tolist() == [[2, 3, 6], [2, 3, 7]]
    assert any("50 %" in note for note in annotation.notes)


@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless, JPEG2000Lossless, JPEGLSLossless],
    ids=lambda uid: uid.name,
)
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_label_maps_of_all_depths_and_encodings_are_read(syntax: str, depth: type, tmp_path: Path) -> None:
    series = Series(shape_kji=(8, 40, 36))  # JPEG 2000 wants 32 pixels at least
    images = write_images(series, tmp_path)
    labels = np.zeros(series.shape_kji, dtype=depth)
    labels[2:5, 3:7, 2:9], labels[4, 5:9, 6:] = 1, 2
    if depth is np.uint16:
        labels[labels == 2] = 300
    numbers = sorted(int(n) for n in np.unique(labels) if n)
    more = {} if depth is np.uint8 else {"segment_descriptions": [described(n) for n in numbers]}
    seg = by_highdicom(images, labels, "LABELMAP", transfer_syntax_uid=syntax, **more)
    hd_file(seg, tmp_path / "seg.dcm")
    annotation = the_annotation(tmp_path)
    assert [one.number for one in annotation.segments] == numbers
    for segment in annotation.segments:
        assert np.array_equal(segment.mask.to_array(), labels == segment.number)


def test_frames_may_come_in_any_order_and_empty_ones_may_be_there_or_not(tmp_path: Path) -> None:
    images = write_images(SMALL, tmp_path)
    array = np.stack([blob(SMALL.shape_kji), np.zeros(SMALL.shape_kji, bool)], axis=-1).astype(np.uint8)
    for omit in (True, False):
        seg = by_highdicom(images, array, omit_empty_frames=omit)
        pixels = seg.pixel_array[::-1]
        seg.PerFrameFunctionalGroupsSequence = list(seg.PerFrameFunctionalGroupsSequence)[::-1]
        packed = np.packbits(pixels.ravel(), bitorder="little").tobytes()
        seg.PixelData = packed + b"\0" * (len(packed) % 2)
        hd_file(seg, tmp_path / "seg.dcm")
        first, second = the_annotation(tmp_path).segments
        assert np.array_equal(first.mask.to_array(), blob(SMALL.shape_kji))
        assert second.mask.is_empty


@pytest.mark.parametrize("value", [None, 0, 5])
def test_background_of_a_label_map_is_no_segment(value: int | None, tmp_path: Path) -> None:
    images = write_images(SMALL, tmp_path)
    labels = blob(SMALL.shape_kji).astype(np.uint8)
    seg = by_highdicom(images, labels, "LABELMAP")

    def edit(ds: Dataset) -> None:
        if value is None:
            ds.pop("PixelPaddingValue", None)
        else:
            ds.PixelPaddingValue = value

    change(hd_file(seg, tmp_path / "seg.dcm"), edit)
    (segment,) = the_annotation(tmp_path).segments
    assert segment.number == 1
    assert np.array_equal(segment.mask.to_array(), labels == 1)


def test_sides_in_retired_codes_and_beside_the_type_are_sides(tmp_path: Path) -> None:
    images = write_images(SMALL, tmp_path)
    seg = by_highdicom(images, blob(SMALL.shape_kji).astype(np.uint8))
    side = Dataset()
    side.CodeValue, side.CodingSchemeDesignator, side.CodeMeaning = "G-A100", "SRT", "Right"
    kind = Dataset()
    kind.CodeValue, kind.CodingSchemeDesignator, kind.CodeMeaning = "T-62000", "SRT", "Liver"
    kind.SegmentedPropertyTypeModifierCodeSequence = [side]
    seg.SegmentSequence[0].SegmentedPropertyTypeCodeSequence = [kind]
    hd_file(seg, tmp_path / "seg.dcm")
    (segment,) = the_annotation(tmp_path).segments
    assert segment.type == Code("10200004", "SCT", "Liver")
    assert segment.laterality == RIGHT


@pytest.mark.parametrize(
    ("algorithm", "made_by"),
    [("MANUAL", MadeBy.PERSON), ("SEMIAUTOMATIC", MadeBy.SEMI), ("AUTOMATIC", MadeBy.MACHINE)],
)
def test_who_made_a_segment_is_its_algorithm_type(algorithm: str, made_by: MadeBy, tmp_path: Path) -> None:
    images = write_images(SMALL, tmp_path)
    more: dict[str, object] = {"algorithm_type": algorithm}
    if algorithm != "MANUAL":
        family = codes.DCM.ArtificialIntelligence
        more["algorithm_identification"] = hd.AlgorithmIdentificationSequence("A", family, "1")
    seg = by_highdicom(
        images, blob(SMALL.shape_kji).astype(np.uint8), segment_descriptions=[described(1, **more)]
    )
    hd_file(seg, tmp_path / "seg.dcm")
    annotation = the_annotation(tmp_path)
    assert (annotation.made_by, annotation.segments[0].made_by) == (made_by, made_by)


def _set(keyword: str, value: object):
    return lambda ds: setattr(ds, keyword, value)


def _drop(keyword: str):
    return lambda ds: ds.pop(keyword)


def _groups(edit):
    def change_all(ds: Dataset) -> None:
        for group in (*ds.SharedFunctionalGroupsSequence, *ds.PerFrameFunctionalGroupsSequence):
            edit(group)

    return change_all


def _fewer_groups(ds: Dataset) -> None:
    ds.PerFrameFunctionalGroupsSequence = list(ds.PerFrameFunctionalGroupsSequence)[1:]


def _two_of_a_number(ds: Dataset) -> None:
    ds.SegmentSequence = [*ds.SegmentSequence, ds.SegmentSequence[0]]


def _unknown_segment(group: Dataset) -> None:
    for item in group.get("SegmentIdentificationSequence", ()):
        item.ReferencedSegmentNumber = 7


def _no_position(group: Dataset) -> None:
    group.pop("PlanePositionSequence", None)
    group.pop("DerivationImageSequence", None)


def _far_away(group: Dataset) -> None:
    for item in group.get("PlanePositionSequence", ()):
        item.ImagePositionPatient = [9000, 9000, 9000]


DAMAGE = {
    "no segments": (_drop("SegmentSequence"), "DN-7000"),
    "two segments of one number": (_two_of_a_number, "DN-7000"),
    "frames of a segment that is not described": (_groups(_unknown_segment), "DN-7000"),
    "no frames": (_set("NumberOfFrames", 0), "DN-7000"),
    "a frame less than it says": (_fewer_groups, "DN-7003"),
    "more frames than it has": (_set("NumberOfFrames", 10_000), "DN-7003"),
    "a huge number of frames": (_set("NumberOfFrames", 2_000_000_000), "DN-7003"),
    "no functional groups": (_drop("PerFrameFunctionalGroupsSequence"), "DN-7003"),
    "no positions": (_groups(_no_position), "DN-7003"),
    "no pixels": (_drop("PixelData"), "DN-7000"),
    "pixels cut off": (lambda ds: setattr(ds, "PixelData", ds.PixelData[:4]), "DN-7000"),
    "huge frames": (lambda ds: (_set("Rows", 65535)(ds), _set("Columns", 65535)(ds)), "DN-7004"),
    "no rows": (_drop("Rows"), "DN-7004"),
    "another frame of reference": (_set("FrameOfReferenceUID", "1.2.3"), "DN-7002"),
    "a type that nobody knows": (_set("SegmentationType", "FANTASY"), "DN-7007"),
    "no type": (_drop("SegmentationType"), "DN-7007"),
    "all of it beside the images": (_groups(_far_away), "DN-7005"),
    "no UID": (_drop("SeriesInstanceUID"), "DN-3016"),
}


@pytest.mark.parametrize(("edit", "code"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_segmentation_is_set_aside_with_a_row(edit, code: str, tmp_path: Path) -> None:
    images = write_images(SMALL, tmp_path)
    seg = by_highdicom(images, blob(SMALL.shape_kji).astype(np.uint8))
    change(hd_file(seg, tmp_path / "seg.dcm"), edit)
    assert refused(tmp_path) == code


def test_labels_that_are_not_described_are_damage(tmp_path: Path) -> None:
    images = write_images(SMALL, tmp_path)
    seg = by_highdicom(images, blob(SMALL.shape_kji).astype(np.uint8) * 2, "LABELMAP")
    seg.SegmentSequence = [one for one in seg.SegmentSequence if one.SegmentNumber != 2]
    hd_file(seg, tmp_path / "seg.dcm")
    assert refused(tmp_path) == "DN-7000"


@pytest.mark.parametrize("at", [200, 1000, 3000])
def test_a_file_cut_off_is_set_aside(at: int, tmp_path: Path) -> None:
    images = write_images(SMALL, tmp_path)
    seg = by_highdicom(images, blob(SMALL.shape_kji).astype(np.uint8))
    path = hd_file(seg, tmp_path / "seg.dcm")
    path.write_bytes(path.read_bytes()[:at])
    assert refused(tmp_path) in {"DN-3016", "DN-7000", "DN-7003", "DN-7007"}


def test_a_segmentation_of_other_images_is_set_aside(tmp_path: Path) -> None:
    other = Series(shape_kji=SMALL.shape_kji, study="another")
    seg = by_highdicom(other.datasets(), blob(SMALL.shape_kji).astype(np.uint8))
    write_images(SMALL, tmp_path)
    hd_file(seg, tmp_path / "seg.dcm")
    assert refused(tmp_path) == "DN-7001"


def test_images_and_files_of_other_kinds_are_not_told_of(tmp_path: Path) -> None:
    write_images(SMALL, tmp_path)
    (tmp_path / "labels.csv").write_text("study,label\n")
    reading = read_in(tmp_path)
    assert (reading.annotations, reading.set_aside) == ((), ())


def test_a_segment_of_which_no_voxel_is_left_is_left_out_and_an_empty_one_stays(tmp_path: Path) -> None:
    """The images are the first slices only: the second segment lies beside them, the third is empty."""
    series = Series(plane="axial")
    datasets = series.datasets()
    mask = np.zeros((*series.shape_kji, 3), dtype=np.uint8)
    mask[0, 2:5, 2:5, 0] = 1
    mask[-1, 2:5, 2:5, 1] = 1
    segmentation = by_highdicom(datasets, mask, omit_empty_frames=False)
    (tmp_path / "images").mkdir()
    for ds in datasets[:-2]:
        hd_file(ds, tmp_path / "images" / f"{ds.SOPInstanceUID}.dcm")
    hd_file(segmentation, tmp_path / "seg.dcm")
    annotation = the_annotation(tmp_path)
    assert [(one.number, one.mask.is_empty) for one in annotation.segments] == [(1, False), (3, True)]
    assert any("not taken as empty" in note for note in annotation.notes)
