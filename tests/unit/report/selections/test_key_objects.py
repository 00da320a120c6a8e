"""Key objects: the images that a viewer opens on, the surest finding first, and what else is named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import EnhancedSRStorage, SegmentationStorage

from dicomnode.report.heading.headers import read_heading
from dicomnode.report.heading.identity import Imprint, apply_identity, mark_of, to_bytes
from dicomnode.report.selections import key_objects
from dicomnode.report.selections.key_objects import build_key_objects
from dicomnode.report.uids import ResultUids
from dicomnode.report.words.sentences import largest_slice
from dicomnode.store.foreign import strict
from dicomnode.values import Findings, Mask, Outcome, Region, RegionKind, Segment
from tests.unit.report.kinds import KINDS
from tests.unit.report.on_pictures import at, on_picture
from tests.unit.report.sources import NODULE, SALT, Series, findings, not_analysed, nothing_found
from tests.unit.report.test_multi_frame import on_frames


def read(found: Findings, made: Sequence[Dataset] = (), *, for_a_look: bool = False) -> Dataset | None:
    imprint = Imprint(found, read_heading(found, "ISO_IR 100"), SALT, for_a_look)
    uids = ResultUids.of(found, SALT, "KOS", "of interest")
    with strict():
        documents = build_key_objects(imprint, uids, 9010, made)
    for one in documents:
        apply_identity(one, imprint, uids, "KOS")
    return dcmread(BytesIO(to_bytes(documents[0]))) if documents else None


def named(document: Dataset | None) -> list[tuple[str, str, list[int]]]:
    """Value type, SOP Instance UID and frames of each reference, in order."""
    assert document is not None
    found = []
    for item in document.ContentSequence:
        for one in item.get("ReferencedSOPSequence", ()):
            frames = one.get("ReferencedFrameNumber", [])
            frames = [int(frames)] if isinstance(frames, int) else [int(n) for n in frames]
            found.append((str(item.ValueType), str(one.ReferencedSOPInstanceUID), frames))
    return found


def description(document: Dataset | None) -> list[str]:
    assert document is not None
    (text,) = [item for item in document.ContentSequence if item.ValueType == "TEXT" and is_description(item)]
    return str(text.TextValue).split("\n")


def is_description(item: Dataset) -> bool:
    return bool(item.ConceptNameCodeSequence[0].CodeValue == "113012")


def uid_of(found: Findings, k: int) -> str:
    return found.sources[0].frames[k].sop_instance_uid


def lesion(found: Findings, label: str, k: int, score: float | None, size: int = 2) -> Segment:
    grid = found.sources[0].grid
    assert grid is not None
    mask = np.zeros(grid.shape_kji, dtype=bool)
    mask[k, 3 : 3 + size, 4:6] = True
    mask[max(k - 1, 0), 3, 4] = True
    return replace(
        found.segments[2], label=label, mask=Mask.from_array(mask), score=score, tracking_uid=f"1.2.{k}"
    )


def test_it_is_of_interest_and_opens_on_the_largest_extent_of_the_finding() -> None:
    found = findings()
    document = read(found)
    assert document is not None
    assert document.ConceptNameCodeSequence[0].CodeValue == "113000"
    assert document.ContentTemplateSequence[0].TemplateIdentifier == "2010"
    assert named(document) == [("IMAGE", uid_of(found, 6), [])]  # 13 voxels there, 12 on the next
    assert largest_slice(found.segments[2]) == 6
    assert description(document)[0].startswith("nodule-1: Nodule, right lung")
    assert description(document)[-1] == mark_of(found)


def test_the_surest_finding_comes_first_and_of_equal_ones_the_largest() -> None:
    found = findings()
    lesions = (
        lesion(found, "b", 2, 0.5, size=2),
        lesion(found, "c", 8, 0.5, size=4),
        lesion(found, "d", 4, None, size=9),
        lesion(found, "a", 9, 0.9),
    )
    document = read(replace(found, segments=(*found.segments[:2], *lesions)))
    assert [uid for _, uid, _ in named(document)] == [uid_of(found, k) for k in (9, 8, 2, 4)]
    assert [line.split(":")[0] for line in description(document)[:4]] == ["a", "c", "b", "d"]


def test_findings_on_one_image_name_it_once() -> None:
    found = findings()
    two = (lesion(found, "a", 5, 0.9), lesion(found, "b", 5, 0.8, size=3))
    document = read(replace(found, segments=two))
    assert named(document) == [("IMAGE", uid_of(found, 5), [])]
    assert len(description(document)) == 3


def test_more_findings_than_anybody_looks_at_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_objects, "MOST_FINDINGS", 2)
    found = findings()
    many = tuple(lesion(found, f"n{k}", k, 0.1 * k) for k in range(1, 6))
    document = read(replace(found, segments=many))
    assert [uid for _, uid, _ in named(document)] == [uid_of(found, 5), uid_of(found, 4)]
    assert "3 more findings have no key image here." in description(document)


def test_other_objects_are_named_behind_the_images_and_stand_in_the_evidence() -> None:
    found = findings()
    made = []
    for n, (uid, kind) in enumerate(((SegmentationStorage, "SEG"), (EnhancedSRStorage, "SR"))):
        one = Dataset()
        one.SOPClassUID, one.SOPInstanceUID, one.SeriesInstanceUID = uid, f"1.2.3.{n}", f"1.2.4.{n}"
        one.StudyInstanceUID, one.Modality = found.sources[0].study_instance_uid, kind
        one.SeriesDescription = f"lung-ct 1.0.0 {kind}"
        if kind == "SEG":
            one.Rows = one.Columns = 2
        made.append(one)
    document = read(found, made)
    wanted = [("IMAGE", uid_of(found, 6), []), ("IMAGE", "1.2.3.0", []), ("COMPOSITE", "1.2.3.1", [])]
    assert named(document) == wanted
    assert "With them: lung-ct 1.0.0 SEG, lung-ct 1.0.0 SR." in description(document)
    assert document is not None
    (study,) = document.CurrentRequestedProcedureEvidenceSequence
    evidence = {
        (series.SeriesInstanceUID, one.ReferencedSOPInstanceUID)
        for series in study.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    }
    source = (found.sources[0].series_instance_uid, uid_of(found, 6))
    assert evidence == {source, ("1.2.4.0", "1.2.3.0"), ("1.2.4.1", "1.2.3.1")}


def test_frames_of_one_object_are_named_in_one_reference() -> None:
    numbers = (5, 2, 9, 12, 1, 7, 3, 11, 4, 10, 6, 8)
    found = on_frames(numbers)
    two = (lesion(found, "a", 3, 0.9), lesion(found, "b", 7, 0.8))
    assert named(read(replace(found, segments=two))) == [("IMAGE", uid_of(found, 0), [12, 11])]


def test_a_point_is_shown_on_the_slice_that_it_lies_on() -> None:
    found = findings(segments=())
    grid = found.sources[0].grid
    assert grid is not None
    x, y, z = (float(one) for one in grid.to_lps_mm((7.2, 4, 5)))
    spot = Region(
        label="spot",
        kind=RegionKind.POINT,
        points_lps_mm=((x, y, z),),
        type=NODULE,
        tracking_uid="1.2.3",
        tracking_id="Spot",
        algorithm="spots 1",
    )
    assert named(read(replace(found, regions=(spot,)))) == [("IMAGE", uid_of(found, 7), [])]
    outside = replace(spot, points_lps_mm=((x, y, z + 500.0),))
    assert read(replace(found, regions=(outside,))) is None


def test_a_point_of_a_cine_is_shown_on_its_frame() -> None:
    found = on_picture(RegionKind.POINT, at(1, 4, 5))
    assert named(read(found)) == [("IMAGE", uid_of(found, 0), [2])]


def test_a_class_is_shown_on_the_slice_with_the_highest_score_where_it_is_present() -> None:
    found = KINDS["a sequence of slices"][0]
    document = read(found)
    assert named(document) == [("IMAGE", uid_of(found, 4), [])]
    assert description(document)[0] == "Pneumonia: the highest score of 12 slices, 90.0 %."
    absent = replace(found.classifications[0], probability=0.1)
    assert read(replace(found, classifications=(absent,))) is None


@pytest.mark.parametrize(
    "found",
    [
        nothing_found(),
        not_analysed(),
        not_analysed(outcome=Outcome.FAILED),
        findings(segments=findings().segments[:2]),
        KINDS["a class"][0],
        KINDS["an image and features"][0],
    ],
    ids=["nothing", "not-analysed", "failed", "organs", "class", "image"],
)
def test_where_nothing_has_a_place_there_is_none(found: Findings) -> None:
    assert read(found) is None


def test_one_for_a_look_says_so() -> None:
    assert description(read(findings(), for_a_look=True))[0].startswith("Made for a look at findings")


def test_the_same_findings_give_the_same_bytes() -> None:
    first, second = read(findings()), read(findings(Series()))
    assert first == second
