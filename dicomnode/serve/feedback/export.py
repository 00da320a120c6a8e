"""Studies with the answers that doctors gave to our results, laid out as data to train and evaluate with.

A folder a study, its images in it and the objects that say what is true. Nothing is de-identified: these are
the files of the hospital, for use in it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from dicomnode.evaluate.feedback import JudgementKind
from dicomnode.faults import FILE_NOT_WRITTEN, LABEL_GONE, NodeError
from dicomnode.journal import FeedbackQuery, Journal
from dicomnode.serve.feedback.kept import KeptStudy, kept_labels
from dicomnode.values import Progress

_PREAMBLE: Final = 128  # ours holds the seal of the store, which is nobody else's business
_NAMED: Final = 16
LIST: Final = "feedback.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedStudy:
    """A study that was written. folder: its name. labels: file names of what says the truth.

    accepted: the labels are our own outlines, which somebody accepted as they are.
    """

    study_instance_uid: str
    folder: str
    engines: tuple[str, ...]
    images: int
    labels: tuple[str, ...]
    accepted: bool
    findings: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written, and what was left out: why."""

    studies: tuple[ExportedStudy, ...]
    left_out: tuple[NodeError, ...]


def export_labels(journal: Journal, out: Path, query: FeedbackQuery, progress: Progress) -> Exported:
    """Write every study that doctors have answered; the last object of each kind is the label.

    Progress: "writing studies". Raises NodeError: FEEDBACK_NONE, FILE_NOT_WRITTEN.
    """
    written: list[ExportedStudy] = []
    with TemporaryDirectory() as scratch:
        kept = kept_labels(journal, query, Path(scratch))
        left_out = list(kept.left_out)
        for done, study in enumerate(kept.studies):
            progress("writing studies", done, len(kept.studies))
            try:
                written.append(_write_study(out, study))
            except NodeError as error:
                if error.fault is not LABEL_GONE:
                    raise
                left_out.append(error)
        progress("writing studies", len(kept.studies), len(kept.studies))
    _write(out / LIST, lambda path: path.write_text(_list(written, left_out), encoding="utf-8"))
    return Exported(studies=tuple(written), left_out=tuple(left_out))


def _write_study(out: Path, study: KeptStudy) -> ExportedStudy:
    study_uid = study.study_instance_uid
    folder = out / sha256(study_uid.encode()).hexdigest()[:_NAMED]
    for number, path in enumerate(study.images, start=1):
        _copy(path, folder / "images" / f"{number:06}.dcm", study_uid)
    names = []
    for number, path in enumerate(study.labels, start=1):
        names.append(f"label-{number}.dcm")
        _copy(path, folder / names[-1], study_uid)
    return ExportedStudy(
        study_instance_uid=study_uid,
        folder=folder.name,
        engines=tuple(sorted({one.engine for one in study.records})),
        images=len(study.images),
        labels=tuple(names),
        accepted=bool(study.accepted),
        findings={str(kind): sum(one.kind == kind for one in study.records) for kind in JudgementKind},
    )


def _copy(source: Path, target: Path, study_uid: str) -> None:
    try:
        content = source.read_bytes()
    except OSError as error:
        reason = f"{source.name} cannot be read ({error.strerror})"
        raise NodeError(LABEL_GONE, study=study_uid, reason=reason) from error
    _write(target, lambda path: path.write_bytes(bytes(_PREAMBLE) + content[_PREAMBLE:]))


def _write(path: Path, write: Callable[[Path], object]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)
    except OSError as error:
        raise NodeError(FILE_NOT_WRITTEN, path=path, error=error.strerror or error) from error


def _list(written: Iterable[ExportedStudy], left_out: Iterable[NodeError]) -> str:
    return json.dumps(exported_document(written, left_out), indent=2) + "\n"


def exported_document(written: Iterable[ExportedStudy], left_out: Iterable[NodeError]) -> dict[str, Any]:
    """Give what was written as JSON."""
    return {
        "schema": 1,
        "deidentified": False,
        "studies": [
            {
                "study_instance_uid": one.study_instance_uid,
                "folder": one.folder,
                "engines": list(one.engines),
                "images": one.images,
                "labels": list(one.labels),
                "accepted_as_they_are": one.accepted,
                "findings": dict(one.findings),
            }
            for one in written
        ],
        "left_out": [
            {
                "study_instance_uid": error.values["study"],
                "code": error.fault.code,
                "text": error.fault.text(**error.values),
            }
            for error in left_out
        ],
    }
