"""A folder of DICOM, and a table, become labelled studies."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from dicomnode.assemble import Header, Stack, StudyFiles, read_studies
from dicomnode.evaluate.data.labels import KeyKind, LabelTable, read_labels
from dicomnode.evaluate.data.placing import Told, place_rows
from dicomnode.faults import NO_PIXELS, NOT_DICOM, STUDY_OF_TWO
from dicomnode.store.foreign import UNREADABLE_ITEMS, quiet
from dicomnode.values import PHANTOM_MAKER, Annotation, Progress, SetAside, no_progress

KEY_DIGITS: Final = 16
_TABLES: Final = frozenset({".csv", ".json"})
_NO_ID: Final = hashlib.sha256(b"").hexdigest()  # the hash of a Patient ID that is not there


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledStudy:
    """One study with all that is known of it.

    patient: a key, 16 hex digits: hash of Patient ID and its issuer, of the Study Instance UID where there is
    no ID. place: the folder of its files within the data. row: labels of the whole study by column. told:
    labels of its series and instances. synthetic: a series of it says itself that nobody was imaged.
    """

    patient: str
    study: StudyFiles
    annotations: tuple[Annotation, ...] = ()
    row: Mapping[str, str] = field(default_factory=dict)
    told: tuple[Told, ...] = ()
    synthetic: bool = False
    place: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "row", MappingProxyType(dict(self.row)))

    @property
    def stacks(self) -> tuple[Stack, ...]:
        """All stacks of all series."""
        return tuple(stack for series in self.study.series for stack in series.stacks)

    def labels_of(self, stack: Stack) -> Mapping[str, str]:
        """Labels of a stack: those of the study, over them those of its series, then of its instances."""
        labels = dict(self.row)
        for one in self.told:
            if one.speaks_of(stack):
                labels |= one.values
        return labels


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledData:
    """All labelled studies, sorted by UID, and each file and row that is of none.

    labels: name of the table, columns: of it; "" and () without one. left_out: columns that were not read,
    since they say who the patient is, or are further keys.
    """

    studies: tuple[LabelledStudy, ...]
    set_aside: tuple[SetAside, ...] = ()
    labels: str = ""
    columns: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def patients(self) -> tuple[str, ...]:
        """Keys of all patients, sorted, each once."""
        return tuple(sorted({study.patient for study in self.studies}))

    def only(self, patients: Iterable[str]) -> LabelledData:
        """Return what is of these patients; what was set aside stays."""
        wanted = frozenset(patients)
        return replace(self, studies=tuple(one for one in self.studies if one.patient in wanted))

    @property
    def digest(self) -> str:
        """SHA-256, 64 hex digits, over UIDs of images and annotations and over labels: equal data, equal."""
        digest = hashlib.sha256()
        for study in self.studies:
            uids = {header.sop_instance_uid for stack in study.stacks for header in stack.headers}
            uids |= {one.sop_instance_uid for one in study.annotations}
            labels = sorted(study.row.items())
            labels += sorted(item for one in study.told for item in one.values.items())
            digest.update(repr((study.study.study_instance_uid, sorted(uids), labels)).encode())
        return digest.hexdigest()


def _is_table(one: SetAside) -> bool:
    """Tell whether it is a table of labels, a kept split or the like, as lie beside studies."""
    return one.code == NOT_DICOM.code and Path(one.file or "").suffix.lower() in _TABLES


def read_labelled(
    data: Sequence[Path], labels: Path | None = None, progress: Progress = no_progress
) -> LabelledData:
    """Read the studies among and below `data`, the SEG, RTSTRUCT and SR that speak of them, and a table.

    Partly labelled studies are the usual case. Raises NodeError: LABELS_WRONG with all problems of the table,
    LABELS_OF_OTHERS where no row is of this data, NO_INSTANCES, FILE_UNREADABLE.
    """
    table = None if labels is None else read_labels(labels)
    reading = read_studies(data, progress)
    set_aside = [one for one in reading.set_aside if one.file != str(labels) and not _is_table(one)]
    studies: list[LabelledStudy] = []
    for files in reading.studies:
        study = _study(files, data)
        if isinstance(study, SetAside):
            set_aside.append(study)
        elif study is not None:
            studies.append(study)
    studies, set_aside = _annotated(studies, set_aside, progress)
    if table is not None and labels is not None:
        studies, unused = _labelled(studies, table, labels, data)
        set_aside += unused
    return LabelledData(
        studies=tuple(studies),
        set_aside=tuple(set_aside),
        labels="" if table is None else table.name,
        columns=() if table is None else table.columns,
        left_out=() if table is None else table.left_out,
    )


def _study(files: StudyFiles, data: Sequence[Path]) -> LabelledStudy | SetAside | None:
    """Make a study of its files; None where it holds no image, and what is said of one of two persons."""
    headers = [header for series in files.series for stack in series.stacks for header in stack.headers]
    if not headers:
        return None
    place = _place(headers, data)
    if len({header.patient_key for header in headers}) > 1:
        text = STUDY_OF_TWO.text(place=place or ".")
        return SetAside(sop_instance_uid=None, file=place or None, code=STUDY_OF_TWO.code, text=text)
    return LabelledStudy(
        patient=patient_of(headers),
        study=files,
        # Whatever else is there: what is learned of it, or said on it, is not of a patient alone
        synthetic=any(_is_synthetic(stack.headers[0]) for one in files.series for stack in one.stacks),
        place=place,
    )


def patient_of(headers: Sequence[Header]) -> str:
    """Return the key of whom a study is: hash of Patient ID and issuer, or of the Study Instance UID."""
    first = headers[0]
    if not has_id(first):
        text = f"study {first.study_instance_uid}"
    else:
        issuer = min((one.person_keys.issuer for one in headers if one.person_keys.issuer), default="")
        text = f"patient {first.patient_key} {issuer}"
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_DIGITS]


def patient_named(patient_id: str, issuer: str = "") -> str:
    """Return the key of whom a Patient ID and its issuer name: as `patient_of` of headers with these."""
    from dicomnode.assemble.persons import hashed  # noqa: PLC0415 (heavy, of use only here)

    text = f"patient {hashed(patient_id)} {issuer and hashed(issuer)}"
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_DIGITS]


def has_id(header: Header) -> bool:
    """Tell whether an image has a Patient ID."""
    return header.patient_key not in {"", _NO_ID}


def _place(headers: Sequence[Header], data: Sequence[Path]) -> str:
    """Return the folder that holds all files of a study, as the path within the data; "" for all of it."""
    common = Path(os.path.commonpath([header.path.parent.absolute() for header in headers]))
    for root in data:
        folder = root.absolute() if root.is_dir() else root.absolute().parent
        if common.is_relative_to(folder):
            inside = common.relative_to(folder).as_posix()
            return "" if inside == "." else inside
    return common.name


def _is_synthetic(header: Header) -> bool:
    """Tell whether an image says that nobody was imaged: Synthetic Data (0008,001C), or it is a phantom."""
    if (header.tags.get("Manufacturer"), header.tags.get("ManufacturerModelName")) == PHANTOM_MAKER:
        return True  # from before (0008,001C)
    return _text_in(header.path, "SyntheticData") == "YES"


def _text_in(path: Path, keyword: str) -> str:
    """Return one attribute of a file; "" where it is not there, or cannot be read."""
    from pydicom import dcmread  # noqa: PLC0415 (heavy, of use only here)

    try:
        with quiet():
            dataset = dcmread(path, stop_before_pixels=True, specific_tags=[keyword])
            return str(dataset.get(keyword, "")).strip()
    except UNREADABLE_ITEMS:
        return ""


def _annotated(
    studies: Sequence[LabelledStudy], set_aside: Sequence[SetAside], progress: Progress
) -> tuple[list[LabelledStudy], list[SetAside]]:
    """Give each study what others say of it; what they are read from is no longer set aside."""
    beside = [Path(one.file) for one in set_aside if one.code == NO_PIXELS.code and one.file]
    if not beside:
        return list(studies), list(set_aside)
    from dicomnode.assemble.annotations import read_annotations  # noqa: PLC0415 (heavy, of use only here)

    reading = read_annotations(beside, [stack for study in studies for stack in study.stacks], progress)
    study_of = {
        series.series_instance_uid: study.study.study_instance_uid
        for study in studies
        for series in study.study.series
    }
    of_study: dict[str, list[Annotation]] = {}
    for one in reading.annotations:
        of_study.setdefault(study_of.get(one.of_series, one.study_instance_uid), []).append(one)
    annotated = [
        replace(study, annotations=tuple(of_study.get(study.study.study_instance_uid, ())))
        for study in studies
    ]
    read = {one.sop_instance_uid for one in reading.annotations}
    told = {one.file for one in reading.set_aside}
    rest = [one for one in set_aside if one.sop_instance_uid not in read and one.file not in told]
    return annotated, [*rest, *reading.set_aside]


def _labelled(
    studies: Sequence[LabelledStudy], table: LabelTable, path: Path, data: Sequence[Path]
) -> tuple[list[LabelledStudy], list[SetAside]]:
    """Give each study its rows of the table, and each row that no study has."""
    accessions: dict[str, str] = {}
    if table.kind is KeyKind.ACCESSION:
        first = {one.study.study_instance_uid: one.stacks[0].headers[0].path for one in studies}
        accessions = {uid: _text_in(file, "AccessionNumber") for uid, file in first.items()}
    placed = place_rows(
        table, path, [(one.study, one.place) for one in studies], data=data, accessions=accessions
    )
    labelled = [
        replace(
            one,
            row=placed.of_study.get(one.study.study_instance_uid, {}),
            told=tuple(placed.within.get(one.study.study_instance_uid, ())),
        )
        for one in studies
    ]
    return labelled, placed.unused
