"""What the values of a volume mean: slope and intercept of each slice, and the unit that they give.

Rescale (PS3.3 C.11.1) is used where it says Hounsfield units, or nothing else is known; a Real World Value
Mapping (C.7.6.16.2.11) where it names a unit and Rescale does not; PET becomes SUV by body weight where all
that it takes is there (`suv`). MONOCHROME1 turns only how values are shown, not what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from dicomnode.assemble.kinds import CT_CLASSES, PET_CLASSES
from dicomnode.assemble.record import Header, RealWorld
from dicomnode.assemble.suv import NoSuv, PetFacts, Suv, suv_of
from dicomnode.faults import TAG_MISSING
from dicomnode.values import Code, Refusal, Repair
from dicomnode.values.codes import BECQUEREL_PER_ML, COUNTS, HOUNSFIELD, NO_UNIT, SUV_BODY_WEIGHT, unit_word

# PS3.3 C.11.1.1.2 Rescale Type; absent means Hounsfield units in CT
_HOUNSFIELD_TYPES: Final = frozenset({"", "HU", "HU_MOD"})
# PS3.16 CID 84: of PET; older objects write the annotation behind the unit
_SUV_CODES: Final = frozenset({"{SUVbw}g/ml", "g/ml{SUVbw}"})
# What a mapping is used for is its unit: these say none
_UNITLESS: Final = frozenset({"1", "no units", "{no units}", "US"})
_PET_UNITS: Final = {"BQML": BECQUEREL_PER_ML, "CNTS": COUNTS}

# Whose stored values mean nothing by themselves
_SCALED_CLASSES: Final = CT_CLASSES | PET_CLASSES

Scale = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Scaling:
    """What becomes of stored values. scales: slope and intercept of each slice, to values in `unit`."""

    scales: tuple[Scale, ...]
    unit: Code
    repairs: tuple[Repair, ...] = ()

    @property
    def word(self) -> str:
        """The unit in a word, as rules of engine.toml ask for it: HU, SUVbw, Bq/ml, counts, 1."""
        return unit_word(self.unit)


def scaling_of(headers: Sequence[Header], *, of_several: bool = False) -> Scaling:
    """Say how the stored values of the slices of one volume become values, and in which unit.

    of_several: the volume is one phase of several of its series, and its slices not the first perhaps.
    """
    first = headers[0]
    if first.sop_class_uid in PET_CLASSES:
        scaling = _of_pet(headers, of_several=of_several)
    else:
        hounsfield = _hounsfield(headers) if first.sop_class_uid in CT_CLASSES else None
        scaling = hounsfield or _mapped(headers, _has_unit) or Scaling(_rescale(headers), NO_UNIT)
    return replace(scaling, repairs=(*scaling.repairs, *_differing(headers), *_without_intercept(headers)))


def scaling_refusal(headers: Sequence[Header]) -> Refusal | None:
    """Refuse slices of one stack of which some have a rescale and some none, if no mapping stands for it.

    The same of the intercept. CT and PET are refused, too, where none has a rescale and no mapping gives them
    a unit.
    """
    some, none = _split(headers, lambda header: header.rescale is not None)
    if none and (some or headers[0].sop_class_uid in _SCALED_CLASSES) and not _is_mapped(headers):
        return _lacking("(0028,1053)", "RescaleSlope", none, headers)
    some, none = _split(some, lambda header: not header.lacks_intercept)
    if some and none:
        return _lacking("(0028,1052)", "RescaleIntercept", none, headers)
    return None


def _is_mapped(headers: Sequence[Header]) -> bool:
    """Tell whether mappings make up for a rescale that is missing."""
    first = headers[0]
    if first.sop_class_uid in PET_CLASSES:
        return any(_mapped(headers, wanted) is not None for wanted in (_is_suv, _is_activity))
    if first.sop_class_uid in CT_CLASSES and _hounsfield(headers) is not None:
        return True
    return _mapped(headers, _has_unit) is not None


def _split(headers: Sequence[Header], has: Callable[[Header], bool]) -> tuple[list[Header], list[Header]]:
    return [one for one in headers if has(one)], [one for one in headers if not has(one)]


def _lacking(tag: str, keyword: str, those: Sequence[Header], headers: Sequence[Header]) -> Refusal:
    uids = tuple(header.sop_instance_uid for header in those) if len(those) < len(headers) else ()
    return TAG_MISSING.refusal(uids, tag=tag, keyword=keyword, count=len(those), total=len(headers))


def _hounsfield(headers: Sequence[Header]) -> Scaling | None:
    """Return the rescale of each slice of a CT, or its mapping to Hounsfield units where it has none."""
    said = {str(header.tags.get("RescaleType") or "") for header in headers}
    if not said <= _HOUNSFIELD_TYPES:
        return None
    scales = [header.rescale or _mapped_to_hounsfield(header) for header in headers]
    found = tuple(scale for scale in scales if scale is not None)
    if len(found) < len(headers):
        return None
    count = sum(header.rescale is None for header in headers)
    text = (
        f"{count} slices have no Rescale Slope (0028,1053): their Real World Value Mapping (0040,9096) to "
        "Hounsfield units was used."
    )
    return Scaling(found, HOUNSFIELD, (Repair("rescale", text),) if count else ())


def _mapped_to_hounsfield(header: Header) -> Scale | None:
    found = [one for one in header.mappings if one.unit == HOUNSFIELD]
    return (found[0].slope, found[0].intercept) if len(found) == 1 else None


def _rescale(headers: Sequence[Header]) -> tuple[Scale, ...]:
    """Return the rescale of each slice; of images that need none, stored values where none has one."""
    found = tuple(header.rescale for header in headers if header.rescale is not None)
    if not found and headers[0].sop_class_uid not in _SCALED_CLASSES:
        return ((1.0, 0.0),) * len(headers)
    if len(found) < len(headers):
        raise ValueError("slices without a rescale are refused (`scaling_refusal`), and have no values")
    return found


def _has_unit(mapping: RealWorld) -> bool:
    return mapping.unit.value not in _UNITLESS


def _is_suv(mapping: RealWorld) -> bool:
    return mapping.unit.value in _SUV_CODES


def _is_activity(mapping: RealWorld) -> bool:
    return mapping.unit == BECQUEREL_PER_ML


def _mapped(headers: Sequence[Header], wanted: Callable[[RealWorld], bool]) -> Scaling | None:
    """Use the one mapping of each slice that is wanted; none where there are several, or of several units."""
    found = [[one for one in header.mappings if wanted(one)] for header in headers]
    if any(len(ones) != 1 for ones in found) or len({ones[0].unit for ones in found}) != 1:
        return None
    scales = tuple((ones[0].slope, ones[0].intercept) for ones in found)
    unit = found[0][0].unit
    if scales == tuple(header.rescale for header in headers):
        return Scaling(scales, unit)
    text = f"Values and their unit ({unit.value}) come from the Real World Value Mapping (0040,9096)."
    return Scaling(scales, unit, (Repair("unit", text),))


def _of_pet(headers: Sequence[Header], *, of_several: bool) -> Scaling:
    suv = _mapped(headers, _is_suv)
    if suv is not None:
        return replace(suv, unit=SUV_BODY_WEIGHT)
    facts = [header.pet or PetFacts() for header in headers]
    if of_several:
        facts = [replace(one, of_several=True) for one in facts]
    activity = _mapped(headers, _is_activity)
    has_own = any(one.units for one in facts) and all(header.rescale is not None for header in headers)
    if activity is not None and not has_own:
        facts = [replace(one, units="BQML") for one in facts]
        return _to_suv(activity, suv_of(facts))
    unit = _PET_UNITS.get(facts[0].units, NO_UNIT)
    return _to_suv(Scaling(_rescale(headers), unit), suv_of(facts))


def _to_suv(scaling: Scaling, found: Suv | NoSuv) -> Scaling:
    if isinstance(found, Suv):
        scales = tuple(
            (slope * factor, intercept * factor)
            for (slope, intercept), factor in zip(scaling.scales, found.factors, strict=True)
        )
        repairs = tuple(Repair("suv", note) for note in found.notes)
        return Scaling(scales, SUV_BODY_WEIGHT, (*scaling.repairs, *repairs))
    if found.bq_ml is not None:
        scales = tuple((slope * found.bq_ml, intercept * found.bq_ml) for slope, intercept in scaling.scales)
        scaling = replace(scaling, scales=scales, unit=BECQUEREL_PER_ML)
    stay = "they have no known unit" if scaling.unit == NO_UNIT else f"they stay {scaling.word}"
    text = f"The values cannot be made SUV by body weight: {found.reason}; {stay}."
    return replace(scaling, repairs=(*scaling.repairs, Repair("suv", text)))


def _differing(headers: Sequence[Header]) -> tuple[Repair, ...]:
    slopes = sorted({header.rescale[0] for header in headers if header.rescale is not None})
    if len(slopes) < 2:
        return ()
    text = f"Rescale Slope differs between slices ({slopes[0]:g} to {slopes[-1]:g}); each has its own."
    return (Repair("rescale", text),)


def _without_intercept(headers: Sequence[Header]) -> tuple[Repair, ...]:
    count = sum(header.lacks_intercept for header in headers)
    text = f"Rescale Intercept (0028,1052) is missing in {count} slices, and was read as 0."
    return (Repair("rescale", text),) if count else ()
