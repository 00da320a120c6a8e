"""From Findings to finished objects: the one door of the writers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog
from pydicom import Dataset

from dicomnode.faults import REPORT_FAILED, NodeError
from dicomnode.report.guard import check_segmentation
from dicomnode.report.headers import read_heading
from dicomnode.report.identity import Imprint, apply_identity, to_bytes
from dicomnode.report.objects import EarlierReport, Kind, ReportProfile, ResultObject
from dicomnode.report.seg import build_segmentation
from dicomnode.report.sr import build_report
from dicomnode.report.uids import ResultUids
from dicomnode.store.foreign import strict
from dicomnode.values import Findings

_log = structlog.get_logger("dicomnode.report")


def make_objects(
    findings: Findings,
    profile: ReportProfile,
    salt: bytes,
    identity: Mapping[str, str] | None = None,
    replaces: tuple[EarlierReport, ...] = (),
) -> tuple[ResultObject, ...]:
    """Make the objects that a profile wants of some Findings; the same call always gives the same bytes.

    A segmentation is made where there are segments, a report always ("nothing found" and "not analysed" are
    results too). The segmentation is read back by code that did not write it and compared with the Findings.
    identity: attributes of the patient that take the place of those of the headers, by keyword
    (`store.load_identity`). replaces: reports that the new one takes the place of, which names them.
    Raises NodeError: SOURCES_DISAGREE, SOURCE_HEADER_WRONG, GEOMETRY_GUARD, REPORT_FAILED.
    """
    heading = read_heading(findings, profile.assumed_character_set, identity or {})
    if heading.notes:
        _log.warning(
            "header.left_out", study=findings.sources[0].study_instance_uid, notes=list(heading.notes)
        )
    imprint = Imprint(findings, heading, salt, profile.for_a_look, replaces)
    made: list[ResultObject] = []
    segmentation: Dataset | None = None
    # A picture has no Frame of Reference that a segmentation could lie in: its report tells of outlines
    if "SEG" in profile.kinds and findings.segments and findings.sources[0].plane is None:
        number = profile.series_number
        uids = ResultUids.of(findings, salt, "SEG", f"BINARY, series {number}{_mark(imprint)}")
        segmentation = _written("SEG", lambda: build_segmentation(imprint, uids, number))
        made.append(_finished("SEG", segmentation, imprint, uids))
        check_segmentation(made[0].content, findings)
    if "SR" in profile.kinds:
        made.append(_report(imprint, profile, segmentation))
    return tuple(made)


def _report(imprint: Imprint, profile: ReportProfile, segmentation: Dataset | None) -> ResultObject:
    number = profile.series_number + 1
    about = "no segmentation" if segmentation is None else f"segmentation {segmentation.SOPInstanceUID}"
    about += "".join(f", replaces {one.sop_instance_uid}" for one in imprint.replaces) + _mark(imprint)
    uids = ResultUids.of(imprint.findings, imprint.salt, "SR", f"TID 1500, series {number}, {about}")
    report = _written("SR", lambda: build_report(imprint, uids, number, segmentation))
    return _finished("SR", report, imprint, uids)


def _mark(imprint: Imprint) -> str:
    return ", for a look" if imprint.for_a_look else ""


def _written(kind: Kind, build: Callable[[], Dataset]) -> Dataset:
    try:
        with strict():  # a warning of the writer is a fault of ours: nothing doubtful is sent
            return build()
    except (AttributeError, KeyError, TypeError, ValueError, UserWarning) as error:
        # highdicom refuses with these. It has seen stubs only, so its words hold nothing of the patient.
        raise NodeError(REPORT_FAILED, kind=kind, error=f"{type(error).__name__}: {error}") from error


def _finished(kind: Kind, result: Dataset, imprint: Imprint, uids: ResultUids) -> ResultObject:
    apply_identity(result, imprint, uids, kind)
    return ResultObject(
        kind=kind,
        sop_class_uid=str(result.SOPClassUID),
        sop_instance_uid=str(result.SOPInstanceUID),
        series_instance_uid=str(result.SeriesInstanceUID),
        content=to_bytes(result),
    )
