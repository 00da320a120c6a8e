"""What the headers of a stack must have, and what must be one in all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from pydicom.datadict import tag_for_keyword

from dicomnode.assemble.kinds import CT_CLASSES, PET_CLASSES
from dicomnode.assemble.persons import hashed
from dicomnode.assemble.placing import axes
from dicomnode.assemble.record import Header
from dicomnode.faults import TAG_INCONSISTENT, TAG_MISSING
from dicomnode.store.persons import NO_RENAMING, Person, Renaming, difference
from dicomnode.values import Refusal

Required = Mapping[tuple[str, str], Callable[[Header], bool]]

# Without these a slice has no place in the patient (PS3.3 C.7.6.2, C.7.6.3) …
REQUIRED: Final[Required] = {
    ("(0020,0032)", "ImagePositionPatient"): lambda header: header.position_lps_mm is not None,
    ("(0020,0037)", "ImageOrientationPatient"): lambda header: axes(header) is not None,
    ("(0028,0030)", "PixelSpacing"): lambda header: header.spacing_ji_mm is not None,
    ("(0028,0010)", "Rows"): lambda header: header.rows is not None,
    ("(0028,0011)", "Columns"): lambda header: header.columns is not None,
    # … and CT no Hounsfield units (C.8.2.1), PET no activity (C.8.9.4). MR has no unit: it may do without.
    ("(0028,1053)", "RescaleSlope"): lambda header: (
        header.sop_class_uid not in CT_CLASSES | PET_CLASSES
        or header.rescale is not None
        or bool(header.mappings)
    ),
}

# Without it no result can name the space that it lies in (C.7.4.1).
REQUIRED_OF_RESULTS: Final[Required] = {
    ("(0020,0052)", "FrameOfReferenceUID"): lambda header: header.frame_of_reference_uid is not None,
}

Equal = Mapping[tuple[str, str], Callable[[Header], object]]

# What must be one in all stacks of a series at the same places, beside the person.
EQUAL: Final[Equal] = {
    ("(0020,0052)", "FrameOfReferenceUID"): lambda header: header.frame_of_reference_uid,
    ("(0008,0060)", "Modality"): lambda header: header.modality,
    ("(0018,5100)", "PatientPosition"): lambda header: header.tags.get("PatientPosition"),
}

# And in the slices of one stack: magnitude and phase, or HU and effective atomic number, have one each.
EQUAL_IN_STACK: Final[Equal] = {
    # PS3.3 C.11.1.1.2: absent in CT means Hounsfield units
    ("(0028,1054)", "RescaleType"): lambda header: header.tags.get("RescaleType") or "HU",
    # PS3.3 C.8.9.1: of PET the values of all slices are of one kind, and made so in one way
    ("(0054,1001)", "Units"): lambda header: header.pet and header.pet.units,
    ("(0054,1006)", "SUVType"): lambda header: header.pet and header.pet.suv_type,
    ("(0054,1102)", "DecayCorrection"): lambda header: header.pet and header.pet.decay_correction,
}
_SHOWN_VALUES: Final = 3
_WITHIN: Final = "within the series"


def missing(headers: Sequence[Header], required: Required) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return required attributes that some lack, each with the instances that lack it."""
    lacking = {
        attribute: tuple(header.sop_instance_uid for header in headers if not has(header))
        for attribute, has in required.items()
    }
    return {attribute: uids for attribute, uids in lacking.items() if uids}


def missing_refusal(headers: Sequence[Header], required: Required) -> Refusal | None:
    """Refuse headers of which some lack a required attribute; the first such is named."""
    for (tag, keyword), uids in missing(headers, required).items():
        return TAG_MISSING.refusal(
            uids if len(uids) < len(headers) else (),
            tag=tag,
            keyword=keyword,
            count=len(uids),
            total=len(headers),
        )
    return None


def disagreement(headers: Sequence[Header], equal: Equal) -> Refusal | None:
    """Refuse headers of a series that differ in what must be one; the first such attribute is named."""
    for (tag, keyword), value_of in equal.items():
        values = {value_of(header) for header in headers}
        if len(values) == 1:
            continue
        texts = sorted(str(value) for value in values)
        shown = ", ".join(texts[:_SHOWN_VALUES]) + (" …" if len(texts) > _SHOWN_VALUES else "")
        return TAG_INCONSISTENT.refusal(tag=tag, keyword=keyword, among=_WITHIN, values=shown)
    return None


def other_person(
    headers: Sequence[Header], among: str = _WITHIN, renaming: Renaming = NO_RENAMING
) -> Refusal | None:
    """Refuse headers that are not of one person, by hashes; no value is shown.

    among: where they are from, as the refusal says it. renaming: what messages said of their patient.
    """
    persons = {_person(header) for header in headers}
    differs = difference(renaming.of(persons, hashed))
    if differs is None:
        return None
    keyword, count = differs
    number = tag_for_keyword(keyword) or 0
    tag = f"({number >> 16:04X},{number & 0xFFFF:04X})"
    values = f"{count} different values"
    return TAG_INCONSISTENT.refusal(tag=tag, keyword=keyword, among=among, values=values)


def _person(header: Header) -> Person:
    keys = header.person_keys
    return Person(
        patient_id=header.patient_key, issuer=keys.issuer, name=keys.name, birth_date=keys.birth_date
    )
