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
from types import MappingProxyType
from typing import Final

from pydicom import Dataset
from pydicom.valuerep import format_number_as_ds

from dicomnode.faults import NodeError
from dicomnode.report.agreement import SourceInstance, check_agreement, is_multi_frame, read_instances
from dicomnode.report.characters import UTF_8, as_it_is, read_unicode
from dicomnode.report.cleaning import Cleaning, tag_of
from dicomnode.report.shared_modules import SHARED, TYPE_2
from dicomnode.values import Findings, Grid, Source

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
_AS_IN_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
_DS_MAX: Final = 16  # characters, PS3.5 6.2


@dataclass(frozen=True, slots=True, eq=False)
class Heading:
    """What results take from the headers of their sources.

    shared: attributes of patient and study, clean, to be written in ISO_IR 192.
    equipment: that made the images of the first source, clean; BodyPartExamined stands here too.
    stubs: one an instance, of each source: what it is and where it lies, nothing of the patient.
    Those of the first source say Rows and Columns 1: the writer packs pixels itself (`segment_bits`).
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

    @property
    def modality(self) -> str:
        """Modality (0008,0060) of the first source, empty if it has none."""
        return str(self.stubs[0][0].get("Modality") or "")


def read_heading(
    findings: Findings, otherwise: str = UTF_8, identity: Mapping[str, str] = _AS_IN_HEADERS
) -> Heading:
    """Read, check and clean the headers of all sources of `findings`.

    otherwise: character set of headers that declare none and are not UTF-8. identity: attributes of the
    patient that take the place of those of the headers, by keyword; the headers must agree all the same.
    Raises NodeError: SOURCES_DISAGREE where instances are not of one patient, study, series or geometry;
    SOURCE_HEADER_WRONG where what a result cannot do without is missing or invalid.
    """
    with as_it_is():
        instances = [read_instances(source) for source in findings.sources]
        check_agreement(findings, instances, otherwise)
        first, assumed = read_unicode(findings.sources[0].headers.encoded[0], otherwise)
        cleaning = Cleaning()
        for keyword, value in identity.items():
            setattr(first, keyword, value)
        shared = cleaning.copy(first, SHARED)
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
        )


def _stubs(source: Source, instances: Sequence[SourceInstance], lossy: Dataset) -> tuple[Dataset, ...]:
    stubs = []
    for instance in instances:
        stub = Dataset()
        for keyword in _ITSELF:
            setattr(stub, keyword, instance.text(keyword))
        for keyword in TYPE_2:  # highdicom asks for them; what is written comes from `Heading.shared`
            setattr(stub, keyword, "")
        stub.update(lossy)
        stub.Rows = stub.Columns = 1
        if source.grid is not None and source.plane is None:
            stub.FrameOfReferenceUID = source.grid.frame_of_reference_uid
            if is_multi_frame(source):
                _place_frames(stub, source, source.grid, instance)
            else:
                _place(stub, source.grid, instance, instances[0])
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


def _place(stub: Dataset, grid: Grid, instance: SourceInstance, first: SourceInstance) -> None:
    """Say where the image lies, in the source's own numbers; all images of a series in one orientation."""
    stub.ImagePositionPatient = _written(instance, "ImagePositionPatient", 3)
    stub.ImageOrientationPatient = _written(first, "ImageOrientationPatient", 6)
    stub.PixelSpacing = _written(first, "PixelSpacing", 2)
    try:
        thick = float(instance.numbers("SliceThickness", 1)[0]) > 0
    except NodeError:  # missing, empty or no number
        thick = False
    # Type 1C in a Segmentation, Type 2 in its source: then the distance between the slices stands for it
    distance_mm = grid.slice_distance_mm
    stub.SliceThickness = (
        _written(instance, "SliceThickness", 1) if thick else [format_number_as_ds(distance_mm)]
    )[0]


def _written(instance: SourceInstance, keyword: str, count: int) -> list[str]:
    """Numbers of a DS element as the source wrote them, where it kept to the 16 characters of the VR."""
    values = instance.numbers(keyword, count)
    elements = instance.header[tag_of(keyword)].value
    texts = [str(getattr(e, "original_string", e)) for e in ([elements] if count == 1 else elements)]
    return [
        text if len(text) <= _DS_MAX else format_number_as_ds(float(value))
        for text, value in zip(texts, values, strict=True)
    ]


def _offset(header: Dataset) -> timezone | None:
    found = _OFFSET.fullmatch(str(header.get("TimezoneOffsetFromUTC") or ""))
    if found is None:
        return None
    away = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return timezone(-away if found[1] == "-" else away)


def _numbers(instances: Sequence[SourceInstance]) -> dict[str, int]:
    texts = {one.text("SOPInstanceUID"): one.text("InstanceNumber") for one in instances}
    return {uid: int(text) for uid, text in texts.items() if _INTEGER.fullmatch(text)}
