"""Several stacks in one series: by what they are told apart, on records alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.assemble.facts import facts_of
from dicomnode.assemble.stacks import plan_series
from tests.unit.assemble.test_placing import at, record

POSITIONS = (0, 2, 4, 6)


def stacks(headers, same_pixels=lambda one, other: False):
    return plan_series(headers, same_pixels).stacks


def phase(number, positions=POSITIONS, **tags):
    """One stack of a series, whose images have UIDs of their own."""
    return [
        replace(one, sop_instance_uid=f"1.{number}.{n}", instance_number=100 * number + n, tags=tags)
        for n, one in enumerate(at(*positions))
    ]


def told(headers) -> list:
    """What is said of each stack, by its phase."""
    found = stacks(headers)
    assert all(one.refusal is None for one in found), [one.refusal for one in found]
    assert [repair.kind for one in found for repair in one.repairs] == ["phase"] * len(found)
    return sorted(one.phase.text for one in found)


def kind(word):
    return ("ORIGINAL", "PRIMARY", word)


PHASES = {
    "echoes": (
        [{"EchoTime": 2.3, "EchoNumbers": 1}, {"EchoTime": 4.6, "EchoNumbers": 2}],
        ["EchoTime 2.3, 1 of 2", "EchoTime 4.6, 2 of 2"],
    ),
    "magnitude and phase": (
        [{"ImageType": kind("M")}, {"ImageType": kind("P")}],
        ["ImageType ORIGINAL\\PRIMARY\\M, 1 of 2", "ImageType ORIGINAL\\PRIMARY\\P, 2 of 2"],
    ),
    "water, fat, in and out of phase": (
        [
            {"ImageType": kind(word), "EchoTime": te}
            for word, te in (("W", 1), ("F", 1), ("IP", 2), ("OP", 1))
        ],
        [
            f"ImageType ORIGINAL\\PRIMARY\\{word}, {n} of 4"
            for n, word in enumerate(("F", "IP", "OP", "W"), start=1)
        ],
    ),
    "b-values": (
        [{"DiffusionBValue": b} for b in (0.0, 500.0, 1000.0)],
        ["DiffusionBValue 0, 1 of 3", "DiffusionBValue 1000, 3 of 3", "DiffusionBValue 500, 2 of 3"],
    ),
    "inversion times": (
        [{"InversionTime": float(t)} for t in (100, 300)],
        ["InversionTime 100, 1 of 2", "InversionTime 300, 2 of 2"],
    ),
    "kernels": (
        [
            {"ConvolutionKernel": "LUNG", "AcquisitionNumber": 1},
            {"ConvolutionKernel": "STD", "AcquisitionNumber": 1},
        ],
        ["ConvolutionKernel LUNG, 1 of 2", "ConvolutionKernel STD, 2 of 2"],
    ),
    "contrast": (
        [
            {"AcquisitionNumber": 1},
            {"AcquisitionNumber": 2, "ContrastBolusAgent": "APPLIED"},
        ],
        ["ContrastBolusAgent APPLIED, 2 of 2", "no ContrastBolusAgent, 1 of 2"],
    ),
    "temporal positions": (
        [{"TemporalPositionIdentifier": n, "AcquisitionNumber": n} for n in (1, 2)],
        ["TemporalPositionIdentifier 1, 1 of 2", "TemporalPositionIdentifier 2, 2 of 2"],
    ),
    "acquisitions": (
        [{"AcquisitionNumber": n} for n in (7, 8)],
        ["AcquisitionNumber 7, 1 of 2", "AcquisitionNumber 8, 2 of 2"],
    ),
}


@pytest.mark.parametrize(("tags", "expected"), PHASES.values(), ids=list(PHASES))
def test_each_phase_is_a_volume_and_says_by_which_attribute_it_is_told_apart(tags, expected):
    assert told([one for n, each in enumerate(tags) for one in phase(n, **each)]) == expected


def test_magnitude_and_phase_may_have_rescale_types_of_their_own():
    series = phase(1, ImageType=kind("M"), RescaleType="normalized")
    series += phase(2, ImageType=kind("P"), RescaleType="PI")
    assert len(told(series)) == 2
    series = phase(1) + phase(2, RescaleType="Z_EFF")
    assert told(series) == ["RescaleType Z_EFF, 2 of 2", "no RescaleType, 1 of 2"]


def test_two_patients_in_a_series_are_refused_whatever_tells_their_images_apart():
    other = [replace(one, patient_key="another") for one in phase(2, EchoTime=2.0)]
    (stack,) = stacks(phase(1, EchoTime=1.0) + other)
    assert stack.refusal.code == "DN-3004"


def test_b_values_and_directions_are_told_apart_together():
    directions = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    series = phase(0, DiffusionBValue=0.0)
    for n, (b, direction) in enumerate(((b, d) for b in (500.0, 1000.0) for d in directions), start=1):
        series += phase(n, DiffusionBValue=b, DiffusionGradientOrientation=direction)
    texts = told(series)
    assert len(texts) == 7
    assert "DiffusionBValue 1000 and DiffusionGradientOrientation 0\\0\\1, 5 of 7" in texts
    assert "DiffusionBValue 0 and no DiffusionGradientOrientation, 1 of 7" in texts


def test_image_type_echo_and_acquisition_are_told_apart_together():
    series = []
    for n, (word, echo, number) in enumerate((w, e, a) for w in "MP" for e in (1.0, 2.0) for a in (1, 2)):
        series += phase(n, ImageType=kind(word), EchoTime=echo, AcquisitionNumber=number)
    assert len(told(series)) == 8


def test_of_times_that_differ_from_slice_to_slice_the_order_counts():
    series = [
        replace(one, tags={"TriggerTime": 40.0 * frame + 3.0 * n})
        for frame in range(5)
        for n, one in enumerate(phase(frame))
    ]
    found = stacks(series)
    assert sorted(one.phase.text for one in found) == [f"by TriggerTime, {n} of 5" for n in range(1, 6)]
    for one in found:
        times = [header.tags["TriggerTime"] for header in one.headers]
        assert max(times) - min(times) == 9.0


def test_a_time_of_day_is_told_by_its_order_and_never_shown():
    series = [
        replace(one, tags={"AcquisitionTime": f"12{minute}{n:02}"})
        for minute in (10, 20)
        for n, one in enumerate(phase(minute))
    ]
    assert told(series) == ["by AcquisitionTime, 1 of 2", "by AcquisitionTime, 2 of 2"]


def clock(seconds: float) -> str:
    """A time of day (VR TM), of the next day where the day is over."""
    minutes, seconds = divmod(round(seconds) % 86_400, 60)
    return f"{minutes // 60:02}{minutes % 60:02}{seconds:02}"


def two_phases(start_s: float, apart_s: float, count: int = 6, colons: bool = False, dated: bool = False):
    """Two scans of the same places, a slice every two seconds; the second has UIDs that start with 1.2."""
    series = []
    for number, begin in ((1, start_s), (2, start_s + apart_s)):
        for n, one in enumerate(phase(number, range(0, 2 * count, 2))):
            at = begin + 2 * n
            text = clock(at)
            tags = {"AcquisitionTime": f"{text[:2]}:{text[2:4]}:{text[4:]}" if colons else text}
            if dated:
                tags["AcquisitionDateTime"] = ("20260101" if at < 86_400 else "20260102") + text
            series.append(replace(one, tags=tags))
    return series


def is_pure(stack) -> bool:
    return len({header.sop_instance_uid.split(".")[1] for header in stack.headers}) == 1


@pytest.mark.parametrize("shape", [{}, {"colons": True}, {"dated": True}], ids=["time", "colons", "date too"])
def test_phases_are_not_mixed_where_one_was_scanned_over_midnight(shape):
    found = stacks(two_phases(86_400 - 6, 16, **shape))
    word = "AcquisitionDateTime" if shape.get("dated") else "AcquisitionTime"
    assert [one.phase.text for one in found] == [f"by {word}, 1 of 2", f"by {word}, 2 of 2"]
    assert [one.headers[0].sop_instance_uid for one in found] == ["1.1.0", "1.2.0"]
    assert all(map(is_pure, found))


@given(
    st.one_of(st.integers(0, 86_399), st.integers(86_380, 86_399)),
    st.one_of(st.integers(12, 30), st.integers(12, 20_000)),
    st.integers(3, 6),
)
@settings(max_examples=40, deadline=None)
def test_phases_are_not_mixed_whenever_they_were_scanned(start_s, apart_s, count):
    found = stacks(two_phases(start_s, apart_s, count))
    assert [one.refusal for one in found] == [None, None]
    assert all(map(is_pure, found))
    assert found[0].headers[0].sop_instance_uid == "1.1.0"  # the earlier one is the first phase


def test_times_all_around_the_clock_put_nothing_in_order():
    """It is not known which comes first: of four scans a quarter of a day apart each may be."""
    series = [
        replace(one, tags={"AcquisitionTime": clock(21_600 * number + 2 * n)})
        for number in range(4)
        for n, one in enumerate(phase(number))
    ]
    (stack,) = stacks(series)
    assert (stack.refusal.code, stack.phase) == ("DN-3008", None)


@pytest.mark.parametrize("odd", ["10", "1015", "noon"])
def test_a_time_that_is_not_one_to_the_second_puts_nothing_in_order(odd):
    series = two_phases(36_000, 60)
    series[0] = replace(series[0], tags={"AcquisitionTime": odd})
    (stack,) = stacks(series)
    assert stack.refusal.code == "DN-3008"


def test_a_part_that_was_scanned_again_is_an_acquisition_of_its_own():
    series = phase(1, range(0, 40, 2), AcquisitionNumber=1) + phase(2, range(24, 36, 2), AcquisitionNumber=2)
    long, short = stacks(series)
    assert (len(long.headers), len(short.headers)) == (20, 6)
    assert (long.phase.text, short.phase.text) == (
        "AcquisitionNumber 1, 1 of 2",
        "AcquisitionNumber 2, 2 of 2",
    )


def test_phases_whose_slices_lie_between_each_other_are_told_apart():
    series = phase(1, range(0, 40, 4), AcquisitionNumber=1) + phase(2, range(1, 41, 4), AcquisitionNumber=2)
    assert told(series) == ["AcquisitionNumber 1, 1 of 2", "AcquisitionNumber 2, 2 of 2"]


def test_a_slice_that_is_lost_between_two_acquisitions_is_missing_and_no_reason_to_split():
    series = phase(1, range(0, 20, 2), AcquisitionNumber=1) + phase(2, range(22, 40, 2), AcquisitionNumber=2)
    (stack,) = stacks(series)
    assert stack.refusal.code == "DN-3005"


def test_acquisitions_that_follow_each_other_without_a_gap_stay_one_volume():
    series = phase(1, range(0, 20, 2), AcquisitionNumber=1) + phase(2, range(20, 40, 2), AcquisitionNumber=2)
    (stack,) = stacks(series)
    assert (stack.refusal, stack.phase, len(stack.headers)) == (None, None, 20)


def test_a_phase_that_lacks_a_slice_is_refused_and_the_other_is_a_volume():
    series = phase(1, range(0, 20, 2), EchoTime=1.0) + phase(2, (0, 2, 4, 8, 10, 12, 14, 16), EchoTime=2.0)
    whole, gap = stacks(series)
    assert whole.refusal is None
    assert gap.refusal.code == "DN-3005"
    assert gap.phase.text == "EchoTime 2, 2 of 2"


def test_monitoring_images_at_one_position_do_not_stop_the_scans_beside_them():
    monitor = [
        replace(record((0, 0, 6), number=n), sop_instance_uid=f"1.9.{n}", tags={"AcquisitionNumber": 9})
        for n in range(5)
    ]
    series = phase(1, range(0, 40, 2), AcquisitionNumber=1) + phase(2, range(0, 40, 2), AcquisitionNumber=2)
    found = stacks(series + monitor)
    assert [one.refusal and one.refusal.code for one in found] == [None, None, "DN-3008"]


def test_copies_within_a_phase_are_left_out_and_the_phases_stay():
    series = phase(1, EchoTime=1.0) + phase(2, EchoTime=2.0)
    series.append(replace(series[1], sop_instance_uid="1.99", instance_number=999))
    found = stacks(series, lambda one, other: one.tags == other.tags)
    assert [[repair.kind for repair in one.repairs] for one in found] == [["duplicate", "phase"], ["phase"]]


def test_a_value_is_the_same_however_many_digits_were_written():
    first = phase(1, EchoTime=4.6)
    first[2] = replace(first[2], tags={"EchoTime": 4.6000001})
    assert told(first + phase(2, EchoTime=9.2)) == ["EchoTime 4.6, 1 of 2", "EchoTime 9.2, 2 of 2"]


def test_the_phase_is_a_fact():
    one, _ = stacks(phase(1, EchoTime=1.0) + phase(2, EchoTime=2.0))
    facts = facts_of(one, 0)
    assert facts.facts["phase"] == "EchoTime 1, 1 of 2"
    assert facts.tags["EchoTime"] == 1.0


EVEN = range(0, 60, 2)
ODD = range(1, 61, 2)
BEHIND = range(60, 120, 2)
JOINED = {
    "kernels between each other": (ODD, "ConvolutionKernel", "B30f", "B80f"),
    "echoes between each other": (ODD, "EchoTime", 10.0, 90.0),
    "magnitude and phase between each other": (ODD, "ImageType", kind("M"), kind("P")),
    "native and contrast between each other": (ODD, "ContrastBolusAgent", None, "OMNIPAQUE"),
    "temporal positions between each other": (ODD, "TemporalPositionIdentifier", 1, 2),
    "kernels behind each other": (BEHIND, "ConvolutionKernel", "B30f", "B80f"),
    "voltages behind each other": (BEHIND, "KVP", 80.0, 120.0),
}


@pytest.mark.parametrize(("positions", "word", "one", "other"), JOINED.values(), ids=list(JOINED))
def test_two_stacks_that_would_make_one_even_row_are_still_two(positions, word, one, other):
    series = phase(1, EVEN, **({word: one} if one is not None else {})) + phase(2, positions, **{word: other})
    texts = told(series)
    assert len(texts) == 2
    assert all(word in text for text in texts)


def test_three_echoes_at_thirds_of_a_distance_are_three_stacks():
    series = [one for n in range(3) for one in phase(n, range(n, 60 + n, 3), EchoTime=10.0 * (n + 1))]
    assert len(told(series)) == 3


@pytest.mark.parametrize("word", ["AcquisitionNumber", "AcquisitionTime", "TriggerTime", "StackID"])
@pytest.mark.parametrize("packages", [2, 3])
def test_packages_of_one_scan_stay_one_volume(word, packages):
    series = [
        one
        for n in range(packages)
        for one in phase(n, range(2 * n, 120, 2 * packages), EchoTime=10.0, **{word: n + 1})
    ]
    (stack,) = stacks(series)
    assert (stack.refusal, stack.phase, len(stack.headers)) == (None, None, 60)


@pytest.mark.parametrize(
    "odd", [range(5), range(20, 30), (7,), (1, 2, 20)], ids=["start", "middle", "one", "a few"]
)
def test_an_attribute_that_some_slices_lack_makes_no_stack_of_what_lies_around_them(odd):
    series = [
        replace(one, tags={} if n in odd else {"ContrastBolusAgent": "OMNIPAQUE"})
        for n, one in enumerate(phase(1, range(0, 80, 2)))
    ]
    found = stacks(series)
    assert sum(len(one.headers) for one in found if one.refusal is None) == 40
    assert len(found) == (2 if odd == range(5) else 1)


def test_blocks_of_other_voltages_and_distances_are_blocks():
    series = phase(1, range(0, 40, 4), KVP=140.0) + phase(2, range(43, 106, 7), KVP=120.0)
    found = stacks(series)
    assert [(one.block, one.phase, one.refusal) for one in found] == [
        ((1, 2), None, None),
        ((2, 2), None, None),
    ]
