"""The regions of maps are those of the standard, and of what has no side."""

from __future__ import annotations

import pytest
from pydicom.sr._concepts_dict import concepts as dictionary

from dicomnode.report.fields.anatomy import REGIONS, frame_anatomy
from tests.unit.report.fields.fields import maps_of, with_map
from tests.unit.report.sources import Series


@pytest.mark.parametrize("part", sorted(REGIONS))
def test_each_region_is_in_the_dictionary(part: str) -> None:
    code = REGIONS[part]
    of_scheme = dictionary[code.scheme]
    assert code.meaning in {
        meanings[code.value][0] for meanings in of_scheme.values() if code.value in meanings
    }


def test_a_map_says_which_part_of_the_body_it_shows() -> None:
    def region(body_part: str) -> str:
        (made,) = maps_of(with_map(Series(extra={"BodyPartExamined": body_part})))
        (anatomy,) = made.SharedFunctionalGroupsSequence[0].FrameAnatomySequence
        assert anatomy.FrameLaterality == "U"
        return str(anatomy.AnatomicRegionSequence[0].CodeMeaning)

    assert region("CHEST") == "Chest"
    assert region("ELSEWHERE") == region("") == "Anatomical Structure"
    assert frame_anatomy("HEAD").AnatomicRegionSequence[0].CodeMeaning == "Head"
