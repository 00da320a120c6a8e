"""Which labels count: those of people, those that nothing replaces, and those of phantoms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dicomnode.assemble import StudyFiles
from dicomnode.evaluate.data import LabelledStudy
from dicomnode.evaluate.truth import labels_for, only_by_people
from dicomnode.values import MadeBy
from tests.unit.evaluate.truth.values import SHAPE, seg, segment, sr

NOTHING = np.zeros(SHAPE, dtype=bool)


def _study(*annotations, synthetic: bool = False) -> LabelledStudy:
    return LabelledStudy(
        patient="p",
        study=StudyFiles(study_instance_uid="1.1", series=()),
        annotations=annotations,
        row={"sick": "1"},
        synthetic=synthetic,
    )


def _made(*makers: MadeBy, uid: str = "1.5.1", **more):
    segments = (segment(f"s{n}", NOTHING, made_by=one) for n, one in enumerate(makers))
    return seg(*segments, uid=uid, **more)


def _counts(study: LabelledStudy, **more: bool) -> list[str]:
    return [one.label for one in _segments(labels_for(study, None, None, **more))]


def _segments(labels):
    return [one for annotation in labels.annotations for one in annotation.segments]


def test_of_a_mixed_object_the_segments_count_that_a_person_had_a_hand_in():
    study = _study(_made(MadeBy.PERSON, MadeBy.MACHINE, MadeBy.SEMI, MadeBy.UNKNOWN))
    assert _counts(study) == ["s0", "s2", "s3"]
    assert labels_for(study, None, None).by_machines == 0


def test_a_machine_s_object_counts_when_it_is_asked_for_or_verified():
    machine = _made(MadeBy.MACHINE)
    assert _counts(_study(machine)) == []
    assert labels_for(_study(machine), None, None).by_machines == 1
    assert _counts(_study(machine), machine_labels=True) == ["s0"]
    assert _counts(_study(replace(machine, verified=True))) == ["s0"]


def test_on_synthetic_images_what_was_drawn_with_them_counts_and_no_engine_s_answer():
    """A generator's images come with no truth: what an engine finds on them is its own opinion."""
    study = _study(_made(MadeBy.KNOWN, MadeBy.MACHINE), synthetic=True)
    assert _counts(study) == ["s0"]
    assert only_by_people(study).annotations == ()


@pytest.mark.parametrize(("verified", "count"), [(False, 0), (True, 1)])
def test_a_machine_s_report_counts_once_it_is_verified(verified, count):
    report = sr(made_by=MadeBy.MACHINE, verified=verified)
    assert len(labels_for(_study(report), None, None).annotations) == count


def test_what_a_later_object_takes_the_place_of_does_not_count():
    first = _made(MadeBy.PERSON, uid="1.5.1")
    second = _made(MadeBy.PERSON, MadeBy.PERSON, uid="1.5.2", predecessors=("1.5.1",))
    assert _counts(_study(first, second)) == ["s0", "s1"]


def test_of_the_study_as_a_whole_its_row_is_known():
    assert dict(labels_for(_study(), None, None).row) == {"sick": "1"}
