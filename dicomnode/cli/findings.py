"""Findings for people: the table, the remarks, the pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dicomnode.cli.documents import measured, volume_ml
from dicomnode.cli.output import print_table, result_console, short_uid
from dicomnode.cli.why import print_verdicts

if TYPE_CHECKING:
    from pathlib import Path

    from dicomnode.serve import StudyWalk
    from dicomnode.values import Findings, Segment, Volume

# One picture a lesion is what a reader wants; ten are the most that an engine reports
_PICTURES_MAX = 10


def print_study(walk: StudyWalk, document: dict[str, Any]) -> None:
    """Print a study of `try`: series, verdicts, findings, objects, times."""
    result_console.print(f"[bold]Study {walk.study.study_instance_uid}[/]")
    rows = []
    for series in document["series"]:
        for stack in series["stacks"] or [{"volume": None, "refusal": None}]:
            volume, refusal = stack["volume"], stack["refusal"]
            what = "set aside"
            if volume is not None:
                what = "volume " + " × ".join(map(str, volume["shape_kji"]))
            elif refusal is not None:
                what = f"{refusal['code']} {refusal['text']}"
            rows.append(
                (short_uid(series["series_instance_uid"]), series["modality"], series["instances"], what)
            )
    print_table("Series", ("series", "modality", "images", "became"), rows)
    print_verdicts(document["verdicts"])
    for result in walk.results:
        print_findings(result.findings)
    print_set_aside(document["set_aside"])
    objects = [(o["kind"], o["path"] or o["sop_instance_uid"]) for o in document["objects"]]
    print_table("Objects", ("kind", "object"), objects)
    print_table("Times", ("stage", "seconds"), list(document["timings_s"].items()))


def print_set_aside(items: list[dict[str, Any]]) -> None:
    """Print what no volume uses, and why; nothing if there is nothing."""
    rows = [(item["file"] or item["sop_instance_uid"], item["code"], item["text"]) for item in items]
    if rows:
        print_table("Set aside", ("instance", "code", "why"), rows)


def print_findings(findings: Findings, truth: dict[str, str] | None = None) -> None:
    """Print the findings of one engine; `truth`: label → what is known to be there, for a phantom."""
    provenance = findings.provenance
    columns = ["finding", "site", "size mm", "volume ml", "score", "x, y, z mm (LPS)"]
    rows = [_row(findings, segment) for segment in findings.segments]
    if truth is not None:
        columns.append("truth")
        for row, segment in zip(rows, findings.segments, strict=True):
            row.append(truth.get(segment.label))
    title = f"{provenance.title} ({provenance.engine} {provenance.version}): {findings.outcome.value}"
    print_table(title, columns, rows)
    _print_regions(findings)
    _print_numbers(findings)
    for remark in findings.remarks:
        result_console.print(f"  • {remark.text}", markup=False)
    result_console.print(f"  {provenance.use}", style="dim", markup=False)


def _print_regions(findings: Findings) -> None:
    rows = [
        (
            region.label,
            region.type.meaning.lower(),
            _number(region.score, 2),
            "; ".join(", ".join(f"{x:.1f}" for x in point) for point in region.points_lps_mm),
        )
        for region in findings.regions
    ]
    if rows:
        print_table("Points and boxes", ("region", "what", "score", "x, y, z mm (LPS)"), rows)


def _print_numbers(findings: Findings) -> None:
    rows = [
        (one.label, f"{100 * one.probability:.1f} %", "present" if one.present else "absent")
        for one in findings.classifications
    ]
    for one in findings.measurements:
        ends = "" if one.interval is None else f"{one.interval[0]:.4g} to {one.interval[1]:.4g}"
        rows.append((one.name, f"{one.value:.4g} {one.unit.value}", ends))
    fields = [(one.label, one.grid) for one in findings.maps]
    fields += [(one.label, one.grid) for one in findings.images]
    rows += [(label, "map or image", " × ".join(map(str, grid.shape_kji))) for label, grid in fields]
    rows += [(one.label, "features", str(len(one.names))) for one in findings.features]
    if rows:
        print_table("Of the study", ("result", "value", ""), rows)


def _row(findings: Findings, segment: Segment) -> list[object]:
    x, y, z = segment.centre_lps_mm
    site = (segment.site or segment.type).meaning
    side = f"{segment.laterality.meaning.lower()} " if segment.laterality is not None else ""
    return [
        segment.label,
        f"{side}{site.lower()}",
        _number(measured(segment, "long_axis_mm"), 1),
        _number(volume_ml(findings, segment), 2),
        _number(segment.score, 2),
        f"{x:.1f}, {y:.1f}, {z:.1f}",
    ]


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def write_overlays(volume: Volume, findings: Findings, folder: Path) -> list[Path]:
    """Write one PNG a lesion (axial, coronal, sagittal through it), or one of the whole if there is none."""
    from dicomnode.report import overlay_png
    from dicomnode.values import FindingKind

    lesions = [s.label for s in findings.segments if s.kind is FindingKind.LESION][:_PICTURES_MAX]
    written: list[Path] = []
    labels: list[str | None] = [*lesions] or [None]
    for label in labels:
        path = folder / f"overlay-{findings.provenance.engine}-{label or 'overview'}.png"
        path.write_bytes(overlay_png(volume, findings, label))
        written.append(path)
    return written
