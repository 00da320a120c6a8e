"""Findings for people: the table, the remarks, the files of objects and pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dicomnode.cli.documents import measured, volume_ml
from dicomnode.cli.output import print_table, result_console, short_uid
from dicomnode.cli.why_series import print_verdicts, series_name, series_order
from dicomnode.cli.writing import write_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from dicomnode.serve import EngineResult, StudyWalk
    from dicomnode.values import Findings, Region, Segment, Volume

# One picture a lesion is what a reader wants; ten are the most that an engine reports
_PICTURES_MAX = 10
_NAMED_MAX = 3


def print_study(walk: StudyWalk, document: dict[str, Any]) -> None:
    """Print a study of `try`: series, verdicts, findings, objects, times."""
    result_console.print(f"[bold]Study {walk.study.study_instance_uid}[/]")
    rows = []
    for series in sorted(document["series"], key=series_order):
        for stack in series["stacks"] or [{"volume": None, "picture": None, "refusal": None}]:
            volume, refusal = stack["volume"], stack["refusal"]
            what = "set aside"
            if volume is not None:
                what = _volume_words(volume)
            elif stack["picture"] is not None:
                what = _picture_words(stack["picture"])
            elif refusal is not None:
                what = f"{refusal['code']} {refusal['text']}"
            rows.append((series_name(series), series["instances"], what))
    print_table("Series", ("series", "images", "became"), rows)
    print_verdicts(document)
    for result in walk.results:
        print_findings(result.findings)
    print_set_aside(document["set_aside"])
    objects = [(o["kind"], o["path"] or o["sop_instance_uid"]) for o in document["objects"]]
    if objects:
        print_table("Objects", ("kind", "object"), objects)
    else:
        result_console.print("No DICOM objects were made, as no engine wants a series of this study.")
    print_table("Times", ("stage", "seconds"), list(document["timings_s"].items()))


def _volume_words(volume: dict[str, Any]) -> str:
    """Say what a volume is, and line by line what had to be mended."""
    from dicomnode.values.codes import Code, unit_word

    shape = " × ".join(map(str, volume["shape_kji"]))
    unit = unit_word(Code(volume["unit"], "UCUM", volume["unit"]))
    what = f"volume {shape}, {'no unit' if unit == '1' else f'in {unit}'}"
    return "\n".join((what, *(f"• {repair['text']}" for repair in volume["repairs"])))


def _picture_words(picture: dict[str, Any]) -> str:
    """Say what a picture is, and line by line what was found out about it."""
    frames, rows, columns, channels = picture["shape_tjic"]
    what = [f"cine of {frames} frames" if frames > 1 else "picture", f"{rows} × {columns}"]
    what.append("in colour" if channels > 1 else "in grey")
    what += [str(one) for one in (picture["view"], picture["laterality"]) if one]
    if picture["spacing_mm"] is None:
        what.append("no spacing")
    return "\n".join((", ".join(what), *(f"• {repair['text']}" for repair in picture["repairs"])))


def print_set_aside(items: list[dict[str, Any]]) -> None:
    """Print what no volume uses, and why; nothing if there is nothing."""
    alike: dict[tuple[str, str], list[str]] = {}
    for item in items:
        alike.setdefault((item["code"], item["text"]), []).append(item["file"] or item["sop_instance_uid"])
    rows = [(len(names), code, text, _few(names)) for (code, text), names in alike.items()]
    if rows:
        print_table("Set aside", ("instances", "code", "why", "which"), rows)


def _few(names: list[str]) -> str:
    """Name a few of many: `--json` has them all."""
    more = len(names) - _NAMED_MAX
    short = [name.rpartition("/")[2] if "/" in name else short_uid(name) for name in names[:_NAMED_MAX]]
    return ", ".join(short) + (f" and {more} more" if more > 0 else "")


def print_findings(findings: Findings, truth: dict[str, str] | None = None) -> None:
    """Print the findings of one engine; `truth`: label → what is known to be there, for a phantom."""
    provenance = findings.provenance
    columns = ["finding", "site", "size mm", "volume ml", "score", "x, y, z mm (LPS)"]
    rows = [_row(findings, segment) for segment in findings.segments]
    if any(one.classes for one in findings.segments):
        columns.append("class")
        for row, segment in zip(rows, findings.segments, strict=True):
            row.append(_classes(segment))
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
    if provenance.runtime != "none":
        result_console.print(f"  On {provenance.runtime}, {provenance.precision}.", style="dim", markup=False)
    result_console.print(f"  {provenance.use}", style="dim", markup=False)


def _print_regions(findings: Findings) -> None:
    typed = any(region.classes for region in findings.regions)
    rows = [
        (
            region.label,
            region.type.meaning.lower(),
            _number(region.score, 2),
            "; ".join(", ".join(f"{x:.1f}" for x in point) for point in region.points_lps_mm),
            *([_classes(region)] if typed else []),
        )
        for region in findings.regions
    ]
    if rows:
        more = ("class",) if typed else ()
        print_table("Points and boxes", ("region", "what", "score", "x, y, z mm (LPS)", *more), rows)


def _classes(found: Segment | Region) -> str:
    """Name the classes that a lesion has, each with its probability, and attributes without a sure value."""
    from dicomnode.values import told_attributes

    named = [f"{one.label} {100 * one.probability:.0f} %" for one in found.classes if one.present]
    unsure = (name.meaning.lower() for name, value in told_attributes(found.classes) if value is None)
    return ", ".join([*named, *(f"{one} undetermined" for one in unsure)]) or "–"


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


@dataclass(frozen=True, slots=True)
class Written:
    """Files of results. objects: SOP Instance UID → file; pictures: PNG files."""

    objects: dict[str, Path]
    pictures: list[Path]


def write_results(results: Iterable[EngineResult], folder: Path, mark: str = "") -> Written:
    """Write the DICOM objects and the pictures of some results, each file whole or not at all.

    mark: stands before the name of each file. Raises NodeError(FILE_NOT_WRITTEN).
    """
    written = Written({}, [])
    for result in results:
        for made in result.objects:
            path = folder / f"{mark}{made.kind.lower()}-{made.sop_instance_uid}.dcm"
            write_file(path, made.content)
            written.objects[made.sop_instance_uid] = path
        if result.volume is not None:
            written.pictures.extend(write_overlays(result.volume, result.findings, folder, mark))
    return written


def write_overlays(volume: Volume, findings: Findings, folder: Path, mark: str = "") -> list[Path]:
    """Write one PNG a lesion (axial, coronal, sagittal through it), or one of the whole if there is none.

    Raises NodeError(FILE_NOT_WRITTEN).
    """
    from dicomnode.report import overlay_png
    from dicomnode.values import FindingKind

    lesions = [s.label for s in findings.segments if s.kind is FindingKind.LESION][:_PICTURES_MAX]
    written: list[Path] = []
    labels: list[str | None] = [*lesions] or [None]
    for label in labels:
        path = folder / f"{mark}overlay-{findings.provenance.engine}-{label or 'overview'}.png"
        write_file(path, overlay_png(volume, findings, label))
        written.append(path)
    return written
