"""From a file to a `Header`: bounded, nothing decoded, every problem a value.

Only the attributes named here are loaded; all others are skipped where they lie, and reading stops at
the pixels. So a header costs a few kilobytes, whatever a maker put into private elements.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from pydicom import Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from dicomnode.assemble.agents import SEQUENCE as AGENTS
from dicomnode.assemble.attributes import (
    is_empty,
    many,
    numbers_of,
    text_of,
    value_of,
    whole_of,
)
from dicomnode.assemble.bounded import TooMuchError
from dicomnode.assemble.dataset import (
    UNDEFINED_LENGTH,
    UpToPixels,
    Wanted,
    base_tag,
    read_by_pydicom,
    scanned,
)
from dicomnode.assemble.functional_groups import GROUPS, frames_of, has_groups
from dicomnode.assemble.kinds import FRAME_CLASSES, MOST_FRAMES, NM_IMAGE, PET_CLASSES
from dicomnode.assemble.macros import groups_in
from dicomnode.assemble.nuclear import VECTORS, is_reconstructed, nuclear_frames
from dicomnode.assemble.persons import READ as PERSON_KEYWORDS
from dicomnode.assemble.persons import PersonKeys, patient_key, person_keys
from dicomnode.assemble.pet import KEYWORDS as PET_KEYWORDS
from dicomnode.assemble.pet import PRIVATE_TAGS, pet_facts
from dicomnode.assemble.picture_classes import PICTURE_CLASSES
from dicomnode.assemble.picture_facts import KEYWORDS as PICTURE_KEYWORDS
from dicomnode.assemble.picture_facts import picture_facts
from dicomnode.assemble.record import Header, Orientation, RealWorld
from dicomnode.faults import HEADER_DAMAGED, NOT_DICOM, Fault
from dicomnode.store.foreign import UNREADABLE, UNREADABLE_ITEMS, file_unreadable, is_of_the_disk, reason
from dicomnode.values import FACT_TAGS, Code, SetAside, is_valid_uid

# What tells images at one position apart, the most telling first: what kind of image it is, how it was made,
# which of a sequence it is, and only then numbers and times.
PHASE_KEYWORDS: Final = (
    "ImageType",
    "ComplexImageComponent",
    "MetaboliteMapDescription",
    "RescaleType",
    "EchoTime",
    "EchoNumbers",
    "InversionTime",
    "FlipAngle",
    "DiffusionBValue",
    "DiffusionDirectionality",
    "DiffusionGradientOrientation",
    "ConvolutionKernel",
    "FilterType",
    "KVP",
    "ContrastBolusAgent",
    "ContrastBolusAgentPhase",
    "NominalPercentageOfCardiacPhase",
    "NominalPercentageOfRespiratoryPhase",
    "TemporalPositionIdentifier",
    "TemporalPositionTimeOffset",
    "TriggerTime",
    "FrameReferenceTime",
    "EnergyWindowVector",
    "DetectorVector",
    "RRIntervalVector",
    "TimeSlotVector",
    "StackID",
    "AcquisitionNumber",
    "LossyImageCompression",
    "DimensionIndexValues",
    "AcquisitionTime",
    "AcquisitionDateTime",
)
# What kind of image it is, beside Image Type.
_KIND_KEYWORDS: Final = (
    "ContrastBolusRoute",
    "ContrastBolusStartTime",
    "ConcatenationUID",
    "SeriesType",
    "VolumetricProperties",
    "VolumeBasedCalculationTechnique",
)
# Sequences that are taken apart, and what else is read to find the frames of a multi-frame object.
_FRAME_KEYWORDS: Final = (
    *GROUPS,
    *VECTORS,
    "DimensionIndexSequence",
    "DetectorInformationSequence",
    "SpacingBetweenSlices",
    "RealWorldValueMappingSequence",
    AGENTS,
)
_OTHER_KEYWORDS: Final = (
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "InstanceNumber",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "PixelRepresentation",
    "PixelSpacing",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "RescaleSlope",
    "RescaleIntercept",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
)
_SHOWN: Final = {
    word: base_tag(tag_for_keyword(word) or 0)
    for word in sorted({*FACT_TAGS, *PHASE_KEYWORDS, *_KIND_KEYWORDS})
}
_READ: Final = {
    *_SHOWN,
    *_FRAME_KEYWORDS,
    *PERSON_KEYWORDS,
    *PET_KEYWORDS,
    *PICTURE_KEYWORDS,
    *_OTHER_KEYWORDS,
}
_UIDS: Final = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")

# A text or a list in these attributes that is longer says nothing that matching needs.
_LONGEST_VALUE: Final = 4096  # bytes
_LONGEST_SEQUENCE: Final = 16384  # bytes, with their items
# But these grow with the number of frames: what each frame costs, and how many there may be.
_OF_ALL_FRAMES: Final = (*GROUPS, *VECTORS, "FrameTimeVector")
_LONGEST_GROUPS: Final = 256 * 2**20  # bytes
_WANTED: Final = Wanted(
    tags=frozenset({*(tag_for_keyword(word) or 0 for word in _READ), *PRIVATE_TAGS}),
    longest=_LONGEST_VALUE,
    longer={tag_for_keyword(word) or 0: _LONGEST_SEQUENCE for word in _READ if dictionary_VR(word) == "SQ"}
    | {tag_for_keyword(word) or 0: _LONGEST_GROUPS for word in _OF_ALL_FRAMES},
)

# Transfer syntaxes whose pixels have the length that the header says; all others are encapsulated.
_NATIVE: Final = frozenset(
    {
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
    }
)
_NO_PIXEL_DATA: Final = "it has no Pixel Data"


def read_headers(path: Path) -> tuple[Header, ...] | SetAside:
    """Read the headers of the images in one Part 10 file, or say why it is none or cannot be read.

    Raises NodeError(FILE_UNREADABLE) when the disk does not give the file. Call it within `quiet()`.
    """
    try:
        with path.open("rb") as file:
            if not _is_part10(file):
                return _aside(path, NOT_DICOM, "it has no DICM mark at byte 128")
            return _read(path, file)
    except OSError as error:
        raise file_unreadable(path, error) from error


def is_part10(path: Path) -> bool:
    """Tell whether a file has the mark of PS3.10 section 7.1; raises NodeError(FILE_UNREADABLE)."""
    try:
        with path.open("rb") as file:
            return _is_part10(file)
    except OSError as error:
        raise file_unreadable(path, error) from error


def _is_part10(file: BinaryIO) -> bool:
    mark = file.read(132)[128:]
    file.seek(0)
    return mark == b"DICM"


def _aside(path: Path, fault: Fault, error: str, sop_instance_uid: str | None = None) -> SetAside:
    text = fault.text(file=path.name, error=error)
    return SetAside(sop_instance_uid=sop_instance_uid, file=str(path), code=fault.code, text=text)


def _read(path: Path, file: BinaryIO) -> tuple[Header, ...] | SetAside:
    try:
        read = scanned(file, _WANTED)
        if read is None:
            read = read_by_pydicom(file, _WANTED)
        dataset, syntax = read.dataset, read.transfer_syntax_uid
        uids = {keyword: text_of(dataset, keyword) for keyword in _UIDS}
    except OSError as error:
        if is_of_the_disk(error):
            raise
        return _aside(path, HEADER_DAMAGED, reason(error))
    except UNREADABLE as error:
        return _aside(path, HEADER_DAMAGED, _why(error))
    for keyword, uid in uids.items():
        if not is_valid_uid(uid):
            instance = uids["SOPInstanceUID"]
            error_text = f"{keyword} is missing or no UID"
            return _aside(path, HEADER_DAMAGED, error_text, instance if is_valid_uid(instance) else None)
    if not is_valid_uid(syntax):
        return _aside(path, HEADER_DAMAGED, "it names no transfer syntax", uids["SOPInstanceUID"])
    try:
        whole = _Whole(
            path=path,
            uids=uids | {"TransferSyntaxUID": syntax},
            damage=_damage(read),
            patient_key=patient_key(dataset),
            person_keys=person_keys(dataset),
        )
        return _images(dataset, whole)
    except UNREADABLE_ITEMS as error:  # the disk is not asked any more
        return _aside(path, HEADER_DAMAGED, _why(error), uids["SOPInstanceUID"])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Whole:
    """What all frames of an object share. damage: see `Header`."""

    path: Path
    uids: Mapping[str, str]
    damage: str | None
    patient_key: str
    person_keys: PersonKeys


def _why(error: BaseException) -> str:
    return str(error) if isinstance(error, TooMuchError) else reason(error)


def _damage(read: UpToPixels) -> str | None:
    """Say why the pixels cannot be read, as far as lengths tell."""
    if read.pixels is None:
        return _NO_PIXEL_DATA
    frames = whole_of(read.dataset, "NumberOfFrames") or 1
    if frames < 1:
        return f"(0028,0008) NumberOfFrames is {frames}"
    if read.transfer_syntax_uid not in _NATIVE or read.pixels.length == UNDEFINED_LENGTH:
        return None
    names = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")
    counts = [whole_of(read.dataset, name) or 0 for name in names]
    wanted = frames * counts[0] * counts[1] * counts[2] * counts[3] // 8
    if text_of(read.dataset, "PhotometricInterpretation") == "YBR_FULL_422":  # PS3.3 C.7.6.3.1.2
        wanted = wanted // 3 * 2  # two pixels share their colour
    there = min(read.pixels.length, max(read.size - read.pixels.begin, 0))
    return f"its Pixel Data end after {there} of {wanted} bytes" if there < wanted else None


def _images(dataset: Dataset, whole: _Whole) -> tuple[Header, ...]:
    """Return a header a frame where the frames of the object may be slices, else one of the whole.

    An object of one frame is a single image, whatever its class: series of such objects exist.
    """
    frames = whole_of(dataset, "NumberOfFrames") or 1
    of_frames: Iterator[Dataset] = iter(())
    sop_class_uid = whole.uids["SOPClassUID"]
    if sop_class_uid in FRAME_CLASSES and 1 <= frames <= MOST_FRAMES:
        if sop_class_uid != NM_IMAGE:
            of_frames = frames_of(dataset) if has_groups(dataset, frames) else of_frames
        elif is_reconstructed(dataset):
            of_frames = nuclear_frames(dataset, frames)
    images = tuple(
        _header(frame, whole, number if frames > 1 else None)
        for number, frame in enumerate(of_frames, start=1)
    )
    return images or (_header(dataset, whole, None),)


def _header(dataset: Dataset, whole: _Whole, number: int | None) -> Header:
    uids = whole.uids
    spacing = numbers_of(dataset, "PixelSpacing", 2)
    orientation = numbers_of(dataset, "ImageOrientationPatient", 6)
    position = numbers_of(dataset, "ImagePositionPatient", 3)
    rescale = _rescale(dataset)
    padding, limit = whole_of(dataset, "PixelPaddingValue"), whole_of(dataset, "PixelPaddingRangeLimit")
    image_type = value_of(dataset, "ImageType")
    there = dataset.keys()
    tags = {keyword: value_of(dataset, keyword) for keyword, tag in _SHOWN.items() if tag in there}
    return Header(
        path=whole.path,
        sop_instance_uid=uids["SOPInstanceUID"],
        sop_class_uid=uids["SOPClassUID"],
        study_instance_uid=uids["StudyInstanceUID"],
        series_instance_uid=uids["SeriesInstanceUID"],
        transfer_syntax_uid=uids["TransferSyntaxUID"],
        patient_key=whole.patient_key,
        person_keys=whole.person_keys,
        modality=text_of(dataset, "Modality"),
        frame_of_reference_uid=text_of(dataset, "FrameOfReferenceUID") or None,
        image_type=tuple(str(word).upper() for word in many(image_type)),
        instance_number=whole_of(dataset, "InstanceNumber"),
        frames=max(whole_of(dataset, "NumberOfFrames") or 1, 1),
        frame_number=number,
        samples=whole_of(dataset, "SamplesPerPixel") or 0,
        photometric=text_of(dataset, "PhotometricInterpretation"),
        rows=whole_of(dataset, "Rows") or None,
        columns=whole_of(dataset, "Columns") or None,
        # 0.000 is written by some: as good as nothing, and must not be divided by
        spacing_ji_mm=(spacing[0], spacing[1]) if spacing and min(spacing) > 0 else None,
        orientation=_six(orientation) if orientation else None,
        position_lps_mm=(position[0], position[1], position[2]) if position else None,
        rescale=rescale,
        lacks_intercept=rescale is not None and is_empty(dataset, "RescaleIntercept"),
        mappings=_mappings(dataset),
        pet=pet_facts(dataset) if uids["SOPClassUID"] in PET_CLASSES else None,
        picture=picture_facts(dataset) if uids["SOPClassUID"] in PICTURE_CLASSES else None,
        padding=(padding, padding if limit is None else limit) if padding is not None else None,
        has_pixels=whole.damage != _NO_PIXEL_DATA,
        damage=whole.damage,
        tags={keyword: value for keyword, value in tags.items() if value is not None},
    )


def _rescale(dataset: Dataset) -> tuple[float, float] | None:
    """Return slope and intercept; an intercept that is missing or empty is 0, and never costs the slope."""
    slope, intercept = numbers_of(dataset, "RescaleSlope", 1), numbers_of(dataset, "RescaleIntercept", 1)
    if slope is None or slope[0] == 0:
        return None
    if intercept is None:
        return (slope[0], 0.0) if is_empty(dataset, "RescaleIntercept") else None
    return slope[0], intercept[0]


def _mappings(dataset: Dataset) -> tuple[RealWorld, ...]:
    """Return the linear Real World Value Mappings that name a unit; tables are not used."""
    found = []
    for item in groups_in(dataset, "RealWorldValueMappingSequence"):
        slope, intercept = (value_of(item, f"RealWorldValue{word}") for word in ("Slope", "Intercept"))
        unit = next(groups_in(item, "MeasurementUnitsCodeSequence"), Dataset())
        words = [text_of(unit, word) for word in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")]
        if not isinstance(slope, int | float) or not isinstance(intercept, int | float) or slope == 0:
            continue
        try:
            code = Code(words[0], words[1], words[2] or words[0])
        except ValueError:  # no code, or one that is longer than it may be
            continue
        found.append(RealWorld(float(slope), float(intercept), code))
    return tuple(found)


def _six(numbers: tuple[float, ...]) -> Orientation:
    a, b, c, d, e, f = numbers
    return (a, b, c, d, e, f)
