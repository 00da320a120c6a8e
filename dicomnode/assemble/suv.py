"""From the activity that a PET scanner measured to the standardised uptake value by body weight.

SUV = activity (Bq/ml) × weight (g) / dose (Bq), the dose decayed to the time that the values are corrected
to. The rules are those of QIBA's "SUV vendor-neutral pseudo-code" (happy path and the way back from the
frame reference time). Nothing is assumed: what is missing is named by its tag, and the values stay Bq/ml.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Final

LIGHTEST_DOSE_BQ: Final = 1e6
"""Less is no dose for a scan of a patient but a number in another unit (kBq, MBq, mCi)."""

LIGHTEST_KG: Final = 0.3
"""Less is no weight of a patient in kg but one in another unit (t), or damage."""

HEAVIEST_KG: Final = 500.0
"""More is no weight of a patient in kg."""

LEAST_BQ_A_KG: Final = 5e4
"""Of a dose by weight: a tenth of what scanners of the whole body at once need."""

MOST_BQ_A_KG: Final = 5e8
"""Ten times the dose of what decays fastest (rubidium-82, oxygen-15)."""

MOST_HALF_LIVES: Final = 12.0
"""Of a scan that is later nothing would be left to be seen: the times do not belong together."""

LONGEST_UPTAKE_OVERNIGHT: Final = timedelta(hours=6)
"""Of a dose whose day is not told, and whose time of day is after the start of the scan: it was given the
evening before no longer ago than this, or it is not known when."""

_DAY: Final = timedelta(days=1)
_NOT_DECAY_CORRECTED: Final = (
    "Values are not decay corrected (0054,1102): the dose was decayed to the time of each slice."
)
_COUNTED_BACK: Final = (
    "Series Time (0008,0031) is missing or after the acquisition: the start of the scan was counted back "
    "from Frame Reference Time (0054,1300)."
)
_NO_TIME: Final = "(0008,0032) AcquisitionTime or (0008,0022) AcquisitionDate is missing"
_NO_START: Final = (
    "(0008,0031) SeriesTime is missing or after the acquisition, and (0054,1300) FrameReferenceTime does not "
    "say when the first of several phases began"
)
_EARLIEST_SLICE: Final = (
    "Series Time (0008,0031) is missing or after the acquisition: the scan is taken to have started with its "
    "earliest slice."
)
# As (0028,0051) Corrected Image says it, and what enhanced objects say YES to instead
_REQUIRED_CORRECTIONS: Final = (
    ("ATTN", ("ATTN",), "(0018,9759) AttenuationCorrected"),
    ("DECY", ("DECY", "DECAY"), "(0018,9758) DecayCorrected"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PetFacts:
    """What one PET image says, as far as SUV depends on it; times are local. Never shown: it is a patient's.

    doses: how many are told of; dose_bq and all of the injection are of the first. injected_time: on no day
    in particular. of_several: it is of one of several phases or time frames of its series, and so not its
    first perhaps. corrected_to: Decay Correction DateTime (0018,9701), or what GE
    says privately. private_suv, private_bq_ml: Philips' factors for values in counts.
    """

    units: str = ""
    suv_type: str = ""
    decay_correction: str = ""
    corrected: tuple[str, ...] = ()
    of_several: bool = False
    weight_kg: float | None = field(default=None, repr=False)
    doses: int = 1
    dose_bq: float | None = field(default=None, repr=False)
    half_life_s: float | None = None
    injected_at: datetime | None = field(default=None, repr=False)
    injected_time: time | None = field(default=None, repr=False)
    series_at: datetime | None = field(default=None, repr=False)
    acquired_at: datetime | None = field(default=None, repr=False)
    corrected_to: datetime | None = field(default=None, repr=False)
    reference_ms: float | None = None
    duration_ms: float | None = None
    private_suv: float | None = None
    private_bq_ml: float | None = None


@dataclass(frozen=True, slots=True)
class Suv:
    """Factors from values after rescale to SUV body weight, one a slice, and how they came about."""

    factors: tuple[float, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NoSuv:
    """Why there is no SUV: `reason` names the attribute. bq_ml: factor from values to Bq/ml, if known."""

    reason: str
    bq_ml: float | None = None


def suv_of(slices: Sequence[PetFacts]) -> Suv | NoSuv:
    """Return the factors of the slices of one volume, or why there are none."""
    first = slices[0]
    if len({(one.units, one.suv_type, one.decay_correction) for one in slices}) > 1:
        return NoSuv("(0054,1001) Units or (0054,1102) DecayCorrection differs between slices")
    if first.units == "GML":
        if first.suv_type not in {"", "BW"}:
            return NoSuv(f"(0054,1006) SUVType is {first.suv_type}, not by body weight")
        note = (
            "" if first.suv_type else "Units (0054,1001) are g/ml without SUVType: taken as by body weight."
        )
        return Suv((1.0,) * len(slices), (note,) if note else ())
    if first.units == "CNTS":
        return _of_counts(slices)
    if first.units == "BQML":
        return _of_activity(slices, (1.0,) * len(slices))
    return NoSuv(f"(0054,1001) Units {'are ' + first.units if first.units else 'is missing'}")


def _of_counts(slices: Sequence[PetFacts]) -> Suv | NoSuv:
    suv = [one.private_suv for one in slices if one.private_suv is not None]
    if len(suv) == len(slices):
        return Suv(tuple(suv), ("Counts became SUV by Philips' factor (7053,1000).",))
    activity = [one.private_bq_ml for one in slices if one.private_bq_ml is not None]
    if len(activity) == len(slices):
        found = _of_activity(slices, tuple(activity))
        note = "Counts became Bq/ml by Philips' factor (7053,1009)."
        if isinstance(found, Suv):
            return Suv(found.factors, (note, *found.notes))
        return NoSuv(found.reason, activity[0] if len(set(activity)) == 1 else None)
    return NoSuv("(0054,1001) Units are CNTS, and Philips' factors (7053,1000) and (7053,1009) are missing")


def _of_activity(slices: Sequence[PetFacts], bq_ml: tuple[float, ...]) -> Suv | NoSuv:
    first = slices[0]
    for tag, value in (
        ("(0010,1030) PatientWeight", first.weight_kg),
        ("(0018,1074) RadionuclideTotalDose", first.dose_bq),
        ("(0018,1075) RadionuclideHalfLife", first.half_life_s),
        ("(0054,1102) DecayCorrection", first.decay_correction or None),
    ):
        if value is None:
            return NoSuv(f"{tag} is missing, empty or 0")
    if any(one.doses > 1 for one in slices):
        return NoSuv("(0054,0016) RadiopharmaceuticalInformationSequence has more than one dose")
    problem = _implausible(first) or _not_corrected(first)
    if problem:
        return NoSuv(problem)
    if any(_dose_facts(one) != _dose_facts(first) for one in slices):
        return NoSuv("the dose, the weight or the injection (0054,0016) differs between slices")
    decayed = _decay(slices)
    if isinstance(decayed, NoSuv):
        return decayed
    left, notes = decayed
    grams_a_bq = (first.weight_kg or 0.0) * 1000.0 / (first.dose_bq or 1.0)
    return Suv(tuple(a * grams_a_bq / part for a, part in zip(bq_ml, left, strict=True)), notes)


def _dose_facts(one: PetFacts) -> tuple[object, ...]:
    return (one.weight_kg, one.dose_bq, one.half_life_s, one.injected_at, one.injected_time)


def _implausible(facts: PetFacts) -> str | None:
    if (facts.dose_bq or 0.0) < LIGHTEST_DOSE_BQ:
        return "(0018,1074) RadionuclideTotalDose is too small to be in Bq"
    if (facts.weight_kg or 0.0) > HEAVIEST_KG:
        return "(0010,1030) PatientWeight is too large to be in kg"
    if (facts.weight_kg or 0.0) < LIGHTEST_KG:
        return "(0010,1030) PatientWeight is too small to be in kg"
    if not LEAST_BQ_A_KG <= (facts.dose_bq or 0.0) / (facts.weight_kg or 1.0) <= MOST_BQ_A_KG:
        return "(0018,1074) RadionuclideTotalDose in Bq is none for (0010,1030) PatientWeight in kg"
    if facts.decay_correction not in {"START", "ADMIN", "NONE"}:
        return "(0054,1102) DecayCorrection is none of START, ADMIN, NONE"
    return None


def _not_corrected(facts: PetFacts) -> str | None:
    needed = _REQUIRED_CORRECTIONS[:1] if facts.decay_correction == "NONE" else _REQUIRED_CORRECTIONS
    for name, words, enhanced in needed:
        if not set(words) & set(facts.corrected):
            return f"(0028,0051) CorrectedImage does not say {name}, nor {enhanced} YES"
    return None


def _decay(slices: Sequence[PetFacts]) -> tuple[tuple[float, ...], tuple[str, ...]] | NoSuv:
    """Return which part of the dose is left at the time that each slice's values speak of."""
    first = slices[0]
    if first.decay_correction == "ADMIN":
        return (1.0,) * len(slices), ()
    if first.decay_correction == "START" and len({one.corrected_to for one in slices}) > 1:
        return NoSuv("(0018,9701) DecayCorrectionDateTime differs between slices")
    decayed_to = _moments(slices)
    if isinstance(decayed_to, NoSuv):
        return decayed_to
    moments, notes = decayed_to
    found = _injection(first, min(moments), _scan_end(slices, max(moments)))
    if isinstance(found, NoSuv):
        return found
    injected, said = found
    half_lives = [(moment - injected).total_seconds() / (first.half_life_s or 1.0) for moment in moments]
    if min(half_lives) < 0 or max(half_lives) > MOST_HALF_LIVES:
        return NoSuv("(0018,1078) RadiopharmaceuticalStartDateTime does not fit the time of the scan")
    return tuple(2.0**-n for n in half_lives), (*notes, *said)


