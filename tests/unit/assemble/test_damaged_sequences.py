"""A sequence that cannot be taken apart costs at most its image, never the study, and is no disk fault."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement

from dicomnode.assemble import load_picture, load_volume, read_studies
from dicomnode.faults import NodeError
from tests.fixtures import pictures
from tests.unit.assemble.multi_frame import ENHANCED_PET, enhanced
from tests.unit.assemble.series import Series, write_all

JUNK = b"\1\2\3\4"
PET = "1.2.840.10008.5.1.4.1.1.128"


def damaged(folder: Path, datasets: list[Dataset], keyword: str, vr: str, number: int = 0) -> Path:
    """Write data sets; in one of them a sequence is four bytes that are none."""
    tag = tag_for_keyword(keyword)
    datasets[number][tag] = DataElement(tag, "OB", JUNK)
    path = write_all(datasets, folder)[number]
    content, head = path.read_bytes(), bytes([tag >> 16 & 255, tag >> 24, tag & 255, tag >> 8 & 255])
    assert content.count(head + b"OB") == 1
    path.write_bytes(content.replace(head + b"OB", head + vr.encode()))
    return folder


def stacks_of(folder: Path) -> list:
    return [s for study in read_studies([folder]).studies for one in study.series for s in one.stacks]


@pytest.mark.parametrize("vr", ["SQ", "UN"])
@pytest.mark.parametrize(
    "keyword", ["RadiopharmaceuticalInformationSequence", "RealWorldValueMappingSequence"]
)
def test_another_series_of_the_study_is_read_beside_a_broken_one(tmp_path, keyword, vr):
    Series(number=9).write(tmp_path / "ct")
    damaged(tmp_path / "pet", Series(sop_class=PET, tags={"Modality": "PT"}).datasets(), keyword, vr)
    good = [stack for stack in stacks_of(tmp_path) if stack.headers[0].modality == "CT"]
    assert [len(stack.headers) for stack in good] == [6]
    assert load_volume(good[0]).voxels.shape == (6, 9, 7)


@pytest.mark.parametrize("vr", ["SQ", "UN"])
@pytest.mark.parametrize(
    "keyword",
    ["PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence", "DimensionIndexSequence"],
)
def test_an_object_with_broken_functional_groups_is_refused_or_read_without_them(tmp_path, keyword, vr):
    Series(number=9).write(tmp_path / "ct")
    damaged(tmp_path / "pet", [enhanced([0.0, 1.0, 2.0, 3.0], sop_class=ENHANCED_PET)], keyword, vr)
    found = {stack.headers[0].sop_class_uid: stack for stack in stacks_of(tmp_path)}
    assert len(found) == 2
    refusal = found[ENHANCED_PET].facts.refusal
    assert (refusal is None) == (keyword == "DimensionIndexSequence")


@pytest.mark.parametrize(
    "keyword", ["ReferencedImageSequence", "ProcedureCodeSequence", "RequestAttributesSequence"]
)
def test_a_volume_is_made_and_its_header_kept_without_a_sequence_that_is_none(tmp_path, keyword):
    (stack,) = stacks_of(damaged(tmp_path, Series().datasets(), keyword, "SQ", number=2))
    volume = load_volume(stack)
    assert volume.voxels.shape == (6, 9, 7)
    assert JUNK not in volume.headers.encoded[2]
    assert len(volume.headers.encoded[2]) == len(volume.headers.encoded[1])


@pytest.mark.parametrize(("keyword", "display"), [("ModalityLUTSequence", False), ("VOILUTSequence", True)])
def test_a_picture_whose_table_cannot_be_read_is_refused_by_its_name(tmp_path, keyword, display):
    folder = damaged(tmp_path, [pictures.radiograph()], keyword, "SQ")
    (stack,) = stacks_of(folder)
    with pytest.raises(NodeError) as caught:
        load_picture(stack, display=display)
    assert caught.value.fault.code == "DN-3077"
