"""What is done to which attribute: Table E.1-1 of PS3.15 as the library has it, and the options taken.

The Basic Application Level Confidentiality Profile with Clean Structured Content and Clean Descriptors
always; Retain Longitudinal Temporal Information with Modified Dates and Retain Patient Characteristics as
asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from typing import Any, Final

from pydicom.datadict import dictionary_has_tag, dictionary_keyword, dictionary_VR
from pydicom.tag import BaseTag

from dicomnode.faults import EXPORT_MISSING, NodeError

EDITION: Final = "2026c"
"""Edition of PS3.15 whose Table E.1-1 is used."""

# Table E.1-1, column Rtn. Pat. Chars. Opt.: K. Those that are C there (allergies, pre-medication, special
# needs, state) are free texts and go.
CHARACTERISTICS: Final = frozenset(
    {
        "EthnicGroup",
        "PatientAge",
        "PatientSex",
        "PatientSexNeutered",
        "PatientBodyMassIndex",
        "PatientSize",
        "PatientWeight",
        "PregnancyStatus",
        "SmokingStatus",
    }
)
# Of birth: no option retains it
_BIRTH: Final = frozenset({"PatientBirthDate", "PatientBirthTime", "PatientBirthDateInAlternativeCalendar"})
# Column Clean Desc. Opt.: C, as far as learning needs them; and texts of labels, which the table leaves out
_DESCRIPTORS: Final = frozenset(
    {
        "ContentDescription",
        "ContentLabel",
        "ContrastBolusAgent",
        "DerivationDescription",
        "ImageComments",
        "PerformedProcedureStepDescription",
        "ProtocolName",
        "ROIDescription",
        "ROIGenerationDescription",
        "ROIName",
        "ROIObservationDescription",
        "ROIObservationLabel",
        "RequestedProcedureDescription",
        "SegmentDescription",
        "SegmentLabel",
        "SeriesDescription",
        "StructureSetDescription",
        "StructureSetLabel",
        "StructureSetName",
        "StudyDescription",
        "TextValue",
        "TrackingID",
        "WindowCenterWidthExplanation",
    }
)
# Sequences whose action is D or Z, whose items are cleaned instead: they are the content
_CLEANED_SEQUENCES: Final = frozenset({"ContentSequence", "VerifyingObserverSequence"})
_TYPE_2: Final = frozenset({"ReferencedPerformedProcedureStepSequence"})  # of reports (PS3.3 C.17.1)
_EMPTIED_SEQUENCES: Final = frozenset({"empty", "delete_or_empty"})
_OF_A_CLASS: Final = ("Class", "TransferSyntax", "CodingSchemeUID", "ContextUID", "MappingResourceUID")
_TEMPORAL: Final = frozenset({"DA", "DT", "TM"})
# Anyone can look up when a table of codes was published: moved, it would tell by how many days dates move
_PUBLISHED: Final = frozenset({"ContextGroupVersion", "ContextGroupLocalVersion"})
# The library's table leaves these out, and each says who somebody is, or may hold anything
_LEFT_OUT: Final = frozenset(
    {
        "AssignedLocation",
        "BoardingPassID",
        "BreedRegistrationNumber",
        "CarrierID",
        "ConfidentialityCode",
        "ContactDisplayName",
        "DeviceID",
        "EncryptedAttributesSequence",
        "FillerOrderNumberImagingServiceRequestRetired",
        "FillerOrderNumberProcedure",
        "HangingProtocolCreator",
        "HangingProtocolUserGroupName",
        "ItineraryID",
        "LocalNamespaceEntityID",
        "NTPSourceAddress",
        "OwnerID",
        "PatientBirthDateInAlternativeCalendar",
        "PatientDeathDateInAlternativeCalendar",
        "PlacerOrderNumberImagingServiceRequestRetired",
        "PlacerOrderNumberProcedure",
        "PrintJobID",
        "PrinterName",
        "StorageMediaFileSetID",
        "UniversalEntityID",
        "WaveformSequence",
    }
)
_FREE_TEXTS: Final = frozenset({"LT", "ST", "UC", "UT"})
_MAY_HOLD_ANYTHING: Final = frozenset({"OB", "OB or OW", "UN", "UR"})
_NEEDED: Final = frozenset(
    {"BadPixelImage", "ExtendedCodeMeaning", "ICCProfile", "LongCodeValue", "PixelData", "URNCodeValue"}
)
_GROUPS_OF_DRAWINGS: Final = (range(0x5000, 0x5100), range(0x6000, 0x6100))  # curves, overlays


class Deed(Enum):
    """What is done to one element."""

    KEEP = auto()
    REMOVE = auto()
    CLEAR = auto()
    """A sequence is left without items."""
    LIBRARY = auto()
    """The library's own action for the attribute: emptied, or a dummy value of its VR."""
    UID = auto()
    WALK = auto()
    DATE = auto()
    WORDS = auto()
    AGE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What may stay. shift_dates: dates are moved by patient; else they are emptied or dummies.

    characteristics: sex, age, size, weight and the like stay (SUV needs the weight).
    """

    shift_dates: bool = True
    characteristics: bool = False


Action = Callable[[Any, Any], None]


def require_library() -> None:
    """Raise NodeError(EXPORT_MISSING) where the library of the extra [export] cannot be imported."""
    _library()


@cache
def _table() -> Mapping[BaseTag, Action]:
    made: Mapping[tuple[int, ...], Action] = _library().initialize_actions(f"dicomfields_{EDITION}")
    # Repeating groups (four numbers) are curves and overlays, which go as whole groups
    return {BaseTag(tag[0] << 16 | tag[1]): action for tag, action in made.items() if len(tag) == 2}


def _library() -> Any:
    try:
        from dicomanonymizer import simpledicomanonymizer  # noqa: PLC0415  of the extra [export]
    except ImportError as error:
        raise NodeError(EXPORT_MISSING, package="dicom-anonymizer", error=error) from error
    return simpledicomanonymizer


def library_action(tag: BaseTag) -> Action | None:
    """The library's function for an attribute whose deed is LIBRARY; None for one that it does not know."""
    return _table().get(tag)


