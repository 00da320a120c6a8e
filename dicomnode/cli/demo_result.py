"""What came back of the demonstration: collected, compared with what was sent and the truth, shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dicomnode.cli.output import print_table, result_console
from dicomnode.cli.why_series import print_verdicts
from dicomnode.faults import NodeError

if TYPE_CHECKING:
    from datetime import datetime

    from dicomnode.cli.demo_archive import Archive
    from dicomnode.deliver import ReadBack
    from dicomnode.journal import EventRecord, Journal, StudyRecord
    from dicomnode.phantom import DemoStudy
    from dicomnode.serve.once.trial import Summary
    from dicomnode.settings import Settings
    from dicomnode.values import Findings, Volume


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """All that the demonstration shows."""

    archive: str
    tool: str
    came_back: ReadBack | NodeError  # the failure, if the archive would not give its copies back
    record: StudyRecord
    findings: tuple[Findings, ...]
    truth: dict[str, str] | None
    missed: tuple[str, ...]
    pictures: tuple[Path, ...]
    document: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstration:
    """What was demonstrated, and with what."""

    journal: Journal
    settings: Settings
    record: StudyRecord
    archive: Archive
    files: Sequence[Path]
    phantom: DemoStudy | None
    tool: str
    out: Path


def collect(demo: Demonstration) -> DemoResult:
    """Fetch the archive's copies, read the findings, draw the pictures."""
    from dicomnode.cli.findings import write_overlays
    from dicomnode.store import Store

    uid = demo.record.study_instance_uid
    with_store = Store.open(demo.settings.store.path)
    try:
        findings = tuple(with_store.load_findings(path) for _, _, path in demo.journal.findings(uid))
    finally:
        with_store.close()
    came_back = _read_back(demo)
    document, volumes = _document(demo, findings, came_back)
    pictures = [
        path
        for one in findings
        if (volume := volumes.get(one.sources[0].series_instance_uid)) is not None
        for path in write_overlays(volume, one, demo.out)
    ]
    document["pictures"] = [str(path) for path in pictures]
    truth, missed = _against_truth(findings, demo.phantom)
    return DemoResult(
        archive=demo.archive.name,
        tool=demo.tool,
        came_back=came_back,
        record=demo.record,
        findings=findings,
        truth=truth,
        missed=missed,
        pictures=tuple(pictures),
        document=document,
    )


def _read_back(demo: Demonstration) -> ReadBack | NodeError:
    uid = demo.record.study_instance_uid
    sent = [record.path for record in demo.journal.objects(uid)]
    try:
        return demo.archive.read_back(uid, sent, demo.out / "dicom")
    except NodeError as error:
        return error


def _document(
    demo: Demonstration, findings: Sequence[Findings], came_back: ReadBack | NodeError
) -> tuple[dict[str, Any], dict[str, Any]]:
    from dicomnode.assemble import load_picture, load_volume, read_studies
    from dicomnode.cli.documents import findings_document, series_document, set_aside_document
    from dicomnode.cli.why import verdict_document
    from dicomnode.serve import VolumeSummary
    from dicomnode.serve.once.trial import PictureSummary

    uid = demo.record.study_instance_uid
    reading = read_studies(demo.files)
    study = next(study for study in reading.studies if study.study_instance_uid == uid)
    analysed = {one.sources[0].series_instance_uid for one in findings if one.sources[0].grid is not None}
    volumes: dict[str, Volume] = {}
    summaries: dict[tuple[str, int], Summary] = {}
    for series in study.series:
        for stack in series.stacks:
            if series.series_instance_uid not in analysed or stack.facts.refusal is not None:
                continue
            if stack.kind != "volume":
                summaries[series.series_instance_uid, stack.facts.stack] = PictureSummary.of(
                    load_picture(stack)
                )
            else:
                volume = load_volume(stack)
                volumes[series.series_instance_uid] = volume
                summaries[series.series_instance_uid, stack.facts.stack] = VolumeSummary.of(volume)
    paths = {path.stem: path for path in sorted((demo.out / "dicom").glob("*.dcm"))}
    document = {
        "schema": 1,
        "study_instance_uid": uid,
        "state": demo.record.state.value,
        "series": [series_document(series, summaries) for series in study.series],
        "set_aside": [set_aside_document(item) for item in reading.set_aside],
        "verdicts": [verdict_document(verdict) for verdict in demo.journal.verdicts(uid)],
        **findings_document(findings),
        "objects": [
            {
                "kind": record.kind,
                "sop_class_uid": record.sop_class_uid,
                "sop_instance_uid": record.sop_instance_uid,
                "path": str(paths[record.sop_instance_uid]) if record.sop_instance_uid in paths else None,
            }
            for record in demo.journal.objects(uid)
        ],
        "timings_s": stage_seconds(demo.record, demo.journal.events(uid)),
        "archive": demo.archive.name,
        "archive_copies_equal": None if isinstance(came_back, NodeError) else came_back.is_whole,
    }
    return document, volumes


