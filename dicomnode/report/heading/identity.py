"""Whose a result is and who made it: set on the finished object, whatever the writer's library left out.

Dates: the result was made when its Findings were (`Findings.made_at`), in the source's zone where it states
one (0008,0201), else in the zone that `made_at` itself carries; never in that of the machine's clock, so
that writing again anywhere gives the same bytes. Where the source states no zone, neither does the result:
the attribute would speak of the copied Study Date and Time too, of whose zone nothing is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Final

from pydicom import Dataset

from dicomnode.report.concepts import ACQUISITION_EQUIPMENT, PROCESSING_EQUIPMENT
from dicomnode.report.heading.characters import is_ascii
from dicomnode.report.heading.headers import Heading
from dicomnode.report.heading.shared_modules import SHARED
from dicomnode.report.objects import EarlierReport
from dicomnode.report.uids import ResultUids, device_serial
from dicomnode.store.names import UTF_8
from dicomnode.values import DEMONSTRATION, Code, Findings, Provenance

MANUFACTURER: Final = "dicomnode"
OWN_SCHEME: Final = "99DICOMNODE"
NOT_CLINICAL: Final = "Not for clinical use"
NOT_WITHOUT_REVIEW: Final = "AI result, not for diagnosis without review."
FOR_A_LOOK: Final = f"Made for a look at findings that the node kept, and not delivered. {NOT_CLINICAL}."
_WITHOUT_TEXT: Final = frozenset({"PerFrameFunctionalGroupsSequence"})  # long, and numbers and UIDs only
_LO_MAX: Final = 64  # characters of an LO, PS3.5 6.2
_DATES: Final = ("InstanceCreation", "Content", "Series")
_NO_CONTENT_DATE: Final = frozenset(
    {"GSPS", "RTSTRUCT"}
)  # they have dates of their own (PS3.3 C.11.10, C.8.8.5)
_WITHOUT_LIBRARY: Final = frozenset({"SC", "PM", "RTSTRUCT", "PDF", "IMAGES", "REG"})  # written here


@dataclass(frozen=True, slots=True, eq=False)
class Imprint:
    """What every result object of some Findings carries beside its content.

    for_a_look: as in the profile. replaces: the reports that the new one takes the place of.
    """

    findings: Findings
    heading: Heading
    salt: bytes
    for_a_look: bool = False
    replaces: tuple[EarlierReport, ...] = ()

    @property
    def made_at(self) -> datetime:
        """When the Findings were made, in the zone that the object is written in."""
        made_at = self.findings.made_at
        return made_at.astimezone(self.heading.offset) if self.heading.offset else made_at

    @property
    def mark(self) -> str:
        """What every object says of what it may be used for, see `mark_of`; for a look, that it was that."""
        look = f"{FOR_A_LOOK} " if self.for_a_look else ""
        return f"{look}{mark_of(self.findings)}"

    @property
    def serial_number(self) -> str:
        """Device Serial Number: names this installation."""
        return device_serial(self.salt)

    def series_description(self, kind: str) -> str:
        """Engine, version and kind of object, for the list of series: "lung-ct 1.0.0 SEG"."""
        made_by = self.findings.provenance
        mark = f"{NOT_CLINICAL}: " if self.for_a_look else ""
        mark += "Demonstration: " if DEMONSTRATION in made_by.details else ""
        return f"{mark}{made_by.engine} {made_by.version} {kind}"[:_LO_MAX]


def mark_of(findings: Findings) -> str:
    """What every object and every page says of its use: the same words everywhere.

    What holds for all results first, then what the engine says of its own use; nothing is added that might
    contradict that.
    """
    use = findings.provenance.use
    if NOT_WITHOUT_REVIEW.rstrip(".").lower() in use.lower():
        return use
    return f"{NOT_WITHOUT_REVIEW} {use}".strip()


def apply_identity(result: Dataset, imprint: Imprint, uids: ResultUids, kind: str) -> None:
    """Set patient, study, dates, series, equipment and UIDs of `result`, over what stands there."""
    _set_patient_and_study(result, imprint.heading)
    _set_dates(result, imprint, kind)
    _set_equipment(result, imprint)
    if imprint.heading.synthetic:
        result.SyntheticData = "YES"
    result.SeriesInstanceUID = uids.series
    result.SeriesDescription = imprint.series_description(kind)
    if imprint.for_a_look:
        result.ContentQualification = "RESEARCH"  # SOP Common, PS3.3 C.12.1 and C.8.13.2.1.1
    result.ContributingEquipmentSequence = _contributing(imprint, kind)
    if schemes := _private_schemes(result):
        result.CodingSchemeIdentificationSequence = [_scheme(designator) for designator in sorted(schemes)]
    if is_ascii(result, besides=_WITHOUT_TEXT):
        result.pop("SpecificCharacterSet", None)
    else:
        result.SpecificCharacterSet = UTF_8


def to_bytes(result: Dataset) -> bytes:
    """The object as a Part 10 file."""
    buffer = BytesIO()
    result.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def software_versions(made_by: Provenance) -> list[str]:
    """Software Versions (0018,1020): the engine, the SHA-256 of the engine's package, and the node.

    The digest fills the 64 characters of an LO. A value of odd length is padded behind its last part (PS3.5
    6.2), which readers count: the digest must not stand there.
    """
    versions = (
        f"{made_by.engine} {made_by.version}",
        made_by.engine_digest,
        f"dicomnode {made_by.node_version}"[: _LO_MAX - 1],
    )
    return [version[:_LO_MAX] for version in versions]


def _set_patient_and_study(result: Dataset, heading: Heading) -> None:
    for keyword in SHARED:
        if keyword in result:
            delattr(result, keyword)
    result.update(heading.shared)


def _set_dates(result: Dataset, imprint: Imprint, kind: str) -> None:
    made_at = imprint.made_at
    date, time = made_at.strftime("%Y%m%d"), made_at.strftime("%H%M%S.%f")
    for what in ("InstanceCreation", "Series") if kind in _NO_CONTENT_DATE else _DATES:
        setattr(result, f"{what}Date", date)
        setattr(result, f"{what}Time", time)
    if imprint.heading.offset is not None:
        result.TimezoneOffsetFromUTC = made_at.strftime("%z")


def _set_equipment(result: Dataset, imprint: Imprint) -> None:
    made_by = imprint.findings.provenance
    result.Manufacturer = MANUFACTURER
    result.ManufacturerModelName = made_by.engine[:_LO_MAX]
    result.SoftwareVersions = software_versions(made_by)
    result.DeviceSerialNumber = imprint.serial_number


def _contributing(imprint: Imprint, kind: str) -> Sequence[Dataset]:
    """Who had a part in it: the scanner, this node with its engine, the library that wrote most of it."""
    from highdicom import __version__ as library_version  # noqa: PLC0415  heavy: only where something is written

    made_by = imprint.findings.provenance
    at = imprint.made_at.strftime("%Y%m%d%H%M%S.%f%z")
    items = []
    source = imprint.heading.equipment
    if source.get("Manufacturer"):
        acquisition = _item(ACQUISITION_EQUIPMENT, "Acquired the source images")
        acquisition.update({e.tag: e for e in source if e.keyword != "BodyPartExamined"})
        items.append(acquisition)
    node = _item(PROCESSING_EQUIPMENT, f"{imprint.mark} {_how(made_by)}")
    node.Manufacturer = MANUFACTURER
    node.ManufacturerModelName = made_by.engine[:_LO_MAX]
    node.SoftwareVersions = software_versions(made_by)
    node.DeviceSerialNumber = imprint.serial_number
    node.ContributionDateTime = at
    if kind in _WITHOUT_LIBRARY:
        return [*items, node]
    library = _item(PROCESSING_EQUIPMENT, "Software library used to create this instance")
    library.Manufacturer = "Highdicom open-source contributors"
    library.ManufacturerModelName = "highdicom"
    library.SoftwareVersions = library_version
    library.ContributionDateTime = at
    return [*items, node, library]


def _private_schemes(item: Dataset) -> set[str]:
    """Coding schemes of the content that are nobody else's: their names start with 99 (PS3.16 8.2)."""
    found = {str(item.get("CodingSchemeDesignator", ""))}
    for element in item:
        if element.VR == "SQ" and element.keyword not in _WITHOUT_TEXT and element.keyword not in SHARED:
            found = found.union(*(_private_schemes(one) for one in element.value))
    return {designator for designator in found if designator.startswith("99")}


def _scheme(designator: str) -> Dataset:
    item = Dataset()
    item.CodingSchemeDesignator = designator
    if designator == OWN_SCHEME:
        item.CodingSchemeName = "Concepts of dicomnode"
        item.CodingSchemeResponsibleOrganization = MANUFACTURER
    return item


def _how(made_by: Provenance) -> str:
    return f"{made_by.title}; {made_by.runtime}, {made_by.precision}, {made_by.device}."


def _item(purpose: Code, description: str) -> Dataset:
    item = Dataset()
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = (
        purpose.value,
        purpose.scheme,
        purpose.meaning,
    )
    item.PurposeOfReferenceCodeSequence = [code]
    item.ContributionDescription = description[:1024]  # ST, PS3.5 6.2
    return item
