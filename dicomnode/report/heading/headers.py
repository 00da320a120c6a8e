"""The source's headers as reports use them: checked for one patient and one geometry, in Unicode, clean.

The writers never see the headers as they came. They get *stubs*: what describes an image and nothing of the
patient, for highdicom to build on; and the patient's and study's attributes apart, cleaned, which are set on
the finished object. So no wrong header breaks a writer, and none gets through it unchecked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta, timezone
from typing import Final

import numpy as np
from pydicom import Dataset
from pydicom.valuerep import format_number_as_ds

from dicomnode.faults import IDENTITY_UNSURE, NodeError
from dicomnode.report.heading.agreement import (
    EQUAL_MM,
    SourceInstance,
    check_agreement,
    is_multi_frame,
    person_in,
    read_instances,
)
from dicomnode.report.heading.characters import as_it_is, read_encoded, read_unicode, terms_of
from dicomnode.report.heading.cleaning import Cleaning, element_of, tag_of
from dicomnode.report.heading.shared_modules import IDENTIFYING, SHARED, TYPE_2
from dicomnode.store.names import UTF_8
from dicomnode.store.persons import NO_RENAMING, Renaming
from dicomnode.values import Findings, Float64, Grid, Source

_EQUIPMENT: Final = (
    "Manufacturer",
    "ManufacturerModelName",
    "SoftwareVersions",
    "DeviceSerialNumber",
    "InstitutionName",
    "StationName",
    "BodyPartExamined",
)
_ITSELF: Final = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality")
_LOSSY: Final = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
_OFFSET: Final = re.compile(r"([+-])(0\d|1[0-4])([0-5]\d)")  # PS3.3 C.12.1.1.8: &ZZXX, -1200 to +1400

_INTEGER: Final = re.compile(r"[+-]?\d{1,11}")
_DS_MAX: Final = 16  # characters, PS3.5 6.2
_Numbers = tuple[list[str], list[str]]  # Image Orientation (Patient), Pixel Spacing
_EQUAL_COSINES: Final = 1e-5  # six decimals; a corner of 500 mm does not move by more than 0.005 mm


@dataclass(frozen=True, slots=True, eq=False)
class Heading:
    """What results take from the headers of their sources.

    shared: attributes of patient and study, clean, to be written in ISO_IR 192.
    told_id: the Patient ID of these where a message told it, None where a header says it.
    synthetic: an image of any source says that it was made and not acquired, so that results are, too.
    equipment: that made the images of the first source, clean; BodyPartExamined stands here too.
    stubs: one an instance, of each source: what it is and where it lies, nothing of the patient.
    Those of the first source say Rows and Columns 1: the writer packs pixels itself (`segmentation`).
    offset: the source's zone (0008,0201), None if it has none.
    numbers: Instance Number (0020,0013) by SOP Instance UID, of the first source, where it has one.
    notes: what had to be left out or assumed, in sentences without values.
    """

    shared: Dataset
    equipment: Dataset
    stubs: tuple[tuple[Dataset, ...], ...]
    offset: timezone | None
    numbers: dict[str, int]
    notes: tuple[str, ...]
    told_id: str | None = None
    synthetic: bool = False

    @property
    def modality(self) -> str:
        """Modality (0008,0060) of the first source, empty if it has none."""
        return str(self.stubs[0][0].get("Modality") or "")


def read_heading(findings: Findings, otherwise: str = UTF_8, renaming: Renaming = NO_RENAMING) -> Heading:
    """Read, check and clean the headers of all sources of `findings`.

    otherwise: character set of headers that declare none and are not UTF-8. renaming: what messages told of
    the patient, which takes the place of what his headers say; these must agree all the same, but for those
    of whom the messages say that it is one patient.
    Raises NodeError: SOURCES_DISAGREE where instances are not of one patient, study, series or geometry;
    SOURCE_HEADER_WRONG where what a result cannot do without is missing or invalid; IDENTITY_UNSURE where
    the messages may be of another patient.
    """
    with as_it_is():
        instances = [read_instances(source) for source in findings.sources]
        check_agreement(findings, instances, otherwise, renaming)
        first, assumed = read_unicode(findings.sources[0].headers.encoded[0], otherwise)
        patient = instances[0][0]
        if assumed or not terms_of(patient.header):
            patient = _telling(findings, instances, otherwise) or patient
        told = _told_of(patient, otherwise, renaming)
        cleaning = Cleaning()
        shared = cleaning.copy(_with_identity(read_unicode(patient.encoded, otherwise)[0], told), SHARED)
        equipment = cleaning.copy(first, _EQUIPMENT)
        lossy = cleaning.copy(first, _LOSSY)
        stubs = tuple(
            _stubs(source, own, lossy) for source, own in zip(findings.sources, instances, strict=True)
        )
        return Heading(
            shared=shared,
            equipment=equipment,
            stubs=stubs,
            offset=_offset(first),
            numbers=_numbers(instances[0]),
            notes=tuple(note for note in (assumed, *cleaning.notes) if note),
            told_id=told.get("PatientID"),
            synthetic=any(_says_synthetic(one) for own in instances for one in own),
        )


def check_patient(header: bytes, otherwise: str = UTF_8, renaming: Renaming = NO_RENAMING) -> None:
    """Refuse a header, a Part 10 file, that no result can be made with since it is not known whose it is.

    So as `read_heading` refuses it: raises NodeError(SOURCE_HEADER_WRONG, IDENTITY_UNSURE). otherwise,
    renaming: as there.
    """
    with as_it_is():
        told = _told_of(SourceInstance(header, read_encoded(header)), otherwise, renaming)
        first, _ = read_unicode(header, otherwise)
        Cleaning().copy(_with_identity(first, told), IDENTIFYING)


def _told_of(instance: SourceInstance, otherwise: str, renaming: Renaming) -> Mapping[str, str]:
    """What messages told of the patient of an image; nothing where it is of somebody else."""
    if not renaming.told:
        return {}
    person = person_in(instance, otherwise)
    if renaming.may_be_told_of(person):
        raise NodeError(IDENTITY_UNSURE)
    return renaming.told_of(person)


def _telling(
    findings: Findings, instances: Sequence[Sequence[SourceInstance]], otherwise: str
) -> SourceInstance | None:
    """A header of the same study that tells its character set, where the first one does not."""
    tried = {tuple(terms_of(instances[0][0].header)), ()}
    study_uid = findings.sources[0].study_instance_uid
    for one in (one for own in instances for one in own if one.text("StudyInstanceUID") == study_uid):
        terms = tuple(terms_of(one.header))
        if terms not in tried:
            tried.add(terms)
            if read_unicode(one.encoded, otherwise)[1] is None:
                return one
    return None


def _with_identity(header: Dataset, identity: Mapping[str, str]) -> Dataset:
    for keyword, value in identity.items():
        setattr(header, keyword, value)
    return header


def _stubs(source: Source, instances: Sequence[SourceInstance], lossy: Dataset) -> tuple[Dataset, ...]:
    stubs = []
    placed = source.grid if source.plane is None else None
    directions = _directions(placed, instances) if placed and not is_multi_frame(source) else None
    for instance in instances:
        stub = Dataset()
        for keyword in _ITSELF:
            setattr(stub, keyword, instance.text(keyword))
        for keyword in TYPE_2:  # highdicom asks for them; what is written comes from `Heading.shared`
            setattr(stub, keyword, "")
        stub.update(lossy)
        stub.Rows = stub.Columns = 1
        if placed is not None:
            stub.FrameOfReferenceUID = placed.frame_of_reference_uid
            if directions is None:
                _place_frames(stub, source, placed, instance)
            else:
                _place(stub, placed, instance, directions)
        stubs.append(stub)
    return tuple(stubs)


def _place_frames(stub: Dataset, source: Source, grid: Grid, instance: SourceInstance) -> None:
    """Say where each frame lies: a slice of the source on its grid, in one orientation for all.

    Objects differ in where they say it: once for all frames, for each, or (NM) for the first alone. Frames
    that are no slices of the source (of another phase) are put behind its last, each at a place of its own as
    the writer wants it: nothing refers to them.
    """
    stub.NumberOfFrames = int(instance.numbers("NumberOfFrames", 1)[0])
    uid = str(stub.SOPInstanceUID)
    slice_of = {one.frame_number: k for k, one in enumerate(source.frames) if one.sop_instance_uid == uid}
    _, row_mm, column_mm = grid.spacing_kji_mm
    directions = grid.affine_lps[:3, :2] / [column_mm, row_mm]
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = _decimals(row_mm, column_mm)
    (measures.SliceThickness,) = _decimals(grid.slice_distance_mm)
    orientation.ImageOrientationPatient = _decimals(*directions.T.ravel())
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    stub.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for number in range(1, int(stub.NumberOfFrames) + 1):
        position, frame = Dataset(), Dataset()
        k = slice_of.get(number, grid.shape_kji[0] + number)
        position.ImagePositionPatient = _decimals(*grid.to_lps_mm((k, 0, 0)))
        frame.PlanePositionSequence = [position]
        frames.append(frame)
    stub.PerFrameFunctionalGroupsSequence = frames


def _decimals(*numbers: float) -> list[str]:
    return [format_number_as_ds(float(number)) for number in numbers]


def _place(stub: Dataset, grid: Grid, instance: SourceInstance, directions: _Numbers) -> None:
    """Say where the image lies, in the source's own numbers; all images of a series in one orientation."""
    stub.ImagePositionPatient = _written(instance, "ImagePositionPatient", 3)
    stub.ImageOrientationPatient, stub.PixelSpacing = directions
    try:
        thick = float(instance.numbers("SliceThickness", 1)[0]) > 0
    except NodeError:  # missing, empty or no number
        thick = False
    # Type 1C in a Segmentation, Type 2 in its source: then the distance between the slices stands for it
    distance_mm = grid.slice_distance_mm
    stub.SliceThickness = (
        _written(instance, "SliceThickness", 1) if thick else [format_number_as_ds(distance_mm)]
    )[0]