def _moments(slices: Sequence[PetFacts]) -> tuple[list[datetime], tuple[str, ...]] | NoSuv:
    """Return the time that each slice's values speak of: the start, or its own where none were corrected."""
    if slices[0].decay_correction == "NONE":
        own = [one.acquired_at + _average_count(one) for one in slices if one.acquired_at is not None]
        return (own, (_NOT_DECAY_CORRECTED,)) if len(own) == len(slices) else NoSuv(_NO_TIME)
    begun = scan_start(slices)
    if isinstance(begun, NoSuv):
        return begun
    start, notes = begun
    return ([start] * len(slices), notes)


def scan_start(slices: Sequence[PetFacts]) -> tuple[datetime, tuple[str, ...]] | NoSuv:
    """Return the time that decay is corrected to (START), and what had to be done to know it.

    It is Series Time unless a slice was acquired before: then the series was made anew, and its time is
    that of the processing. Then GE says it privately, and from others' frame reference time it is counted
    back; else it is the time of the earliest slice, but not of one phase of several: that may be a later one.
    """
    first = slices[0]
    if first.corrected_to is not None:
        return first.corrected_to, ()
    acquired = [(one.acquired_at, n) for n, one in enumerate(slices) if one.acquired_at is not None]
    start, n = min(acquired, default=(first.series_at, 0))
    if start is None:
        return NoSuv(_NO_TIME)
    if first.series_at is not None and first.series_at <= start:
        return first.series_at, ()
    earliest = slices[n]
    if earliest.reference_ms and earliest.duration_ms and earliest.half_life_s:
        offset = timedelta(milliseconds=earliest.reference_ms)
        return start + _average_count(earliest) - offset, (_COUNTED_BACK,)
    if any(one.of_several for one in slices):
        return NoSuv(_NO_START)
    return start, (_EARLIEST_SLICE,)


