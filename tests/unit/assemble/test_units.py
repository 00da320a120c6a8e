"""What values mean: Hounsfield units, SUV, Bq/ml, a mapped unit, or none; and what a reader of PET reads."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest

from dicomnode.assemble import load_volume, read_studies
from dicomnode.assemble.pet import pet_facts
from dicomnode.assemble.units import scaling_of
from dicomnode.store.foreign import quiet
from dicomnode.values.codes import BECQUEREL_PER_ML, COUNTS, HOUNSFIELD, NO_UNIT, SUV_BODY_WEIGHT, unit_word
from tests.unit.assemble.multi_frame import ENHANCED_PET, enhanced, headers_of, item
from tests.unit.assemble.series import CT, MR, Series, record_of, write_all

PET = "1.2.840.10008.5.1.4.1.1.128"
DRUG = {
    "RadionuclideTotalDose": "350000000",
    "RadionuclideHalfLife": "6586.2",
    "RadiopharmaceuticalStartTime": "081013.8",
}
PET_TAGS = {
    "Modality": "PT",
    "Units": "BQML",
    "DecayCorrection": "START",
    "CorrectedImage": ["ATTN", "DECY"],
    "PatientWeight": "70",
    "SeriesDate": "20260102",
    "SeriesTime": "100000",
    "AcquisitionDate": "20260102",
    "AcquisitionTime": "100000",
}
FACTOR = 2 * 70_000 / 350e6  # one half life before the scan


def pet(slope=1.5, drug=DRUG, **changes):
    tags = {**PET_TAGS, "RadiopharmaceuticalInformationSequence": [item(**drug)], **changes}
    return Series(sop_class=PET, slope=slope, intercept=0.0, tags=tags)


def volume_of(series, folder):
    series.write(folder)
    ((one,),) = (study.series for study in read_studies([folder]).studies)
    (stack,) = one.stacks
    assert stack.facts.refusal is None, stack.facts.refusal
    return stack, load_volume(stack)


def refusal_of(datasets, folder):
    write_all(datasets, folder)
    ((one,),) = (study.series for study in read_studies([folder]).studies)
    (stack,) = one.stacks
    return stack.facts.refusal


def test_pet_becomes_suv_by_body_weight(tmp_path):
    series = pet()
    stack, volume = volume_of(series, tmp_path)
    assert volume.unit == SUV_BODY_WEIGHT
    assert stack.facts.facts["unit"] == "SUVbw"
    assert np.allclose(volume.voxels, series.stored * 1.5 * FACTOR, rtol=1e-6)
    assert volume.voxels.dtype == np.float32


def test_pet_slices_with_slopes_of_their_own_have_one_unit(tmp_path):
    datasets = pet().datasets()
    for k, ds in enumerate(datasets):
        ds.RescaleSlope = str(1 + k / 4)
    headers = [record_of(ds) for ds in datasets]
    scaling = scaling_of(headers)
    assert [slope for slope, _ in scaling.scales] == pytest.approx([FACTOR * (1 + k / 4) for k in range(6)])
    assert [repair.kind for repair in scaling.repairs] == ["rescale"]


def test_pet_without_the_weight_stays_activity_and_says_why(tmp_path):
    stack, volume = volume_of(pet(PatientWeight=""), tmp_path)
    assert volume.unit == BECQUEREL_PER_ML
    assert stack.facts.facts["unit"] == "Bq/ml"
    (repair,) = volume.repairs
    assert repair.kind == "suv"
    assert repair.text.endswith("(0010,1030) PatientWeight is missing, empty or 0; they stay Bq/ml.")


def test_counts_of_philips_become_suv_by_the_private_factor():
    datasets = pet(Units="CNTS").datasets()
    for ds in datasets:
        block = ds.private_block(0x7053, "Philips PET Private Group", create=True)
        block.add_new(0x00, "DS", "0.000341")
    scaling = scaling_of([record_of(ds) for ds in datasets])
    assert scaling.unit == SUV_BODY_WEIGHT
    assert scaling.scales[0] == pytest.approx((1.5 * 0.000341, 0.0))


def test_counts_without_a_factor_stay_counts():
    scaling = scaling_of(pet(Units="CNTS").headers())
    assert (scaling.unit, scaling.word) == (COUNTS, "counts")
    assert "(7053,1000)" in scaling.repairs[0].text


def test_the_time_of_the_scan_that_ge_writes_privately_goes_before_the_series_time():
    ds = pet(SeriesTime="180000").datasets()[0]
    ds.private_block(0x0009, "GEMS_IDEN_01", create=True).add_new(0x01, "LO", "GE")
    ds.private_block(0x0009, "GEMS_PETD_01", create=True).add_new(0x0D, "DT", "20260102100000.00")
    assert record_of(ds).pet.corrected_to == datetime.fromisoformat("2026-01-02 10:00")
    assert scaling_of([record_of(ds)]).scales[0][0] == pytest.approx(1.5 * FACTOR)


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("20260102081013", "", "2026-01-02 08:10:13"),
        ("20260102081013.5", "", "2026-01-02 08:10:13.5"),
        ("20260102081013+0100", "+0200", "2026-01-02 09:10:13"),
        ("20260102081013+0100", "", "2026-01-02 08:10:13"),
        ("20260102", "", None),
        ("20269902081013", "", None),
        ("", "", None),
    ],
)
def test_the_time_of_injection_is_read_as_local_time(text, zone, expected):
    with quiet():  # pydicom warns of what is no date
        drug = item(RadiopharmaceuticalStartDateTime=text)
        ds = item(RadiopharmaceuticalInformationSequence=[drug], TimezoneOffsetFromUTC=zone)
    assert pet_facts(ds).injected_at == (None if expected is None else datetime.fromisoformat(expected))


def test_facts_that_are_no_numbers_are_missing():
    facts = pet_facts(item(RadiopharmaceuticalInformationSequence=[], CorrectedImage="ATTN"))
    assert (facts.weight_kg, facts.dose_bq, facts.corrected) == (None, None, ("ATTN",))


def mapping(slope, intercept, unit, meaning="a unit"):
    return item(
        RealWorldValueSlope=slope,
        RealWorldValueIntercept=intercept,
        MeasurementUnitsCodeSequence=[
            item(CodeValue=unit, CodingSchemeDesignator="UCUM", CodeMeaning=meaning)
        ],
    )


def test_enhanced_pet_is_suv_by_its_real_world_value_mapping(tmp_path):
    shared = {
        "RealWorldValueMappingSequence": [
            mapping(0.5, 0.0, "Bq/ml"),
            mapping(0.0001, 0.0, "{SUVbw}g/ml"),
        ]
    }
    headers = headers_of(enhanced((0, 2, 4), sop_class=ENHANCED_PET, shared=shared), tmp_path)
    scaling = scaling_of(headers)
    assert scaling.unit == SUV_BODY_WEIGHT
    assert scaling.scales == ((0.0001, 0.0),) * 3


def enhanced_pet(**changes):
    """Bq/ml by a mapping, and what an enhanced object says: no word of the classic attributes."""
    classic = {"Units", "DecayCorrection", "SeriesTime", "CorrectedImage"}
    tags = {keyword: value for keyword, value in PET_TAGS.items() if keyword not in classic}
    told = {
        "AttenuationCorrected": "YES",
        "DecayCorrected": "YES",
        "DecayCorrectionDateTime": "20260102100000",
        "RadiopharmaceuticalInformationSequence": [
            item(**DRUG, RadiopharmaceuticalStartDateTime="20260102081013.8")
        ],
    }
    return enhanced(
        (0, 2, 4),
        sop_class=ENHANCED_PET,
        shared={"RealWorldValueMappingSequence": [mapping(0.5, 0.0, "Bq/ml")]},
        **{**tags, **told, **changes},
    )


def test_enhanced_pet_in_activity_becomes_suv_by_what_it_says_of_the_dose(tmp_path):
    scaling = scaling_of(headers_of(enhanced_pet(), tmp_path))
    assert scaling.unit == SUV_BODY_WEIGHT
    assert scaling.scales[0] == pytest.approx((0.5 * FACTOR, 0.0))


@pytest.mark.parametrize(
    ("keyword", "words"),
    [
        (
            "AttenuationCorrected",
            "CorrectedImage does not say ATTN, nor (0018,9759) AttenuationCorrected YES",
        ),
        ("DecayCorrected", "(0054,1102) DecayCorrection is missing"),
    ],
)
def test_enhanced_pet_that_was_not_corrected_is_no_suv(tmp_path, keyword, words):
    ds = enhanced_pet()
    delattr(ds, keyword)
    scaling = scaling_of(headers_of(ds, tmp_path))
    assert scaling.unit == BECQUEREL_PER_ML
    assert words in scaling.repairs[-1].text


def test_the_dose_is_decayed_to_what_the_values_were_corrected_to_and_not_to_the_series_time(tmp_path):
    """An enhanced object whose series was made three hours later, and corrected to half an hour before."""
    ds = enhanced_pet(SeriesTime="130000", DecayCorrectionDateTime="20260102093000")
    scaling = scaling_of(headers_of(ds, tmp_path))
    assert scaling.scales[0][0] == pytest.approx(0.5 * FACTOR * 2 ** (-1800 / 6586.2))


@pytest.mark.parametrize(
    ("keyword", "value", "tag"),
    [
        ("Units", "CNTS", "(0054,1001)"),
        ("SUVType", "LBM", "(0054,1006)"),
        ("DecayCorrection", "ADMIN", "(0054,1102)"),
    ],
)
def test_slices_of_two_units_are_no_volume(tmp_path, keyword, value, tag):
    datasets = pet(SUVType="BW").datasets()
    for ds in datasets[3:]:
        setattr(ds, keyword, value)
    refusal = refusal_of(datasets, tmp_path)
    assert refusal.code == "DN-3004"
    assert refusal.text.startswith(f"{tag} {keyword} differs within the series")


def frames_in_time(series_type: str, word: str):
    """Two time frames of one series that was made anew, and says nothing of their reference times."""
    later = pet(SeriesTime="150000", SeriesType=[series_type, "IMAGE"]).datasets()
    for n, ds in enumerate(later):
        ds.AcquisitionTime = "110000"
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{ds.SOPInstanceUID}.2"
        ds.InstanceNumber = 100 + n
    first = pet(SeriesTime="150000", SeriesType=[series_type, "IMAGE"]).datasets()
    for number, some in enumerate((first, later), start=1):
        for ds in some:
            setattr(ds, word, 1000 * number)
    return first, later


def test_a_time_frame_of_several_is_no_suv_by_its_own_start(tmp_path):
    first, later = frames_in_time("STATIC", "AcquisitionNumber")
    write_all([*first, *later], tmp_path)
    ((one,),) = (study.series for study in read_studies([tmp_path]).studies)
    assert [stack.facts.facts["unit"] for stack in one.stacks] == ["Bq/ml", "Bq/ml"]
    for stack in one.stacks:
        volume = load_volume(stack)
        assert volume.unit == BECQUEREL_PER_ML
        assert "(0054,1300) FrameReferenceTime" in volume.repairs[-1].text


@pytest.mark.parametrize(("series_type", "unit"), [("DYNAMIC", "Bq/ml"), ("WHOLE BODY", "SUVbw")])
def test_a_time_frame_that_came_alone_is_one_of_several_where_the_series_says_so(series_type, unit):
    _, later = frames_in_time(series_type, "AcquisitionNumber")
    assert scaling_of([record_of(ds) for ds in later]).word == unit


def test_two_images_at_one_place_with_equal_pixels_and_another_rescale_are_not_one(tmp_path):
    series = Series()
    datasets = series.datasets()
    again = series.datasets()[2]
    again.SOPInstanceUID = again.file_meta.MediaStorageSOPInstanceUID = f"{again.SOPInstanceUID}.9"
    again.InstanceNumber, again.RescaleIntercept = 99, "-1024"
    refusal = refusal_of([*datasets, again], tmp_path)
    assert refusal.code == "DN-3008"
    assert "RescaleSlope" in refusal.text


def test_a_mapping_gives_an_mr_its_unit_where_it_is_one():
    adc = Series(sop_class=MR, tags={"RealWorldValueMappingSequence": [mapping(1e-6, 0.0, "mm2/s")]})
    assert (scaling_of(adc.headers()).word, scaling_of(adc.headers()).scales[0]) == ("mm2/s", (1e-6, 0.0))
    plain = Series(sop_class=MR, slope=3.0, tags={"RealWorldValueMappingSequence": [mapping(9.0, 0.0, "1")]})
    assert scaling_of(plain.headers()).unit == NO_UNIT
    assert scaling_of(plain.headers()).scales[0] == (3.0, -24.0)


def test_a_ct_in_hounsfield_units_is_that_whatever_a_mapping_says():
    tags = {"RealWorldValueMappingSequence": [mapping(1.0, -1000.0, "g/l")]}
    assert scaling_of(Series(tags=tags).headers()).unit == HOUNSFIELD
    perfusion = Series(tags={**tags, "RescaleType": "US"})
    assert scaling_of(perfusion.headers()).word == "g/l"


def test_monochrome1_changes_no_value(tmp_path):
    plain = volume_of(Series(), tmp_path / "2")[1]
    inverse = volume_of(Series(tags={"PhotometricInterpretation": "MONOCHROME1"}), tmp_path / "1")[1]
    assert np.array_equal(plain.voxels, inverse.voxels)


def test_units_have_the_words_that_rules_ask_for():
    words = [unit_word(one) for one in (HOUNSFIELD, SUV_BODY_WEIGHT, BECQUEREL_PER_ML, NO_UNIT)]
    assert words == ["HU", "SUVbw", "Bq/ml", "1"]


def test_a_pet_slice_without_a_rescale_is_refused_by_its_tag_and_never_read_with_slope_1(tmp_path):
    datasets = pet(slope=2.5).datasets()
    del datasets[3].RescaleSlope, datasets[3].RescaleIntercept
    refusal = refusal_of(datasets, tmp_path)
    assert "(0028,1053) RescaleSlope is missing, empty or not valid in 1 of 6" in refusal.text
    assert refusal.sop_instance_uids == (str(datasets[3].SOPInstanceUID),)
    with pytest.raises(ValueError, match="without a rescale"):
        scaling_of([record_of(ds) for ds in datasets])


def test_a_pet_without_any_rescale_is_refused(tmp_path):
    datasets = pet().datasets()
    for ds in datasets:
        del ds.RescaleSlope, ds.RescaleIntercept
    assert "RescaleSlope is missing, empty or not valid in 6 of 6" in refusal_of(datasets, tmp_path).text


@pytest.mark.parametrize("empty", [True, False])
def test_a_missing_intercept_is_0_and_told_and_never_costs_the_slope(tmp_path, empty):
    series = pet(slope=2.5)
    datasets = series.datasets()
    for ds in datasets:
        ds.RescaleIntercept = None
        if not empty:
            del ds.RescaleIntercept
    write_all(datasets, tmp_path)
    ((one,),) = (study.series for study in read_studies([tmp_path]).studies)
    volume = load_volume(one.stacks[0])
    assert np.allclose(volume.voxels, series.stored * 2.5 * FACTOR, rtol=1e-6)
    assert "Rescale Intercept (0028,1052) is missing in 6 slices" in volume.repairs[-1].text


def test_an_intercept_that_is_no_number_is_not_read_as_0():
    ds = pet().datasets()[0]
    ds["RescaleIntercept"].value = ["1", "2"]
    assert record_of(ds).rescale is None


@pytest.mark.parametrize("sop_class", [PET, CT, MR])
@pytest.mark.parametrize(
    ("keyword", "tag"), [("RescaleSlope", "(0028,1053)"), ("RescaleIntercept", "(0028,1052)")]
)
def test_a_stack_of_which_some_slices_lack_slope_or_intercept_is_refused(tmp_path, sop_class, keyword, tag):
    series = pet(slope=2.5) if sop_class == PET else Series(sop_class=sop_class, slope=2.5)
    datasets = series.datasets()
    del datasets[2][keyword]
    assert refusal_of(datasets, tmp_path).text.startswith(f"{tag} {keyword} is missing")


HU_MAPPING = ("[hnsf'U]", "Hounsfield unit")


def test_a_ct_slice_with_a_mapping_alone_is_in_hounsfield_units_by_it(tmp_path):
    series = Series()
    datasets = series.datasets()
    del datasets[4].RescaleSlope, datasets[4].RescaleIntercept
    datasets[4].RealWorldValueMappingSequence = [mapping(1.0, -24.0, *HU_MAPPING)]
    write_all(datasets, tmp_path)
    ((one,),) = (study.series for study in read_studies([tmp_path]).studies)
    volume = load_volume(one.stacks[0])
    assert volume.unit == HOUNSFIELD
    assert np.array_equal(volume.voxels, series.stored - 24)
    assert "1 slices have no Rescale Slope" in volume.repairs[0].text


def test_a_ct_slice_with_a_mapping_to_another_unit_alone_is_refused(tmp_path):
    datasets = Series().datasets()
    del datasets[4].RescaleSlope, datasets[4].RescaleIntercept
    datasets[4].RealWorldValueMappingSequence = [mapping(1.0, 0.0, "g/l")]
    assert "RescaleSlope is missing, empty or not valid in 1 of 6" in refusal_of(datasets, tmp_path).text


def test_a_pet_whose_mapping_stands_for_its_rescale_is_one_also_where_it_has_units():
    datasets = pet().datasets()
    for ds in datasets:
        del ds.RescaleSlope, ds.RescaleIntercept
        ds.RealWorldValueMappingSequence = [mapping(0.5, 0.0, "Bq/ml")]
    scaling = scaling_of([record_of(ds) for ds in datasets])
    assert (scaling.word, scaling.scales[0][0]) == ("SUVbw", pytest.approx(0.5 * FACTOR))


def test_two_doses_are_no_dose_and_an_item_without_one_does_not_hide_it():
    drug, other = item(**DRUG), item(**DRUG)
    two = scaling_of(pet(RadiopharmaceuticalInformationSequence=[drug, other]).headers())
    assert two.unit == BECQUEREL_PER_ML
    assert "(0054,0016) RadiopharmaceuticalInformationSequence has more than one dose" in two.repairs[0].text
    empty = item(Radiopharmaceutical="FDG")
    behind = scaling_of(pet(RadiopharmaceuticalInformationSequence=[empty, drug]).headers())
    assert behind.scales[0][0] == pytest.approx(1.5 * FACTOR)


def test_a_ct_without_any_rescale_is_in_hounsfield_units_by_that_one_of_its_mappings():
    datasets = Series().datasets()
    for ds in datasets:
        del ds.RescaleSlope, ds.RescaleIntercept
        ds.RealWorldValueMappingSequence = [mapping(2.0, -24.0, *HU_MAPPING), mapping(1.0, 0.0, "g/l")]
    scaling = scaling_of([record_of(ds) for ds in datasets])
    assert (scaling.unit, scaling.scales) == (HOUNSFIELD, ((2.0, -24.0),) * 6)
