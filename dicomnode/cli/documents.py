"""The JSON of `try` and `demo`: a contract (docs/reference/json.md); additions only, absent means null."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dicomnode.cli.why import verdict_document
from dicomnode.cli.why_series import series_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dicomnode.assemble import SeriesFiles, Stack
    from dicomnode.report import ResultObject
    from dicomnode.serve import StudyWalk
    from dicomnode.serve.once.trial import PictureSummary, Summary, VolumeSummary
    from dicomnode.values import Findings, Refusal, Segment, SetAside

_DIGITS = 4  # of a millimetre or a millilitre: below anything that an image holds


def study_walk_document(
    walk: StudyWalk, set_aside: Sequence[SetAside], paths: Mapping[str, Path]
) -> dict[str, Any]:
    """Give one study's walk as JSON; `paths`: SOP Instance UID → file that was written."""
    findings = [result.findings for result in walk.results]
    objects = [made for result in walk.results for made in result.objects]
    return {
        "schema": 1,
        "study_instance_uid": walk.study.study_instance_uid,
        "state": "refused" if not findings else "done",
        "series": [series_document(series, walk.volumes) for series in walk.study.series],
        "set_aside": [set_aside_document(item) for item in set_aside],
        "verdicts": [verdict_document(verdict) for verdict in walk.dispatch.verdicts],
        **findings_document(findings),
        "objects": [object_document(made, paths.get(made.sop_instance_uid)) for made in objects],
        "timings_s": {name: round(seconds, 3) for name, seconds in walk.timings_s.items()},
    }


def series_document(
    series: SeriesFiles, volumes: Mapping[tuple[str, int], Summary | Refusal]
) -> dict[str, Any]:
    """Give a series with what became of its stacks."""
    return {
        "series_instance_uid": series.series_instance_uid,
        **series_words(series),
        "instances": series.instances,
        "stacks": [_stack(stack, volumes) for stack in series.stacks],
    }


def _stack(stack: Stack, volumes: Mapping[tuple[str, int], Summary | Refusal]) -> dict[str, Any]:
    from dicomnode.serve.once.trial import PictureSummary, VolumeSummary
    from dicomnode.values import Refusal

    known = volumes.get((stack.facts.series_instance_uid, stack.facts.stack))
    refusal = known if isinstance(known, Refusal) else stack.facts.refusal
    return {
        "phase": stack.facts.facts.get("phase"),
        "volume": _volume(known) if isinstance(known, VolumeSummary) else None,
        "picture": _picture(known) if isinstance(known, PictureSummary) else None,
        "refusal": None if refusal is None else {"code": refusal.code, "text": refusal.text},
    }


def _volume(volume: VolumeSummary) -> dict[str, Any]:
    return {
        "shape_kji": list(volume.grid.shape_kji),
        "affine_lps": [[float(x) for x in row] for row in volume.grid.affine_lps],
        "unit": volume.unit.value,
        "frame_of_reference_uid": volume.grid.frame_of_reference_uid,
        "min": volume.minimum,
        "max": volume.maximum,
        "mean": round(volume.mean, _DIGITS),
        "repairs": [{"kind": repair.kind, "text": repair.text} for repair in volume.repairs],
    }


def _picture(picture: PictureSummary) -> dict[str, Any]:
    plane = picture.plane
    return {
        "shape_tjic": list(picture.shape_tjic),
        "spacing_mm": None if plane.spacing_ji_mm is None else list(plane.spacing_ji_mm),
        "view": plane.view,
        "laterality": plane.laterality,
        "frame_times_ms": list(plane.frame_times_ms),
        "repairs": [{"kind": repair.kind, "text": repair.text} for repair in picture.repairs],
    }


def set_aside_document(item: SetAside) -> dict[str, Any]:
    """Give an instance or file that no volume uses."""
    return {
        "sop_instance_uid": item.sop_instance_uid,
        "file": item.file,
        "code": item.code,
        "text": item.text,
    }


def findings_document(all_findings: Sequence[Findings]) -> dict[str, Any]:
    """Give what all engines found, each kind of result in a list of its own, and the remarks."""
    from dicomnode.cli.numbers import NUMBERS, region_document

    return {
        "findings": [segment_document(f, s) for f in all_findings for s in f.segments],
        "regions": [region_document(f, one) for f in all_findings for one in f.regions],
        **{
            name: [{"engine": f.provenance.engine, **row(one)} for f in all_findings for one in kind(f)]
            for name, (kind, row) in NUMBERS.items()
        },
        "remarks": [
            {"engine": f.provenance.engine, "kind": r.kind.value, "code": r.code, "text": r.text}
            for f in all_findings
            for r in f.remarks
        ],
        "provenance": [_provenance(f) for f in all_findings],
    }


def _provenance(findings: Findings) -> dict[str, Any]:
    made_by = findings.provenance
    return {
        "engine": made_by.engine,
        "version": made_by.version,
        "outcome": findings.outcome.value,
        "runtime": made_by.runtime,
        "precision": made_by.precision,
        "device": made_by.device,
        "details": dict(made_by.details),
    }


def segment_document(findings: Findings, segment: Segment) -> dict[str, Any]:
    """Give one segment with its measurements, and what was said of it alone."""
    from dicomnode.cli.numbers import answers_document

    return {
        "kind": segment.kind.value,
        "label": segment.label,
        "engine": findings.provenance.engine,
        "volume_ml": round(volume_ml(findings, segment), _DIGITS),
        "long_axis_mm": measured(segment, "long_axis_mm"),
        "score": None if segment.score is None else round(segment.score, _DIGITS),
        "calibrated": segment.calibrated,
        "centre_lps_mm": [round(x, _DIGITS) for x in segment.centre_lps_mm],
        "box_kji": [list(ends) for ends in segment.mask.box_kji],
        "box_lps_mm": _box_lps_mm(findings, segment),
        "measurements": {m.name: round(m.value, _DIGITS) for m in segment.measurements},
        "tracking_uid": segment.tracking_uid,
        **answers_document(segment),
    }


def _box_lps_mm(findings: Findings, segment: Segment) -> list[list[float]] | None:
    """Give the smallest and the largest x, y, z of the voxels of a segment, with their outer faces."""
    from dicomnode.values import outer_box_lps_mm

    grid = findings.sources[0].grid
    if grid is None:
        return None
    corners = outer_box_lps_mm(grid, segment.mask.box_kji)
    return [[round(x, _DIGITS) for x in corner] for corner in corners]


def volume_ml(findings: Findings, segment: Segment) -> float:
    """Volume of the segment's voxels in ml."""
    grid = findings.sources[0].grid
    return 0.0 if grid is None else segment.mask.count * grid.voxel_mm3 / 1000


def measured(segment: Segment, name: str) -> float | None:
    """Value of a measurement by its name, None if the engine did not make it."""
    return next((round(m.value, _DIGITS) for m in segment.measurements if m.name == name), None)


def object_document(made: ResultObject, path: Path | None) -> dict[str, Any]:
    """Give a result object and where its file lies."""
    return {
        "kind": made.kind,
        "sop_class_uid": made.sop_class_uid,
        "sop_instance_uid": made.sop_instance_uid,
        "path": None if path is None else str(path),
    }
