"""SUV by body weight: the arithmetic, the times, and what is said where a fact is missing."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.assemble.suv import NoSuv, PetFacts, Suv, scan_start, suv_of

SCAN = datetime.fromisoformat("2026-01-02 10:00")
FACTS = PetFacts(
    units="BQML",
    decay_correction="START",
    corrected=("ATTN", "DECY", "SCAT"),
    weight_kg=70.0,
    dose_bq=350e6,
    half_life_s=6586.2,
    injected_at=SCAN - timedelta(seconds=6586.2),  # one half life before
    series_at=SCAN,
    acquired_at=SCAN,
)
UNDECAYED = 70_000 / 350e6


def factor(**changes) -> float:
    found = suv_of([replace(FACTS, **changes)])
    assert isinstance(found, Suv), found
    return found.factors[0]


def test_the_dose_decays_from_the_injection_to_the_start_of_the_scan():
    assert factor() == pytest.approx(2 * UNDECAYED)


def test_activity_corrected_to_the_injection_is_compared_with_the_dose_itself():
    assert factor(decay_correction="ADMIN") == pytest.approx(UNDECAYED)


def test_activity_that_was_not_corrected_is_compared_with_what_is_left_at_each_slice():
    slices = [
        replace(FACTS, decay_correction="NONE", corrected=("ATTN",), acquired_at=SCAN + timedelta(seconds=s))
        for s in (0.0, 6586.2)
    ]
    found = suv_of(slices)
    assert found.factors == pytest.approx((2 * UNDECAYED, 4 * UNDECAYED))
    assert "not decay corrected" in found.notes[0]


def test_the_mean_count_rate_of_a_frame_is_reached_a_little_before_its_middle():
    one = replace(
        FACTS, decay_correction="NONE", corrected=("ATTN",), duration_ms=6586200.0
    )  # a frame of one half life
    into_s = 6586.2 * math.log2(math.log(2) / 0.5)
    assert suv_of([one]).factors[0] == pytest.approx(2 * UNDECAYED * 2 ** (into_s / 6586.2))
    assert 0.45 < into_s / 6586.2 < 0.5


@given(minutes=st.integers(0, 600), bq_a_kg=st.floats(6e5, 4e8), weight=st.floats(2, 300))
def test_a_patient_in_whom_the_dose_spread_evenly_has_an_suv_of_one(minutes, bq_a_kg, weight):
    """PS3.3 and QIBA: activity per ml = what is left of the dose / weight in g."""
    dose = bq_a_kg * weight
    injected = SCAN - timedelta(minutes=minutes)
    left = dose * 2 ** (-minutes * 60 / 6586.2)
    one = replace(FACTS, weight_kg=weight, dose_bq=dose, injected_at=injected)
    assert left / (weight * 1000) * suv_of([one]).factors[0] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"weight_kg": None}, "(0010,1030) PatientWeight"),
        ({"weight_kg": 70_000.0}, "(0010,1030) PatientWeight is too large"),
        ({"dose_bq": None}, "(0018,1074) RadionuclideTotalDose"),
        ({"weight_kg": 0.07}, "(0010,1030) PatientWeight is too small to be in kg"),
        ({"dose_bq": 350.0}, "(0018,1074) RadionuclideTotalDose is too small"),
        ({"dose_bq": 350e3}, "(0018,1074) RadionuclideTotalDose is too small to be in Bq"),
        ({"dose_bq": 2e6}, "(0018,1074) RadionuclideTotalDose in Bq is none for (0010,1030) PatientWeight"),
        ({"dose_bq": 350e9}, "(0018,1074) RadionuclideTotalDose in Bq is none for (0010,1030) PatientWeight"),
        ({"weight_kg": 0.6}, "(0018,1074) RadionuclideTotalDose in Bq is none for (0010,1030) PatientWeight"),
        ({"half_life_s": None}, "(0018,1075) RadionuclideHalfLife"),
        ({"decay_correction": ""}, "(0054,1102) DecayCorrection"),
        ({"decay_correction": "MAYBE"}, "(0054,1102) DecayCorrection"),
        ({"corrected": ("DECY",)}, "(0028,0051) CorrectedImage does not say ATTN"),
        ({"corrected": ("ATTN",)}, "(0028,0051) CorrectedImage does not say DECY"),
        ({"injected_at": None}, "(0018,1078) RadiopharmaceuticalStartDateTime"),
        ({"injected_at": SCAN + timedelta(hours=1)}, "(0018,1078) RadiopharmaceuticalStartDateTime"),
        ({"injected_at": SCAN - timedelta(days=3)}, "(0018,1078) RadiopharmaceuticalStartDateTime"),
        ({"series_at": None, "acquired_at": None}, "(0008,0032) AcquisitionTime"),
        ({"units": "PROPCPS"}, "(0054,1001) Units are PROPCPS"),
        ({"units": ""}, "(0054,1001) Units is missing"),
        ({"units": "GML", "suv_type": "LBM"}, "(0054,1006) SUVType is LBM"),
        ({"units": "CNTS"}, "(7053,1000)"),
    ],
)
def test_what_is_missing_or_cannot_be_is_named_by_its_tag(changes, words):
    found = suv_of([replace(FACTS, **changes)])
    assert isinstance(found, NoSuv)
    assert words in found.reason


def test_values_of_the_patient_are_in_no_reason_and_no_repr():
    one = replace(FACTS, weight_kg=71.25, dose_bq=12.0)
    assert "71.25" not in repr(one) + suv_of([one]).reason


def test_gram_a_millilitre_is_suv_already_and_said_to_be_by_body_weight_where_the_type_is_missing():
    assert suv_of([replace(FACTS, units="GML", suv_type="BW")]) == Suv((1.0,))
    assert "without SUVType" in suv_of([replace(FACTS, units="GML")]).notes[0]


def test_philips_counts_become_suv_by_its_factor_or_activity_by_the_other():
    counts = replace(FACTS, units="CNTS", private_suv=0.000341, private_bq_ml=2.0)
    assert suv_of([counts, counts]).factors == (0.000341, 0.000341)
    assert suv_of([replace(counts, private_suv=None)]).factors[0] == pytest.approx(2 * 2 * UNDECAYED)
    lacking = suv_of([replace(counts, private_suv=None, weight_kg=None)])
    assert (lacking.bq_ml, "PatientWeight" in lacking.reason) == (2.0, True)


def test_slices_of_two_doses_have_no_suv():
    assert isinstance(suv_of([FACTS, replace(FACTS, dose_bq=351e6)]), NoSuv)
    assert isinstance(suv_of([FACTS, replace(FACTS, units="CNTS")]), NoSuv)


def test_a_dose_given_before_midnight_is_of_the_day_before():
    scan = datetime.fromisoformat("2026-01-02 00:30")
    one = replace(FACTS, series_at=scan, acquired_at=scan, injected_at=None, injected_time=time(23, 30))
    found = suv_of([one])
    assert found.factors[0] == pytest.approx(UNDECAYED * 2 ** (3600 / 6586.2))
    assert "before midnight" in found.notes[0]


def test_a_date_that_does_not_fit_is_not_used_where_the_time_is_known():
    """De-identification shifts the dates of a study and leaves that of the injection."""
    one = replace(FACTS, injected_at=SCAN - timedelta(days=400), injected_time=time(9, 0))
    found = suv_of([one])
    assert found.factors[0] == pytest.approx(UNDECAYED * 2 ** (3600 / 6586.2))
    assert "date of the injection does not fit" in found.notes[0]


def test_the_scan_starts_with_the_series_unless_that_was_made_anew():
    beds = [replace(FACTS, acquired_at=SCAN + timedelta(minutes=3 * n)) for n in range(3)]
    assert scan_start(beds) == (SCAN, ())
    later = [replace(one, series_at=SCAN + timedelta(hours=5)) for one in beds]
    start, notes = scan_start(list(reversed(later)))
    assert start == SCAN
    assert "earliest slice" in notes[0]
    assert scan_start([replace(one, corrected_to=SCAN - timedelta(minutes=1)) for one in later])[0] == (
        SCAN - timedelta(minutes=1)
    )


LATER = replace(FACTS, series_at=SCAN + timedelta(hours=3), acquired_at=SCAN + timedelta(minutes=60))


def test_of_one_phase_of_several_the_earliest_slice_is_not_taken_for_the_start():
    """All phases are decayed to the start of the first: an hour later the values would be a third off."""
    found = suv_of([replace(LATER, of_several=True)])
    assert isinstance(found, NoSuv)
    assert "(0054,1300) FrameReferenceTime" in found.reason
    alone = suv_of([LATER])
    assert alone.factors[0] == pytest.approx(2 * UNDECAYED * 2 ** (3600 / 6586.2))


@pytest.mark.parametrize("lacking", ["reference_ms", "duration_ms"])
def test_the_start_of_a_later_phase_is_counted_back_where_all_is_told(lacking):
    phase = replace(LATER, of_several=True, reference_ms=3600e3 + 30e3, duration_ms=60e3)
    found = suv_of([phase])
    assert found.factors[0] == pytest.approx(2 * UNDECAYED, rel=1e-3)
    assert isinstance(suv_of([replace(phase, **{lacking: None})]), NoSuv)


def test_a_phase_of_several_is_corrected_to_what_its_series_says():
    for told in ({"series_at": SCAN}, {"corrected_to": SCAN}, {"decay_correction": "ADMIN"}):
        assert isinstance(suv_of([replace(LATER, of_several=True, **told)]), Suv)


def test_the_start_is_counted_back_from_the_frame_reference_time():
    """A bed that began 10 minutes into the scan: its mean count rate is reached that much later."""
    duration_s = 180.0
    decay = math.log(2) / 6586.2
    mean_s = math.log(decay * duration_s / (1 - math.exp(-decay * duration_s))) / decay
    bed = replace(
        FACTS,
        series_at=SCAN + timedelta(hours=5),
        acquired_at=SCAN + timedelta(minutes=10),
        duration_ms=duration_s * 1000,
        reference_ms=(600 + mean_s) * 1000,
    )
    start, notes = scan_start([bed])
    assert abs((start - SCAN).total_seconds()) < 1e-3
    assert "Frame Reference Time" in notes[0]


ZR_89_S = 282_240.0


@pytest.mark.parametrize("dated", [None, SCAN + timedelta(seconds=30)])
def test_a_dose_given_after_the_scan_began_is_not_of_the_day_before(dated):
    """Zr-89 would still be there a day later: 24 h of decay make the values a fifth too high."""
    one = replace(FACTS, half_life_s=ZR_89_S, injected_at=dated, injected_time=time(10, 0, 30))
    after = suv_of([one])
    assert isinstance(after, NoSuv)
    assert "RadiopharmaceuticalStartTime is after the start of the scan" in after.reason
    within = suv_of([replace(one, duration_ms=60_000.0)])
    assert isinstance(within, NoSuv)
    assert "lies within the scan" in within.reason


def test_a_dose_given_after_midnight_within_a_scan_that_began_before_is_not_of_that_day():
    scan = datetime.fromisoformat("2026-01-02 23:50")
    one = replace(FACTS, half_life_s=ZR_89_S, series_at=scan, acquired_at=scan, duration_ms=1.8e6)
    found = suv_of([replace(one, injected_at=None, injected_time=time(0, 5))])
    assert isinstance(found, NoSuv)
    assert "lies within the scan" in found.reason


def test_a_dated_dose_of_days_before_is_believed_also_where_its_time_of_day_is_that_of_the_scan():
    days = timedelta(days=2, seconds=-30)
    one = replace(FACTS, half_life_s=ZR_89_S, injected_at=SCAN - days, injected_time=time(10, 0, 30))
    found = suv_of([replace(one, duration_ms=60_000.0)])
    assert found.factors[0] == pytest.approx(UNDECAYED * 2 ** (days.total_seconds() / ZR_89_S))


@pytest.mark.parametrize(("hours", "known"), [(5.9, True), (6.1, False)])
def test_a_dose_of_the_evening_before_is_one_only_within_the_longest_uptake(hours, known):
    scan = datetime.fromisoformat("2026-01-02 03:00")
    at = (scan - timedelta(hours=hours)).time()
    one = replace(FACTS, series_at=scan, acquired_at=scan, injected_at=None, injected_time=at)
    assert isinstance(suv_of([one]), Suv) == known


def test_slices_that_were_corrected_to_different_times_have_no_suv():
    slices = [replace(FACTS, corrected_to=SCAN + timedelta(minutes=n)) for n in range(2)]
    for some in (slices, [slices[0], FACTS]):
        found = suv_of(some)
        assert isinstance(found, NoSuv)
        assert "(0018,9701) DecayCorrectionDateTime differs" in found.reason
    assert isinstance(suv_of([slices[0]] * 2), Suv)


def test_two_doses_have_no_suv():
    found = suv_of([replace(FACTS, doses=2, decay_correction="ADMIN")])
    assert isinstance(found, NoSuv)
    assert "(0054,0016)" in found.reason
