"""Whose words are feedback on a result of ours, by what, and which never are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dicomnode.evaluate.feedback import OwnObject, RecognisedBy, recognise
from dicomnode.values import AnnotationKind, Code, MadeBy, Mask
from tests.unit.evaluate.feedback.world import (
    A_LITTLE,
    ASSESSMENT,
    FIRST,
    OUR_SEG,
    OUR_SR,
    REPORTED,
    SECOND,
    THEIRS,
    WRITTEN,
    group,
    result,
    seg,
    sr,
    theirs,
)

STRANGE = {"tracking_uid": None, "tracking_id": None, "label": "Segment_1"}
NEW_UIDS = {"tracking_uid": "1.9.77"}
ACCEPTED = (ASSESSMENT, Code("A1", "99SITE", "AI Result Accepted"))

FEEDBACK = {
    "a segmentation that was corrected": (seg(theirs(1, A_LITTLE)), RecognisedBy.TRACKING),
    "one that a machine changed, and no person said so": (
        seg(theirs(1, A_LITTLE, made_by=MadeBy.MACHINE)), RecognisedBy.TRACKING,
    ),
    "one that is the same, in the hand of a person": (
        seg(theirs(1, FIRST), theirs(2, SECOND)), RecognisedBy.TRACKING,
    ),
    "one that lost what we called things, and names ours": (
        seg(theirs(1, A_LITTLE, **STRANGE), references=(OUR_SEG,)), RecognisedBy.REFERENCE,
    ),
    "one whose UIDs are new, with our identifiers on our series": (
        seg(theirs(1, A_LITTLE, **NEW_UIDS)), RecognisedBy.SERIES,
    ),
    "a verified report": (sr(group(1), verified=True), RecognisedBy.TRACKING),
    "an edited report in place of ours": (
        sr(group(1, tracking_uid="1.9.5", type=None, segment=None), predecessors=(OUR_SR,)),
        RecognisedBy.PREDECESSOR,
    ),
    "a report on a segment of ours": (
        sr(group(1, tracking_uid="1.9.5"), verified=True), RecognisedBy.REFERENCE,
    ),
    "an assessment that names our report": (
        sr(answers=(ACCEPTED,), references=(OUR_SR,)), RecognisedBy.REFERENCE,
    ),
}  # fmt: skip

# What an archive, a workstation or a migration sends without anybody having said a word
COPIES = {
    "our segmentation itself": WRITTEN,
    "our report itself": REPORTED,
    "our UID, whatever is in it": replace(WRITTEN, segments=(theirs(1, A_LITTLE),)),
    "our segmentation under a new UID": replace(WRITTEN, sop_instance_uid=THEIRS),
    "with its segments in another order": replace(
        WRITTEN, sop_instance_uid=THEIRS, segments=WRITTEN.segments[::-1]
    ),
    "in another series, with another title": replace(
        WRITTEN, sop_instance_uid=THEIRS, series_instance_uid="1.9.3", title="copied"
    ),
    "our report under a new UID": replace(REPORTED, sop_instance_uid=THEIRS),
    "with its groups in another order": replace(
        REPORTED, sop_instance_uid=THEIRS, regions=REPORTED.regions[::-1]
    ),
    "with its numbers rounded to sixteen characters": replace(
        REPORTED,
        sop_instance_uid=THEIRS,
        regions=(
            group(1, measurements=(replace(group(1).measurements[0], value=0.288000000001),)),
            *REPORTED.regions[1:],
        ),
    ),
}  # fmt: skip

OF_OTHERS = {
    "somebody's own segmentation of the series": seg(theirs(1, FIRST, **STRANGE)),
    "a report on something else": sr(group(1, tracking_uid="1.9.5", tracking_id="x", segment=None)),
    "another study": replace(seg(theirs(1, A_LITTLE)), study_instance_uid="1.9.9"),
    "our identifiers on another series": seg(theirs(1, A_LITTLE, **NEW_UIDS), of_series="1.9.8"),
}


@pytest.mark.parametrize(("annotation", "by"), FEEDBACK.values(), ids=FEEDBACK)
def test_an_answer_to_a_result_is_known_by(annotation, by):
    (feedback,) = recognise(annotation, [result()])
    assert feedback.by is by


@pytest.mark.parametrize("annotation", COPIES.values(), ids=COPIES)
def test_our_own_objects_that_come_back_are_no_feedback(annotation):
    assert recognise(annotation, [result()]) == ()


@pytest.mark.parametrize("annotation", OF_OTHERS.values(), ids=OF_OTHERS)
def test_what_does_not_speak_of_our_results_is_no_feedback(annotation):
    assert recognise(annotation, [result()]) == ()


def test_a_copy_of_what_an_earlier_version_said_is_no_feedback_on_the_later_one():
    earlier = result(
        objects=(OwnObject(sop_instance_uid="2.25.50", said=replace(WRITTEN, sop_instance_uid="2.25.50")),)
    )
    changed = replace(WRITTEN, segments=(theirs(1, A_LITTLE, made_by=MadeBy.MACHINE),))
    later = result(version=2, objects=(OwnObject(sop_instance_uid=OUR_SEG, said=changed),))
    assert recognise(replace(WRITTEN, sop_instance_uid=THEIRS), [earlier, later]) == ()


def test_without_our_file_a_copy_is_still_known_by_its_uid():
    lost = result(objects=(OwnObject(sop_instance_uid=OUR_SEG), OwnObject(sop_instance_uid=OUR_SR)))
    assert recognise(WRITTEN, [lost]) == ()
    assert recognise(seg(theirs(1, A_LITTLE)), [lost])


def test_of_several_versions_that_counts_which_is_named_then_the_latest():
    first = result(objects=(OwnObject(sop_instance_uid="2.25.50"),))
    second = result(version=2)
    (by_tracking,) = recognise(seg(theirs(1, A_LITTLE)), [first, second])
    assert by_tracking.own is second
    named = seg(theirs(1, A_LITTLE, **STRANGE), references=("2.25.50",))
    (by_name,) = recognise(named, [first, second])
    assert by_name.own is first


def test_one_object_may_answer_two_engines_and_what_both_missed_counts_once():
    other = result("other", objects=(OwnObject(sop_instance_uid="2.25.60"),))
    found = recognise(seg(theirs(1, A_LITTLE)), [result(), other])
    assert sorted(one.own.engine for one in found) == ["lung-ct", "other"]
    assert sorted(one.tells_missed for one in found) == [False, True]


@pytest.mark.parametrize(
    ("annotation", "replaces"),
    [
        (seg(theirs(1, A_LITTLE)), True),
        (sr(group(1), verified=True), False),
        (sr(group(1), predecessors=(OUR_SR,)), True),
    ],
)
def test_what_a_report_leaves_out_is_taken_away_only_where_it_stands_in_place_of_ours(annotation, replaces):
    assert recognise(annotation, [result()])[0].replaces is replaces


def test_an_emptied_segment_is_a_word_too():
    nothing = Mask.from_array(FIRST.to_array() & False)
    assert recognise(seg(theirs(1, nothing)), [result()])
    assert WRITTEN.kind is AnnotationKind.SEG
