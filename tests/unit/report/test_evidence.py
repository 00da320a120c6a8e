"""What a report was made of: the images of its study, and beside them those of the priors."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import pydicom
from pydicom import Dataset

from dicomnode.report import ReportProfile, make_objects
from dicomnode.values import Findings
from tests.unit.report.sources import BEFORE, SALT, findings, nothing_found


def _report(found: Findings) -> Dataset:
    made = {one.kind: one for one in make_objects(found, ReportProfile(), SALT)}
    return pydicom.dcmread(BytesIO(made["SR"].content))


def _named(report: Dataset, keyword: str) -> list[tuple[str, str, str, str]]:
    """Study, series, class and instance of each reference of an evidence sequence."""
    return [
        (
            study.StudyInstanceUID,
            series.SeriesInstanceUID,
            one.ReferencedSOPClassUID,
            one.ReferencedSOPInstanceUID,
        )
        for study in report.get(keyword, ())
        for series in study.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    ]


def test_images_of_a_prior_are_evidence_of_another_procedure() -> None:
    report = _report(replace(findings(), earlier=(BEFORE,)))
    assert _named(report, "PertinentOtherEvidenceSequence") == [
        (BEFORE.study_instance_uid, BEFORE.series_instance_uid, one.sop_class_uid, one.sop_instance_uid)
        for one in BEFORE.instances
    ]
    studies = {study for study, *_ in _named(report, "CurrentRequestedProcedureEvidenceSequence")}
    assert studies == {report.StudyInstanceUID}


def test_two_priors_are_both_named_and_one_that_serves_two_inputs_once() -> None:
    later = replace(BEFORE, name="later", study_instance_uid="1.2.7", series_instance_uid="1.2.7.1")
    later = replace(later, instances=(replace(BEFORE.instances[0], sop_instance_uid="1.2.7.1.1"),))
    again = replace(BEFORE, name="again")
    named = _named(_report(nothing_found_with(BEFORE, later, again)), "PertinentOtherEvidenceSequence")
    assert len(named) == len(set(named)) == len(BEFORE.instances) + 1
    assert {study for study, *_ in named} == {BEFORE.study_instance_uid, "1.2.7"}


def nothing_found_with(*earlier) -> Findings:
    return replace(nothing_found(), earlier=earlier)


def test_without_a_prior_there_is_no_other_evidence() -> None:
    report = _report(findings())
    assert "PertinentOtherEvidenceSequence" not in report
    sources = {frame.sop_instance_uid for frame in findings().sources[0].frames}
    named = _named(report, "CurrentRequestedProcedureEvidenceSequence")
    assert sources <= {instance for *_, instance in named}
