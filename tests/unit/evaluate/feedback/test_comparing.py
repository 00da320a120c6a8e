"""What became of each finding in somebody's hands; figures recomputed by plain numpy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dicomnode.evaluate.feedback import JudgementKind, OwnObject, compare, recognise
from dicomnode.values import AnnotatedRegion, Code, Grid, Mask, RegionKind
from dicomnode.values.codes import LEFT
from tests.unit.evaluate.feedback.world import (
    A_LITTLE,
    ABSENT,
    ASSESSMENT,
    CANCER,
    CLASS_GROUP,
    ELSEWHERE,
    FIRST,
    GRID,
    LUNG,
    MASS,
    NODULE,
    OUR_SEG,
    OUR_SR,
    SECOND,
    SPACE,
    THEIRS,
    found,
    group,
    ours,
    region,
    result,
    seg,
    sr,
    theirs,
    volume,
)

A, C, R, M = JudgementKind.ACCEPTED, JudgementKind.CHANGED, JudgementKind.REJECTED, JudgementKind.MISSED
NOTHING = Mask.from_array(np.zeros(GRID.shape_kji, dtype=bool))
# 144 of 143 voxels: Dice 286 / 287
NEARLY = FIRST.to_array().copy()
NEARLY[2, 2, 2] = False
SAME = (theirs(1, FIRST), theirs(2, SECOND))


def said(meaning: str) -> tuple[Code, Code]:
    return ASSESSMENT, Code(meaning[:16], "99SITE", meaning)


def judged(annotation, own=None, beside=()):
    (feedback,) = recognise(annotation, [own or result()])
    return {one.finding: one for one in compare(feedback, beside)}


def kinds(annotation, own=None):
    return {finding: one.kind for finding, one in judged(annotation, own).items()}


CASES = {
    "left as they were": (seg(*SAME), {"2.25.7": A, "2.25.8": A}),
    "rounded at a corner": (seg(theirs(1, Mask.from_array(NEARLY)), SAME[1]), {"2.25.7": A, "2.25.8": A}),
    "one outlined anew": (seg(theirs(1, A_LITTLE), SAME[1]), {"2.25.7": C, "2.25.8": A}),
    "one taken away": (seg(SAME[1]), {"2.25.7": R, "2.25.8": A}),
    "one emptied": (seg(theirs(1, NOTHING), SAME[1]), {"2.25.7": R, "2.25.8": A}),
    "one of another type": (seg(theirs(1, FIRST, type=MASS), SAME[1]), {"2.25.7": C, "2.25.8": A}),
    "a side that we did not say": (
        seg(theirs(1, FIRST, laterality=LEFT), SAME[1]), {"2.25.7": C, "2.25.8": A},
    ),
    "one more": (
        seg(*SAME, theirs(3, ELSEWHERE, tracking_uid="1.9.3")), {"2.25.7": A, "2.25.8": A, "1.9.3": M},
    ),
    "one more without a name": (
        seg(*SAME, theirs(3, ELSEWHERE, tracking_uid=None, label="new")),
        {"2.25.7": A, "2.25.8": A, "segment 3": M},
    ),
    "names and UIDs lost, places kept": (
        seg(
            theirs(5, SECOND, tracking_uid=None, label="s5"),
            theirs(6, A_LITTLE, tracking_uid=None, label="s6"),
            references=(OUR_SEG,),
        ),
        {"2.25.7": C, "2.25.8": A},
    ),
    "verified": (
        sr(group(1), group(2), CLASS_GROUP, verified=True, predecessors=(OUR_SR,)),
        {"2.25.7": A, "2.25.8": A, "2.25.9": A},
    ),
    "verified without one group": (
        sr(group(1), CLASS_GROUP, verified=True, predecessors=(OUR_SR,)),
        {"2.25.7": A, "2.25.8": R, "2.25.9": A},
    ),
    "edited: a number, a type, a class": (
        sr(
            group(1, measurements=(volume(0.4),)), group(2, type=MASS),
            replace(CLASS_GROUP, answers=((CANCER, ABSENT),)), predecessors=(OUR_SR,),
        ),
        {"2.25.7": C, "2.25.8": C, "2.25.9": C},
    ),
    "somebody's own report on one of them": (sr(group(1, measurements=()), verified=True), {"2.25.7": A}),
    "by segment, under a UID of his own": (
        sr(group(2, tracking_uid="1.9.4", measurements=()), verified=True), {"2.25.8": A},
    ),
    "each assessed": (
        sr(group(1, answers=(said("Accepted"),)), group(2, answers=(said("Rejected: false positive"),))),
        {"2.25.7": A, "2.25.8": R},
    ),
    "the whole assessed": (
        sr(answers=(said("AI Result Rejected"),), references=(OUR_SR,)), {"2.25.7": R, "2.25.8": R},
    ),
    "the whole assessed, one apart": (
        sr(group(1, answers=(said("Modified"),)), answers=(said("Accepted"),), references=(OUR_SEG,)),
        {"2.25.7": C, "2.25.8": A},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("annotation", "expected"), CASES.values(), ids=CASES)
def test_findings_are(annotation, expected):
    assert kinds(annotation) == expected


def test_dice_and_volume_of_a_changed_outline_are_those_of_the_voxels():
    one = judged(seg(theirs(1, A_LITTLE), SAME[1]))["2.25.7"]
    a, b = FIRST.to_array(), A_LITTLE.to_array()
    assert one.dice == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))
    assert one.difference_ml == pytest.approx((b.sum() - a.sum()) * 2.0 / 1000)
    assert (one.object_uid, one.tracking_uid, one.label) == (OUR_SEG, "2.25.7", "nodule-1")


def test_what_was_missed_and_what_was_taken_away_say_their_volume():
    told = judged(seg(SAME[1], theirs(3, ELSEWHERE, tracking_uid="1.9.3")))
    assert told["1.9.3"].difference_ml == pytest.approx(ELSEWHERE.count * 2.0 / 1000)
    assert told["1.9.3"].object_uid is None
    assert told["2.25.7"].difference_ml == pytest.approx(-FIRST.count * 2.0 / 1000)
    assert told["2.25.7"].dice == 0.0


def test_the_difference_of_a_report_is_that_of_its_volumes_in_whatever_unit():
    mm3 = replace(volume(400.0), unit=Code("mm3", "UCUM", "mm3"))
    one = judged(sr(group(1, measurements=(mm3,)), predecessors=(OUR_SR,)))["2.25.7"]
    assert one.difference_ml == pytest.approx(0.4 - 0.288)
    assert one.changed == ("measurements",)


def test_a_mask_on_a_reversed_grid_is_compared_in_the_patient():
    """Slices in the other order: the same voxels of the patient, counted from the other end."""
    back = GRID.affine_lps.copy()
    back[:3, 3] += back[:3, 2] * (GRID.shape_kji[0] - 1)
    back[:3, 2] *= -1
    turned = [replace(one, mask=Mask.from_array(one.mask.to_array()[::-1])) for one in SAME]
    told = judged(seg(*turned, grid=Grid(GRID.shape_kji, back, SPACE)))
    assert {one.kind for one in told.values()} == {A}
    assert all(one.dice == 1.0 for one in told.values())


def test_an_outline_in_another_space_has_no_dice_and_is_not_accepted_unseen():
    told = judged(seg(*SAME, grid=Grid(GRID.shape_kji, GRID.affine_lps, "9.9")))
    assert {(one.kind, one.dice) for one in told.values()} == {(C, None)}


def test_a_point_of_ours_that_somebody_outlined_was_found():
    own = result(findings=found(segments=(), regions=(region("spot", (3.0, 3.0, 6.0)),), classifications=()))
    drawn = seg(
        theirs(1, FIRST, tracking_uid=None), theirs(2, SECOND, tracking_uid="1.9.2"), references=(OUR_SEG,)
    )
    assert kinds(drawn, own) == {"2.25.20": A, "1.9.2": M}


def test_what_another_engine_found_was_not_missed():
    lungs = result(
        "lungs", objects=(OwnObject(sop_instance_uid="2.25.70"),),
        findings=found(
            segments=(ours("lung", ELSEWHERE, type=LUNG, tracking_uid="2.25.30"),), classifications=()
        ),
    )  # fmt: skip
    both = seg(*SAME, theirs(3, ELSEWHERE, type=LUNG, tracking_uid="2.25.30"))
    answers = recognise(both, [result(), lungs])
    told = {
        one.own.engine: {j.finding: j.kind for j in compare(one, [o.own for o in answers if o is not one])}
        for one in answers
    }
    assert told["lung-ct"] == {"2.25.7": A, "2.25.8": A}
    assert told["lungs"] == {"2.25.30": A}


def test_a_lesion_that_a_report_adds_with_a_place_was_missed_and_a_sentence_was_not():
    added = AnnotatedRegion(
        label="third",
        kind=RegionKind.POINT,
        points_lps_mm=((1.0, 2.0, 3.0),),
        type=NODULE,
        tracking_uid="1.9.6",
    )
    sentence = replace(added, kind=None, points_lps_mm=(), tracking_uid="1.9.7")
    told = kinds(sr(group(1), group(2), CLASS_GROUP, added, sentence, predecessors=(OUR_SR,), verified=True))
    assert told == {"2.25.7": A, "2.25.8": A, "2.25.9": A, "1.9.6": M}


def test_what_a_report_measures_of_a_segmentation_of_theirs_is_judged_by_its_voxels_alone():
    """Readers who outline anew store both; the outline may lie on ours, and then nothing was missed."""
    outline = seg(theirs(1, FIRST, tracking_uid="1.9.1"), theirs(2, SECOND, tracking_uid="1.9.2"))
    report = sr(
        group(1, segment=(THEIRS, 1), tracking_uid="1.9.1"),
        group(2, segment=(THEIRS, 2), tracking_uid="1.9.2"),
    )
    assert kinds(outline) == {"2.25.7": A, "2.25.8": A}
    assert kinds(report) == {}


def test_a_report_that_nobody_has_put_his_hand_to_says_nothing_of_what_it_repeats():
    """A tool that writes our groups anew, unverified and not in place of ours, accepts nothing."""
    assert kinds(sr(group(1), title="follow-up")) == {}


def test_an_answer_to_one_finding_is_not_one_to_all():
    """Readers tell the answers of groups without a place twice: in the group and of the whole."""
    answer = said("AI Result Rejected")
    report = sr(group(1, segment=None, answers=(answer,)), answers=(answer,), references=(OUR_SR,))
    assert kinds(report) == {"2.25.7": R}
