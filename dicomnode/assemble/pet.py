"""What a PET image says that its values can be made comparable by: units, dose, times (PS3.3 C.8.9)."""

from __future__ import annotations

from datetime import date as date_type
from datetime import datetime, time
from typing import Final

from pydicom import Dataset
from pydicom.valuerep import DA, DT, TM

from dicomnode.assemble.attributes import items_of, positive_of, text_of, texts_of
from dicomnode.assemble.suv import PetFacts
from dicomnode.store.foreign import UNREADABLE

KEYWORDS: Final = (
    "Units",
    "SUVType",
    "DecayCorrection",
    "DecayCorrected",
    "DecayCorrectionDateTime",
    "CorrectedImage",
    "AttenuationCorrected",
    "SeriesType",
    "PatientWeight",
    "RadiopharmaceuticalInformationSequence",
    "SeriesDate",
    "SeriesTime",
    "AcquisitionDate",
    "AcquisitionTime",
    "AcquisitionDateTime",
    "FrameReferenceTime",
    "ActualFrameDuration",
    "TimezoneOffsetFromUTC",
)

# Near the ends of what a date can be, a day more would be none. De-identified scans may be of any other year
_YEARS: Final = range(2, 9999)
# A maker's private block may start at any of these (PS3.5 7.8.1); makers use the first few.
_BLOCKS: Final = range(0x10, 0x14)
_PHILIPS: Final = (0x7053, "Philips PET Private Group")
_GE: Final = (0x0009, "GEMS_PETD_01")
_PHILIPS_SUV: Final = 0x00  # factor from values to SUV body weight
_PHILIPS_ACTIVITY: Final = 0x09  # factor from values to Bq/ml
_GE_SCAN: Final = 0x0D  # date and time of the scan's start
PRIVATE_TAGS: Final = tuple(
    (group << 16) | element
    for (group, _), numbers in ((_PHILIPS, (_PHILIPS_SUV, _PHILIPS_ACTIVITY)), (_GE, (_GE_SCAN,)))
    for block in _BLOCKS
    for element in (block, *((block << 8) | number for number in numbers))
)


def pet_facts(dataset: Dataset) -> PetFacts:
    """Return what a (flat) data set says; what is missing or not valid is None or empty."""
    drugs = items_of(dataset, "RadiopharmaceuticalInformationSequence")
    dosed = [one for one in drugs if positive_of(one, "RadionuclideTotalDose") is not None]
    drug = (*dosed, *drugs, Dataset())[0]
    zone = text_of(dataset, "TimezoneOffsetFromUTC")
    return PetFacts(
        units=text_of(dataset, "Units").upper(),
        suv_type=text_of(dataset, "SUVType").upper(),
        decay_correction=_decay_correction(dataset),
        corrected=_corrected(dataset),
        of_several="DYNAMIC" in texts_of(dataset, "SeriesType"),
        weight_kg=positive_of(dataset, "PatientWeight"),
        doses=len(dosed),
        dose_bq=positive_of(drug, "RadionuclideTotalDose"),
        half_life_s=positive_of(drug, "RadionuclideHalfLife"),
        injected_at=_date_time(text_of(drug, "RadiopharmaceuticalStartDateTime"), zone),
        injected_time=_time(text_of(drug, "RadiopharmaceuticalStartTime")),
        series_at=_moment(dataset, "SeriesDate", "SeriesTime"),
        acquired_at=_date_time(text_of(dataset, "AcquisitionDateTime"), zone)
        or _moment(dataset, "AcquisitionDate", "AcquisitionTime"),
        corrected_to=_date_time(text_of(dataset, "DecayCorrectionDateTime"), zone)
        or _date_time(_private(dataset, *_GE, _GE_SCAN), zone),
        reference_ms=positive_of(dataset, "FrameReferenceTime"),
        duration_ms=positive_of(dataset, "ActualFrameDuration"),
        private_suv=_private_number(dataset, *_PHILIPS, _PHILIPS_SUV),
        private_bq_ml=_private_number(dataset, *_PHILIPS, _PHILIPS_ACTIVITY),
    )


def _corrected(dataset: Dataset) -> tuple[str, ...]:
    """Return what was corrected for, in the words of (0028,0051); enhanced PET has an attribute of each."""
    enhanced = (("AttenuationCorrected", "ATTN"), ("DecayCorrected", "DECY"))
    said = (word for keyword, word in enhanced if text_of(dataset, keyword).upper() == "YES")
    return (*texts_of(dataset, "CorrectedImage"), *said)


def _decay_correction(dataset: Dataset) -> str:
    """Return START, ADMIN or NONE (0054,1102); enhanced PET says YES and to when (PS3.3 C.8.22.2)."""
    said = text_of(dataset, "DecayCorrection").upper()
    enhanced = text_of(dataset, "DecayCorrected").upper()
    return said or {"YES": "START", "NO": "NONE"}.get(enhanced, "")


def _date_time(text: str, zone: str) -> datetime | None:
    """Return a DT as the local time of the images; fractions and parts that are missing count as zero."""
    if len(text) < len("YYYYMMDDHHMM"):
        return None
    try:
        moment: datetime = DT(text)
        if moment.tzinfo is not None and zone:
            moment = moment.astimezone(DT(f"20000101000000{zone}").tzinfo)
        if moment.year not in _YEARS:
            return None
        return datetime.combine(moment.date(), moment.time())
    except UNREADABLE:
        return None


def _time(text: str) -> time | None:
    try:
        found: time | None = TM(text) if text else None
    except UNREADABLE:
        return None
    return None if found is None else time(found.hour, found.minute, found.second, found.microsecond)


def _moment(dataset: Dataset, date_keyword: str, time_keyword: str) -> datetime | None:
    try:
        date: date_type | None = DA(text_of(dataset, date_keyword))
    except UNREADABLE:
        return None
    at = _time(text_of(dataset, time_keyword))
    if date is None or at is None or date.year not in _YEARS:
        return None
    return datetime.combine(date, at)


def _private(dataset: Dataset, group: int, creator: str, number: int) -> str:
    """Return a private value as text, whatever its VR; empty if it is missing or not valid."""
    try:
        for block in _BLOCKS:
            if _value_at(dataset, group, block).strip() == creator:
                return _value_at(dataset, group, (block << 8) | number)
    except UNREADABLE:
        return ""
    return ""


def _value_at(dataset: Dataset, group: int, element: int) -> str:
    value = dataset[group, element].value if (group, element) in dataset else ""
    return value.decode("ascii").strip("\0 ") if isinstance(value, bytes) else str(value)


def _private_number(dataset: Dataset, group: int, creator: str, number: int) -> float | None:
    try:
        found = float(_private(dataset, group, creator, number))
    except ValueError:
        return None
    return found if 0 < found < float("inf") else None