def _directions(grid: Grid, instances: Sequence[SourceInstance]) -> _Numbers:
    """Image Orientation and Pixel Spacing of the grid, as the source wrote them.

    Of slices that differ a little the grid has the spacing of most and the orientation of the first, made
    perpendicular: where the source has no such numbers, the grid's are taken.
    """
    _, row_mm, column_mm = grid.spacing_kji_mm
    along = (grid.affine_lps[:3, :2] / [column_mm, row_mm]).T.ravel()
    return (
        _nearest(instances[:1], "ImageOrientationPatient", along, _EQUAL_COSINES),
        _nearest(instances, "PixelSpacing", np.array([row_mm, column_mm]), EQUAL_MM),
    )


def _nearest(own: Sequence[SourceInstance], keyword: str, wanted: Float64, equal: float) -> list[str]:
    """Numbers of the first instance that has those wanted, as it wrote them; else the wanted ones."""
    for one in own:
        if np.abs(one.numbers(keyword, len(wanted)) - wanted).max() <= equal:
            return _written(one, keyword, len(wanted))
    return _decimals(*wanted)


def _written(instance: SourceInstance, keyword: str, count: int) -> list[str]:
    """Numbers of a DS element as the source wrote them, where it kept to the 16 characters of the VR."""
    values = instance.numbers(keyword, count)
    elements = instance.header[tag_of(keyword)].value
    texts = [str(getattr(e, "original_string", e)) for e in ([elements] if count == 1 else elements)]
    return [
        text if len(text) <= _DS_MAX else format_number_as_ds(float(value))
        for text, value in zip(texts, values, strict=True)
    ]


def _says_synthetic(instance: SourceInstance) -> bool:
    """Tell whether Synthetic Data (0008,001C) is YES (PS3.3 C.12.1)."""
    try:
        return instance.text("SyntheticData") == "YES"
    except NodeError:  # of another VR: nothing is said
        return False


def _offset(header: Dataset) -> timezone | None:
    try:
        said = element_of(header, "TimezoneOffsetFromUTC")
    except NodeError:  # of another VR
        return None
    found = _OFFSET.fullmatch("" if said is None else str(said.value or ""))
    if found is None:
        return None
    away = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return timezone(-away if found[1] == "-" else away)


def _numbers(instances: Sequence[SourceInstance]) -> dict[str, int]:
    numbers = {}
    for one in instances:
        try:
            text = one.text("InstanceNumber")
        except NodeError:  # no whole number: then there is none
            continue
        if _INTEGER.fullmatch(text):
            numbers[one.text("SOPInstanceUID")] = int(text)
    return numbers