def _average_count(facts: PetFacts) -> timedelta:
    """Return how long after its start a frame's mean count rate is reached (PS3.3 C.8.9.4.1.5)."""
    seconds, half_life_s = (facts.duration_ms or 0.0) / 1000.0, facts.half_life_s or 0.0
    if not seconds or not half_life_s:
        return timedelta(0)
    decay = math.log(2.0) / half_life_s
    return timedelta(seconds=math.log(decay * seconds / -math.expm1(-decay * seconds)) / decay)


def _scan_end(slices: Sequence[PetFacts], latest: datetime) -> datetime:
    """Return when the last of the slices was acquired to its end, as far as that is told."""
    ends = [
        one.acquired_at + timedelta(milliseconds=one.duration_ms or 0.0)
        for one in slices
        if one.acquired_at is not None
    ]
    return max([latest, *ends])


def _injection(facts: PetFacts, scan: datetime, end: datetime) -> tuple[datetime, tuple[str, ...]] | NoSuv:
    """Return when the dose was given: as dated, or the last time before the scan at that time of day.

    scan, end: when it started and ended. A dose that was given while it ran is not counted back by a day.
    """
    dated, at = facts.injected_at, facts.injected_time
    longest = timedelta(seconds=MOST_HALF_LIVES * (facts.half_life_s or 0.0))
    if dated is not None and (at is None or timedelta(0) <= scan - dated <= longest):
        return dated, ()
    today = None if at is None else datetime.combine(scan.date(), at)
    if today is None:
        return NoSuv("(0018,1078) RadiopharmaceuticalStartDateTime and (0018,1072) …StartTime are missing")
    if any(scan < one <= end for one in (dated or today, today, today + _DAY)):
        return NoSuv("(0018,1072) RadiopharmaceuticalStartTime or (0018,1078) …DateTime lies within the scan")
    date = "" if dated is None else "The date of the injection does not fit: its time was used."
    if today <= scan:
        return today, (date,) if date else ()
    if scan - (today - _DAY) > LONGEST_UPTAKE_OVERNIGHT:
        return NoSuv("(0018,1072) RadiopharmaceuticalStartTime is after the start of the scan")
    overnight = "The dose was given before midnight, the day before the scan."
    return today - _DAY, (f"{date} {overnight}".strip(),)