def deed(tag: BaseTag, options: Options) -> Deed:  # noqa: PLR0911  one decision after the other
    """Decide what is done to an element, wherever it stands. Raises NodeError(EXPORT_MISSING)."""
    if _is_unknown(tag):
        return Deed.REMOVE
    keyword, vr = dictionary_keyword(tag), dictionary_VR(tag)
    if keyword in _LEFT_OUT:
        return Deed.REMOVE
    found = _table().get(tag)
    action = found.__name__ if found is not None else ""
    if keyword in CHARACTERISTICS:
        return _of_characteristic(keyword, action, options)
    if keyword in _DESCRIPTORS:
        return Deed.WORDS
    if vr == "UI" and action != "delete" and (action or not any(part in keyword for part in _OF_A_CLASS)):
        return Deed.UID
    if vr in _TEMPORAL and keyword not in _BIRTH | _PUBLISHED and (options.shift_dates or not action):
        return Deed.DATE
    if vr == "SQ":
        return _of_sequence(keyword, action)
    if action == "delete":
        return Deed.REMOVE
    if action or vr == "PN":
        return Deed.LIBRARY
    return _of_no_row(keyword, vr)


def _of_characteristic(keyword: str, action: str, options: Options) -> Deed:
    if options.characteristics:
        return Deed.AGE if keyword == "PatientAge" else Deed.KEEP
    return Deed.LIBRARY if action and action != "delete" else Deed.REMOVE


def _of_no_row(keyword: str, vr: str) -> Deed:
    """Numbers, codes and short names of technique stay; of free texts words do; what may be anything goes."""
    if keyword in _NEEDED:
        return Deed.KEEP
    if vr in _MAY_HOLD_ANYTHING:
        return Deed.REMOVE
    return Deed.WORDS if vr in _FREE_TEXTS else Deed.KEEP


def _of_sequence(keyword: str, action: str) -> Deed:
    if not action or action.endswith("_UID") or keyword in _CLEANED_SEQUENCES:
        return Deed.WALK
    is_emptied = action in _EMPTIED_SEQUENCES or keyword in _TYPE_2
    return Deed.CLEAR if is_emptied else Deed.REMOVE


def _is_unknown(tag: BaseTag) -> bool:
    """Tell whether an element is private, a drawing on the image, a group length, padding, or in no table."""
    if tag.is_private or tag.element == 0 or tag == 0xFFFCFFFC:  # Data Set Trailing Padding
        return True
    if any(tag.group in groups for groups in _GROUPS_OF_DRAWINGS):
        return True
    return not dictionary_has_tag(tag)
