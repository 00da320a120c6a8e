"""Phantom studies with known truth, many at once: what `dicomnode synth` and tests of training need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Final

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from dicomnode.faults import SYNTH_NOT_EMPTY, SYNTH_NOT_WRITTEN, NodeError
from dicomnode.learn.generate.drawn import Drawing
from dicomnode.learn.generate.images import write_images
from dicomnode.learn.generate.labels import NAME, labels_csv
from dicomnode.learn.generate.plan import Case, Kind, SynthPlan, planned_cases
from dicomnode.learn.generate.report import build_report
from dicomnode.learn.generate.segmentation import build_segmentation
from dicomnode.learn.generate.sheet import NAME as SHEET
from dicomnode.learn.generate.sheet import answer_sheet, section
from dicomnode.values import Progress, no_progress
from dicomnode.values.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

STAGE: Final = "drawing cases"


_DRAW: Final[dict[Kind, tuple[str, str]]] = {
    "thorax": ("chests", "draw_chest"),
    "volumes": ("volumes", "draw_volume"),
    "contrasts": ("contrasts", "draw_head"),
    "discs": ("flat", "draw_film"),
    "mammograms": ("breasts", "draw_breast"),
    "photos": ("flat", "draw_photo"),
    "fundus": ("eyes", "draw_eye"),
    "ultrasound": ("sectors", "draw_sector"),
    "cine": ("cine", "draw_cine"),
}


def _draw(plan: SynthPlan, case: Case) -> Drawing:
    """Draw a case by the module of its kind, which is loaded for that."""
    module, name = _DRAW[plan.kind]
    drawing: Drawing = getattr(import_module(f"dicomnode.learn.generate.{module}"), name)(plan, case)
    return drawing


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthCase:
    """A case on disk. images: its folder. truth: files that say what is true of it, in `truth_folder`."""

    case: Case
    study_instance_uid: str
    images: Path
    truth: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthSet:
    """What was generated. folder: of all. labels: the table. answers: the sheet of a teaching set."""

    plan: SynthPlan
    folder: Path
    labels: Path
    cases: tuple[SynthCase, ...]
    answers: Path | None = None


def synth_cases(
    plan: SynthPlan, out: Path, *, teaching: bool = False, progress: Progress = no_progress
) -> SynthSet:
    """Draw the cases of a plan and write them; the same plan gives the same bytes.

    out: a folder that is not there yet, or is empty. In it: case-0001/ … with images/ and truth/,
    labels.csv; teaching: images/case-0001 …, and apart from them answers/ with the truth, the
    table and a sheet for people. Raises NodeError(SYNTH_NOT_EMPTY, SYNTH_NOT_WRITTEN).
    """
    cases = planned_cases(plan)
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise NodeError(SYNTH_NOT_EMPTY, path=out)
        return _written(plan, cases, out, teaching, progress)
    except OSError as error:
        raise NodeError(SYNTH_NOT_WRITTEN, path=out, error=error.strerror or error) from error


def _written(
    plan: SynthPlan, cases: Sequence[Case], out: Path, teaching: bool, progress: Progress
) -> SynthSet:
    made: list[SynthCase] = []
    rows: list[tuple[str, Mapping[str, str]]] = []
    sections: list[str] = []
    answers = out / "answers" if teaching else out
    for number, case in enumerate(cases):
        progress(STAGE, number, len(cases))
        drawing = _draw(plan, case)
        images = out / "images" / case.name if teaching else out / case.name / "images"
        truth = answers / case.name if teaching else out / case.name / "truth"
        headers = write_images(plan, case, drawing, images)
        files = tuple(_write_truth(plan, case, drawing, headers, truth))
        uid = str(headers[0].StudyInstanceUID)
        rows.append((uid, drawing.row))
        sections += [section(case, uid, drawing)] if teaching else []
        made.append(SynthCase(case=case, study_instance_uid=uid, images=images, truth=files))
    progress(STAGE, len(cases), len(cases))
    labels = answers / NAME
    labels.write_bytes(labels_csv(rows))
    sheet = None
    if teaching:
        sheet = answers / SHEET
        sheet.write_bytes(answer_sheet(plan, sections))
    return SynthSet(plan=plan, folder=out, labels=labels, cases=tuple(made), answers=sheet)


def _write_truth(
    plan: SynthPlan, case: Case, drawing: Drawing, headers: Sequence[Dataset], folder: Path
) -> Iterable[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    uid_of = partial(plan.uid, "truth", str(case.number))
    segmentation = None
    if drawing.segments:
        segmentation = build_segmentation(headers, drawing.segments, uid_of)
        yield _saved(segmentation, folder / "segments.dcm")
    yield _saved(build_report(headers, drawing, segmentation, uid_of), folder / "report.dcm")


def _saved(made: Dataset, path: Path) -> Path:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    made.file_meta = meta
    made.save_as(path, enforce_file_format=True)
    return path
