"""Which files annotate images, and which of several stacks each is put on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from dicomnode.assemble import read_studies
from dicomnode.assemble.annotations import read_annotations
from dicomnode.faults import NodeError
from dicomnode.values import Code, MadeBy
from tests.unit.assemble.annotations.objects import (
    blob,
    by_highdicom,
    hd_file,
    read_in,
    stacks_in,
    the_annotation,
    write_images,
)
from tests.unit.report.sources import Series

SMALL = Series(shape_kji=(8, 12, 14))
LIVER = Code("10200004", "SCT", "Liver")


def _second_echo(ds: Dataset, _: int) -> None:
    ds.EchoTime = "20"
    ds.SOPInstanceUID = f"{ds.SOPInstanceUID[:50]}.2"


def test_of_stacks_at_one_place_the_one_whose_images_are_named_is_meant(tmp_path: Path) -> None:
    first = Series(shape_kji=SMALL.shape_kji, extra={"EchoTime": "10"})
    second = Series(shape_kji=SMALL.shape_kji, edit=_second_echo)
    write_images(first, tmp_path)
    images = write_images(second, tmp_path)
    stacks = stacks_in(tmp_path / "images")
    assert len(stacks) == 2
    hd_file(by_highdicom(images, blob(SMALL.shape_kji).astype(np.uint8)), tmp_path / "seg.dcm")
    annotation = the_annotation(tmp_path)
    meant = next(one for one in stacks if one.headers[0].sop_instance_uid.endswith(".2"))
    assert (annotation.of_series, annotation.of_stack) == (second.uid("series"), meant.facts.stack)


def test_without_images_all_annotations_are_set_aside(tmp_path: Path) -> None:
    images = write_images(SMALL, tmp_path)
    hd_file(by_highdicom(images, blob(SMALL.shape_kji).astype(np.uint8)), tmp_path / "seg.dcm")
    reading = read_in(tmp_path, [])
    assert not reading.annotations
    assert [one.code for one in reading.set_aside] == ["DN-7001"]


def test_progress_reaches_its_end(tmp_path: Path) -> None:
    write_images(SMALL, tmp_path)
    told: list[tuple[str, int, int]] = []
    read_annotations([tmp_path], [], lambda *what: told.append(what))
    assert told[0] == ("reading annotations", 0, 8)
    assert told[-1] == ("reading annotations", 8, 8)


def test_a_path_that_does_not_exist_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="DN-3015"):
        read_annotations([tmp_path / "nothing"], [])


# ── Real objects, as other programs wrote them ──


def annotations_of(images: Path, objects: Path, name: str):
    """What one file says, with the images of a folder."""
    stacks = [
        stack for study in read_studies([images]).studies for one in study.series for stack in one.stacks
    ]
    reading = read_annotations([objects / name], stacks)
    assert not reading.set_aside
    (annotation,) = reading.annotations
    return annotation


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "voxels"),
    [("liver.dcm", [107098]), ("partial_overlaps.dcm", [9602, 11888, 10743, 6693, 4713])],
)
def test_segmentations_of_dcmqi_have_the_voxels_that_pydicom_finds(real_data, name: str, voxels) -> None:
    folder = real_data("seg-sr-pm-dcmqi")
    annotation = annotations_of(folder / "ct-3slice", folder / "seg", name)
    assert [one.mask.count for one in annotation.segments] == voxels
    assert annotation.made_by in {MadeBy.SEMI, MadeBy.PERSON}


@pytest.mark.real_data
@pytest.mark.parametrize("images", ["image", "multiframe"])
@pytest.mark.parametrize("name", ["sparse-labelmap-noppv.dcm", "sparse-labelmap-ppv5.dcm"])
def test_label_maps_of_dcmqi_lie_on_slices_and_on_frames(real_data, images: str, name: str) -> None:
    folder = real_data("seg-sr-pm-dcmqi")
    annotation = annotations_of(folder / "24x38x3" / images, folder / "seg", name)
    (liver,) = annotation.segments  # Background is no segment
    assert (liver.type, liver.mask.count) == (LIVER, 630)


@pytest.mark.real_data
def test_a_segmentation_of_slicer_lies_on_its_pet(real_data) -> None:
    folder = real_data("pet-qin-headneck")
    reading = read_annotations([folder], stacks_in(folder))
    (annotation,) = reading.annotations
    assert [one.label for one in annotation.segments] == ["Neoplasm, Primary", "Neoplasm, Secondary"]
    assert [one.mask.count for one in annotation.segments] == [54, 212]
