"""A rejection note: the key object document by which an archive hides results that were taken back.

IHE Imaging Object Change Management (IOCM): a Key Object Selection (PS3.3 A.35.4, template 2010) whose title
says why (CID 7010) and which names the objects. What an archive does with it, and whether it knows it at all,
is its own affair; the note is stored like any other object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from dicomnode.faults import REPORT_FAILED, RESULT_GONE, NodeError
from dicomnode.report.heading.characters import is_ascii
from dicomnode.report.heading.identity import to_bytes
from dicomnode.report.heading.shared_modules import SHARED
from dicomnode.report.objects import Kind, ResultObject
from dicomnode.report.selections.document import Selection, build_selection
from dicomnode.report.uids import device_serial
from dicomnode.store.foreign import strict
from dicomnode.store.names import UTF_8
from dicomnode.values import Code, derive_uid
from dicomnode.values.rejection import REJECTIONS

KIND: Final[Kind] = "KO"
# Beside the series of results, whose numbers begin with that of the settings
_BEHIND: Final = 99


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """What is rejected and why. objects: our own files, the latest last. code: of CID 7010.

    name: of the taking back, unique within the study. made_at: in the zone that times are written in.
    """

    objects: tuple[Path, ...]
    code: str
    name: str
    destination: str
    made_at: datetime
    series_number: int = 9000

    def __post_init__(self) -> None:
        if not self.objects:
            raise ValueError("Rejection.objects must name at least one object")
        if self.code not in REJECTIONS:
            raise ValueError(f"Rejection.code must be of CID 7010, got {self.code!r}")
        if self.made_at.tzinfo is None:
            raise ValueError("Rejection.made_at must carry a time zone")


def make_rejection_note(rejection: Rejection, salt: bytes) -> ResultObject:
    """Make the note; the same rejection always gives the same bytes.

    Patient and study are those of the latest of its objects. Raises NodeError: RESULT_GONE, REPORT_FAILED.
    """
    headers = [_header(path) for path in rejection.objects]
    origin = (
        str(headers[-1].StudyInstanceUID),
        rejection.name,
        rejection.code,
        rejection.destination,
        *sorted(str(header.SOPInstanceUID) for header in headers),
        str(KIND),
    )
    try:
        with strict():  # as for results: nothing doubtful is sent
            note = _build(rejection, headers, salt, origin)
    except (AttributeError, KeyError, TypeError, ValueError, UserWarning) as error:
        # The library's words speak of the types of our own clean headers, not of values
        raise NodeError(REPORT_FAILED, kind=KIND, error=type(error).__name__) from error
    _finish(note, rejection, headers[-1], salt)
    return ResultObject(
        kind=KIND,
        sop_class_uid=str(note.SOPClassUID),
        sop_instance_uid=str(note.SOPInstanceUID),
        series_instance_uid=str(note.SeriesInstanceUID),
        content=to_bytes(note),
    )


def _header(path: Path) -> Dataset:
    try:
        return dcmread(path, stop_before_pixels=True)
    except (OSError, InvalidDicomError) as error:
        raise NodeError(RESULT_GONE, path=path, error=type(error).__name__) from error


def _build(rejection: Rejection, headers: Sequence[Dataset], salt: bytes, origin: tuple[str, ...]) -> Dataset:
    selection = Selection(
        title=Code(rejection.code, "DCM", REJECTIONS[rejection.code]),
        objects=tuple(reversed(headers)),  # the latest first: patient and study are taken of it
        series_number=rejection.series_number + _BEHIND,
        series_instance_uid=derive_uid(salt, *origin, "series"),
        sop_instance_uid=derive_uid(salt, *origin, "instance"),
    )
    return build_selection(selection, salt)


def _finish(note: Dataset, rejection: Rejection, latest: Dataset, salt: bytes) -> None:
    """Set patient, study, dates and equipment, over what stands there."""
    for keyword in SHARED:
        if keyword in note:
            delattr(note, keyword)
        if keyword in latest:
            note[keyword] = latest[keyword]
    if "SyntheticData" in latest:
        note.SyntheticData = latest.SyntheticData
    at = rejection.made_at
    if "TimezoneOffsetFromUTC" in latest:
        zone = datetime.strptime(str(latest.TimezoneOffsetFromUTC), "%z").tzinfo
        at = at.astimezone(zone)
        note.TimezoneOffsetFromUTC = at.strftime("%z")
    for what in ("InstanceCreation", "Content", "Series"):
        setattr(note, f"{what}Date", at.strftime("%Y%m%d"))
        setattr(note, f"{what}Time", at.strftime("%H%M%S.%f"))
    for equipment in note.get(
        "ContributingEquipmentSequence", ()
    ):  # the library's own, with the clock's time
        equipment.ContributionDateTime = at.strftime("%Y%m%d%H%M%S.%f%z")
    note.SeriesDescription = REJECTIONS[rejection.code]
    note.DeviceSerialNumber = device_serial(salt)
    if is_ascii(note):
        note.pop("SpecificCharacterSet", None)
    else:
        note.SpecificCharacterSet = UTF_8