def stage_seconds(record: StudyRecord, events: Sequence[EventRecord]) -> dict[str, float]:
    """Seconds that each stage took, as the journal saw it; tasks of one kind are added up."""
    spent = {"receive": (record.last_received_at - record.first_received_at).total_seconds()}
    claimed: dict[object, datetime] = {}
    for event in events:
        kind, _, word = event.what.partition(".")
        if event.what == "study.complete":
            spent["wait for quiet"] = (event.at - record.last_received_at).total_seconds()
        elif word == "claimed":
            claimed[event.facts["task"]] = event.at
        elif word == "committed" and event.facts["task"] in claimed:
            took = event.at - claimed[event.facts["task"]]
            spent[kind] = spent.get(kind, 0.0) + took.total_seconds()
    return {stage: round(seconds, 2) for stage, seconds in spent.items()}


def _against_truth(
    findings: Sequence[Findings], phantom: DemoStudy | None
) -> tuple[dict[str, str] | None, tuple[str, ...]]:
    """Compare with the phantom's truth: label → how far away and how large the truth is; what was missed."""
    if phantom is None:
        return None, ()
    from dicomnode.evaluate import match_candidates
    from dicomnode.values import FindingKind

    nodules = phantom.truth.nodules
    lesions = [s for one in findings for s in one.segments if s.kind is FindingKind.LESION]
    result = match_candidates([(s.centre_lps_mm, s.score or 0.0) for s in lesions], nodules)
    truth = {s.label: "nothing there" for s in lesions}
    for hit in result.hits:
        volume_ml = nodules[hit.truth].volume_mm3 / 1000
        truth[lesions[hit.found].label] = f"{hit.distance_mm:.1f} mm away, {volume_ml:.2f} ml"
    lungs = {"lung-right": phantom.truth.lung_right, "lung-left": phantom.truth.lung_left}
    for one in findings:
        grid = one.sources[0].grid
        if grid is not None:
            truth |= {name: f"{mask.count * grid.voxel_mm3 / 1000:.2f} ml" for name, mask in lungs.items()}
    missed = tuple(f"{nodules[index].diameter_mm:.0f} mm nodule missed" for index in result.misses)
    return truth, missed


def show(result: DemoResult, out: Path) -> None:
    """Print the tables of one study of the demonstration."""
    from dicomnode.cli.findings import print_findings, print_set_aside

    document = result.document
    if not result.findings:
        result_console.print(
            f"Study {result.record.study_instance_uid}: {result.record.state.value}", markup=False
        )
        result_console.print(f"  {result.record.reason}", markup=False)
        print_verdicts(document)
        print_set_aside(document["set_aside"])
    for findings in result.findings:
        print_findings(findings, result.truth)
    for sentence in result.missed:
        result_console.print(f"  • {sentence}", markup=False)
    if document["objects"]:
        rows = [(o["kind"], o["path"] or f"{o['sop_instance_uid']}: not there") for o in document["objects"]]
        print_table(f"What came back from {result.archive}", ("kind", "object"), rows)
        result_console.print(f"  {_came_back(result)}", markup=False)
    print_table("Times", ("stage", "seconds"), list(document["timings_s"].items()))
    for picture in result.pictures:
        result_console.print(f"  picture  {picture}", markup=False)
    if document["objects"]:
        result_console.print(f"  DICOM    {out / 'dicom'}", markup=False)


def _came_back(result: DemoResult) -> str:
    if isinstance(result.came_back, NodeError):
        return f"The objects were delivered, but not fetched back. {result.came_back}"
    equal, wanted = len(result.came_back.same), len(result.document["objects"])
    return f"{equal} of {wanted} objects equal what was sent; the study was pushed with {result.tool}."
