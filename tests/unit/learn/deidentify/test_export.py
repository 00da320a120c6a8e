"""A de-identified export: what goes, what stays, what is refused."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import Sequence
from pydicom.datadict import DicomDictionary, dictionary_keyword
from pydicom.tag import BaseTag
from pydicom.uid import JPEGLSLossless, RLELossless

from dicomnode.evaluate.data import read_labelled
from dicomnode.faults import NodeError
from dicomnode.learn.deidentify import Mask, Options
from dicomnode.learn.deidentify import writing as writing_module
from dicomnode.learn.deidentify.profile import Deed, deed
from dicomnode.learn.generate import SynthPlan, synth_cases
from dicomnode.phantom import SeriesForm
from tests.unit.learn.deidentify.patients import (
    KEY,
    SECRETS,
    exported,
    item,
    tell_all,
    write_ct,
    write_picture,
    written,
)

SC = "1.2.840.10008.5.1.4.1.1.7"
US = "1.2.840.10008.5.1.4.1.1.6.1"


@pytest.fixture(scope="module")
def labelled(tmp_path_factory) -> Path:
    """Two synthetic studies with segmentations and reports; not to be changed."""
    folder = tmp_path_factory.mktemp("labelled") / "data"
    synth_cases(SynthPlan(kind="volumes", cases=2, seed=3), folder)
    return folder


@pytest.fixture
def one_labelled(labelled, tmp_path) -> Path:
    """The truth of the first of them: a segmentation and a report that may be changed."""
    folder = tmp_path / "data"
    shutil.copytree(labelled / "case-0001" / "truth", folder)
    return folder


def of_modality(folder: Path, modality: str) -> Path:
    return next(
        p for p in folder.rglob("*.dcm") if pydicom.dcmread(p, stop_before_pixels=True).Modality == modality
    )


def codes(result) -> list[str]:
    return [one.code for one in result.refused]


def test_nothing_that_a_header_can_tell_of_a_patient_is_in_any_byte_of_the_export(tmp_path):
    write_ct(tmp_path / "data")
    result = exported(tmp_path / "data", tmp_path / "out")
    assert (result.files, result.patients, result.refused) == (3, 1, ())
    for path in (tmp_path / "out").rglob("*.dcm"):
        content = path.read_bytes().lower()
        for secret in (*SECRETS, "20240115", "+0900", "acme"):
            assert secret.lower().encode() not in content, secret
    names = [str(path.relative_to(tmp_path)) for path in (tmp_path / "out").rglob("*")]
    assert not any(secret.lower() in name.lower() for name in names for secret in SECRETS)


def test_private_elements_drawings_and_unknown_ones_go_and_pixels_stay(tmp_path):
    paths = write_ct(tmp_path / "data")
    exported(tmp_path / "data", tmp_path / "out")
    after = written(tmp_path / "out")
    for dataset in after:
        assert not [e for e in dataset if e.tag.is_private or e.tag.group in (0x5000, 0x6000)]
    before = sorted(pydicom.dcmread(path).PixelData for path in paths)
    assert sorted(dataset.PixelData for dataset in after) == before


def test_it_says_by_codes_of_cid_7050_what_was_done(tmp_path):
    write_ct(tmp_path / "data")
    exported(tmp_path / "data", tmp_path / "out", options=Options(characteristics=True))
    for dataset in written(tmp_path / "out"):
        found = [
            (one.CodeValue, one.CodingSchemeDesignator) for one in dataset.DeidentificationMethodCodeSequence
        ]
        wanted = ("113100", "113104", "113105", "113107", "113108")
        assert found == [(value, "DCM") for value in wanted]
        assert dataset.PatientIdentityRemoved == "YES"
        assert dataset.LongitudinalTemporalInformationModified == "MODIFIED"
        assert (dataset.PatientSex, dataset.PatientWeight, dataset.PatientAge) == ("F", 61, "090Y")


def test_without_being_asked_for_nothing_stays_of_sex_age_and_weight(tmp_path):
    write_ct(tmp_path / "data")
    exported(tmp_path / "data", tmp_path / "out")
    for dataset in written(tmp_path / "out"):
        assert dataset.PatientSex == ""
        assert "PatientAge" not in dataset
        assert "PatientWeight" not in dataset
        assert not dataset.PatientBirthDate


def test_dates_of_a_patient_move_by_the_same_days_and_times_of_day_stay(tmp_path):
    def later(header):
        tell_all(header)
        header.StudyDate = "20240301"

    write_ct(tmp_path / "data", seed=1)
    write_ct(tmp_path / "data", seed=2, edit=later)
    exported(tmp_path / "data", tmp_path / "out")
    after = {dataset.StudyDate: dataset for dataset in written(tmp_path / "out")}
    first, second = sorted(np.datetime64(f"{day[:4]}-{day[4:6]}-{day[6:]}") for day in after)
    assert int((second - first).astype(int)) == 46  # 15 January to 1 March of a leap year
    for dataset in after.values():
        assert re.fullmatch(r"\d{8}083000\.123456", dataset.AcquisitionDateTime)
        assert dataset.StudyTime == "101500"


def test_dates_can_go_altogether(tmp_path):
    write_ct(tmp_path / "data")
    exported(tmp_path / "data", tmp_path / "out", options=Options(shift_dates=False))
    for dataset in written(tmp_path / "out"):
        assert not dataset.StudyDate
        assert not dataset.StudyTime
        assert dataset.LongitudinalTemporalInformationModified == "REMOVED"
        years = [e.value[:4] for e in dataset if e.VR in ("DA", "DT") and e.value]
        assert set(years) <= {"1900"}


def test_what_was_one_patient_stays_one_and_two_stay_two(tmp_path):
    def another(header):
        tell_all(header)
        header.PatientID = "MRN-90211-X"

    write_ct(tmp_path / "data", seed=1)
    write_ct(tmp_path / "data", seed=2)
    write_ct(tmp_path / "data", seed=3, edit=another)
    exported(tmp_path / "data", tmp_path / "out")
    grouped = read_labelled([tmp_path / "out"])
    assert len(grouped.studies) == 3
    assert len(grouped.patients) == 2


def test_segmentations_and_reports_still_speak_of_their_images_and_say_the_same(labelled, tmp_path):
    result = exported(labelled, tmp_path / "out")
    assert result.refused == ()
    before, after = read_labelled([labelled]), read_labelled([tmp_path / "out"])
    assert not [one for one in after.set_aside if one.file and one.file.endswith(".dcm")]
    by_uid = {one.study.study_instance_uid: one for one in after.studies}
    assert len(before.studies) == len(by_uid) == 2
    for one in before.studies:
        other = by_uid[result.studies[one.study.study_instance_uid]]
        told = sorted(_told(annotation) for annotation in one.annotations)
        assert told
        assert sorted(_told(annotation) for annotation in other.annotations) == told
        assert other.synthetic


def _told(annotation) -> tuple:
    segments = sorted(
        (one.label, one.type.value, int(np.unpackbits(one.mask.bits).sum())) for one in annotation.segments
    )
    return (len(annotation.segments), len(annotation.regions), segments)


def test_labels_of_segments_keep_known_words_and_else_become_what_their_code_means(one_labelled, tmp_path):
    path = of_modality(one_labelled, "SEG")
    dataset = pydicom.dcmread(path)
    dataset.SegmentSequence[0].SegmentLabel = "Liver of Mrs Quixbury"
    dataset.SegmentSequence[1].SegmentLabel = "Quixbury"
    dataset.ContentCreatorName = "Drumlanrig^Ann"
    dataset.save_as(path)
    exported(tmp_path / "data", tmp_path / "out")
    after = next(one for one in written(tmp_path / "out") if one.Modality == "SEG")
    meaning = after.SegmentSequence[1].SegmentedPropertyTypeCodeSequence[0].CodeMeaning
    assert [one.SegmentLabel for one in after.SegmentSequence][:2] == ["Liver", meaning]
    assert after.ContentCreatorName == "ANONYMIZED"


def test_observers_and_free_texts_of_reports_go_and_codes_and_numbers_stay(one_labelled, tmp_path):
    path = of_modality(one_labelled, "SR")
    dataset = pydicom.dcmread(path)
    person = item(
        RelationshipType="HAS OBS CONTEXT",
        ValueType="PNAME",
        ConceptNameCodeSequence=Sequence(
            [item(CodeValue="121008", CodingSchemeDesignator="DCM", CodeMeaning="x")]
        ),
        PersonName="Drumlanrig^Ann",
    )
    words = item(
        RelationshipType="CONTAINS",
        ValueType="TEXT",
        ConceptNameCodeSequence=Sequence(
            [item(CodeValue="121106", CodingSchemeDesignator="DCM", CodeMeaning="x")]
        ),
        TextValue="Mrs Quixbury, nodule in the left lung",
    )
    dataset.ContentSequence = Sequence([*dataset.ContentSequence, person, words])
    dataset.VerifyingObserverSequence = Sequence(
        [item(VerifyingObserverName="Drumlanrig^Ann", VerifyingOrganization="Saint Elsewhere")]
    )
    dataset.save_as(path)
    assert exported(tmp_path / "data", tmp_path / "out").refused == ()
    after = next(one for one in written(tmp_path / "out") if one.Modality == "SR")
    assert after.ContentSequence[-2].PersonName == "ANONYMIZED"
    assert after.ContentSequence[-1].TextValue == "nodule left lung"
    numbers = re.findall(r"Numeric Value .*", str(after))
    assert numbers == re.findall(r"Numeric Value .*", str(dataset))


@pytest.mark.parametrize(
    ("edit", "goes"),
    [
        ({"BurnedInAnnotation": "YES"}, False),
        ({"BurnedInAnnotation": "NO", "SOPClassUID": SC, "Modality": "SC"}, True),
        ({"SOPClassUID": SC, "Modality": "CT"}, False),
        ({"SOPClassUID": US, "Modality": "US"}, False),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.12.1", "Modality": "XA"}, False),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.4", "Modality": "XC"}, False),
        ({"ConversionType": "DF"}, False),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, False),
        ({"ImageType": ["DERIVED", "SECONDARY", "AXIAL", "CT_SOM5 PROT"]}, False),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"]}, True),
    ],
)
def test_an_image_that_may_show_text_is_refused_by_name(tmp_path, edit, goes):
    def change(dataset):
        for keyword, value in edit.items():
            setattr(dataset, keyword, value)

    path = write_picture(tmp_path / "data", change)
    result = exported(tmp_path / "data", tmp_path / "out")
    assert codes(result) == ([] if goes else ["DN-7241"])
    assert all(path.name in one.text for one in result.refused)
    assert result.files == int(goes)


def test_a_drawing_in_unused_bits_of_the_pixels_is_refused(tmp_path):
    def draw(dataset):
        dataset.BurnedInAnnotation = "NO"
        dataset.add_new(0x60000010, "US", 8)
        dataset.add_new(0x60000102, "US", 12)

    write_picture(tmp_path / "data", draw)
    assert codes(exported(tmp_path / "data", tmp_path / "out")) == ["DN-7241"]


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("planar", [0, 1])
def test_a_box_becomes_black_and_the_rest_stays_as_it_was(tmp_path, samples, planar):
    def change(dataset):
        dataset.BurnedInAnnotation = "YES"
        if samples == 3:
            dataset.PlanarConfiguration = planar

    write_picture(tmp_path / "data", change, samples=samples)
    result = exported(
        tmp_path / "data", tmp_path / "out", masks=(Mask(kind="box", x=1, y=2, width=3, height=2),)
    )
    (after,) = written(tmp_path / "out")
    expected = np.full((8, 8), 7)
    expected[2:4, 1:4] = 0
    found = after.pixel_array if samples == 1 else after.pixel_array.transpose(2, 0, 1)
    assert (found == expected).all()
    assert (result.masked, after.BurnedInAnnotation) == (1, "NO")
    assert "113101" in [one.CodeValue for one in after.DeidentificationMethodCodeSequence]


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_compressed_images_are_decoded_to_be_masked(tmp_path, syntax):
    def burn(header):
        header.BurnedInAnnotation = "YES"

    before = write_ct(tmp_path / "data", edit=burn, form=SeriesForm(transfer_syntax_uid=syntax))
    exported(tmp_path / "data", tmp_path / "out", masks=(Mask(kind="box", x=0, y=0, width=8, height=1),))
    after = {dataset.InstanceNumber: dataset.pixel_array for dataset in written(tmp_path / "out")}
    for path in before:
        source = pydicom.dcmread(path)
        assert (after[source.InstanceNumber][1:] == source.pixel_array[1:]).all()
        assert (after[source.InstanceNumber][0] == 0).all()


def test_outside_of_ultrasound_regions_all_becomes_black(tmp_path):
    def change(dataset):
        dataset.SOPClassUID, dataset.Modality = US, "US"
        region = {"X0": 2, "Y0": 3, "X1": 5, "Y1": 6}
        one = item(
            **{f"RegionLocation{'Min' if name[1] == '0' else 'Max'}{name}": at for name, at in region.items()}
        )
        dataset.SequenceOfUltrasoundRegions = Sequence([one])

    write_picture(tmp_path / "data", change)
    assert exported(tmp_path / "data", tmp_path / "out", masks=(Mask(kind="regions"),)).masked == 1
    (after,) = written(tmp_path / "out")
    expected = np.zeros((8, 8))
    expected[3:7, 2:6] = 7
    assert (after.pixel_array == expected).all()


@pytest.mark.parametrize("mask", [Mask(kind="regions"), Mask(kind="box", x=8, y=0, width=1, height=1)])
def test_a_mask_that_does_not_fit_refuses_the_image(tmp_path, mask):
    def burn(dataset):
        dataset.BurnedInAnnotation = "YES"

    write_picture(tmp_path / "data", burn)
    assert codes(exported(tmp_path / "data", tmp_path / "out", masks=(mask,))) == ["DN-7246"]


def test_a_mask_leaves_images_alone_that_show_no_text(tmp_path):
    paths = write_ct(tmp_path / "data", edit=lambda header: None)
    masks = (Mask(kind="box", x=0, y=0, width=8, height=8),)
    assert exported(tmp_path / "data", tmp_path / "out", masks=masks).masked == 0
    assert sorted(d.PixelData for d in written(tmp_path / "out")) == sorted(
        pydicom.dcmread(p).PixelData for p in paths
    )


def test_a_name_in_an_attribute_that_the_table_leaves_alone_is_refused_by_the_second_look(tmp_path):
    def misuse(header):
        tell_all(header)
        header.ConvolutionKernel = "Quixbury"

    write_ct(tmp_path / "data", edit=misuse)
    result = exported(tmp_path / "data", tmp_path / "out")
    assert (result.files, set(codes(result))) == (0, {"DN-7243"})
    assert all("PatientName" in one.text and "Quixbury" not in one.text for one in result.refused)
    assert not (tmp_path / "out").exists()


def test_what_the_first_look_forgets_the_second_finds(tmp_path, monkeypatch):
    def forget(scrubber, dataset, *, masked):
        name = dataset.PatientName
        scrub(scrubber, dataset, masked=masked)
        dataset.PatientName = name

    scrub = writing_module.Scrubber.scrub
    monkeypatch.setattr(writing_module.Scrubber, "scrub", forget)
    write_ct(tmp_path / "data")
    assert set(codes(exported(tmp_path / "data", tmp_path / "out"))) == {"DN-7243"}


def test_what_cannot_be_made_nobodys_is_refused_by_its_kind(tmp_path):
    def document(dataset):
        dataset.SOPClassUID, dataset.Modality = "1.2.840.10008.5.1.4.1.1.104.1", "DOC"
        dataset.EncapsulatedDocument = b"%PDF"
        del dataset.PixelData

    write_picture(tmp_path / "data", document)
    result = exported(tmp_path / "data", tmp_path / "out")
    assert codes(result) == ["DN-7242"]
    assert "Encapsulated PDF Storage" in result.refused[0].text


def test_a_damaged_file_is_refused_and_the_others_go(tmp_path):
    paths = write_ct(tmp_path / "data")
    paths[0].write_bytes(paths[0].read_bytes()[:400])
    result = exported(tmp_path / "data", tmp_path / "out")
    assert (result.files, codes(result)) == (2, ["DN-7245"])


def test_deflated_files_are_written_plain_so_that_they_can_be_looked_into(tmp_path):
    paths = write_ct(tmp_path / "data")
    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
        dataset.save_as(path)
    assert exported(tmp_path / "data", tmp_path / "out").files == 3
    assert {d.file_meta.TransferSyntaxUID for d in written(tmp_path / "out")} == {"1.2.840.10008.1.2.1"}


def test_the_same_key_gives_the_same_bytes_and_another_one_other_uids(tmp_path):
    write_ct(tmp_path / "data")
    exported(tmp_path / "data", tmp_path / "one")
    exported(tmp_path / "data", tmp_path / "two")
    exported(tmp_path / "data", tmp_path / "three", key=type(KEY)(secret=bytes(32)))
    files = {p.relative_to(tmp_path / "one"): p.read_bytes() for p in (tmp_path / "one").rglob("*.dcm")}
    again = {p.relative_to(tmp_path / "two"): p.read_bytes() for p in (tmp_path / "two").rglob("*.dcm")}
    other = {p.relative_to(tmp_path / "three") for p in (tmp_path / "three").rglob("*.dcm")}
    assert files == again
    assert not other & set(files)


@pytest.mark.parametrize("options", [Options(), Options(shift_dates=False), Options(characteristics=True)])
def test_no_name_date_or_uid_of_the_data_dictionary_is_kept_as_it_is(options):
    kinds = {
        "PN": (),
        "DA": (),
        "DT": (),
        "UI": ("Class", "TransferSyntax", "CodingScheme", "Context", "Mapping"),
    }
    for number, (vr, *_) in DicomDictionary.items():
        tag = BaseTag(number)
        if tag.group in (0x0000, 0x0002) or vr not in kinds:
            continue
        if not any(part in dictionary_keyword(tag) for part in kinds[vr]):
            assert deed(tag, options) is not Deed.KEEP, dictionary_keyword(tag)


@pytest.mark.parametrize(
    ("keyword", "wanted"),
    [  # PS3.15 Table E.1-1
        ("PatientName", Deed.LIBRARY),
        ("PatientID", Deed.LIBRARY),
        ("PatientBirthDate", Deed.LIBRARY),
        ("PatientAddress", Deed.REMOVE),
        ("OtherPatientIDsSequence", Deed.REMOVE),
        ("AccessionNumber", Deed.LIBRARY),
        ("InstitutionName", Deed.LIBRARY),
        ("StudyDate", Deed.DATE),
        ("AcquisitionDateTime", Deed.DATE),
        ("TimezoneOffsetFromUTC", Deed.REMOVE),
        ("SOPInstanceUID", Deed.UID),
        ("FrameOfReferenceUID", Deed.UID),
        ("TrackingUID", Deed.UID),
        ("SOPClassUID", Deed.KEEP),
        ("SourceImageSequence", Deed.WALK),
        ("ContentSequence", Deed.WALK),
        ("RequestAttributesSequence", Deed.REMOVE),
        ("OriginalAttributesSequence", Deed.REMOVE),
        ("IconImageSequence", Deed.REMOVE),
        ("SeriesDescription", Deed.WORDS),
        ("PatientWeight", Deed.REMOVE),
        ("RescaleSlope", Deed.KEEP),
        ("PixelData", Deed.KEEP),
    ],
)
def test_attributes_are_treated_as_the_table_of_the_standard_says(keyword, wanted):
    assert deed(BaseTag(pydicom.datadict.tag_for_keyword(keyword)), Options()) is wanted


def test_without_the_library_it_is_said_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "dicomanonymizer", None)
    with pytest.raises(NodeError) as raised:
        exported(tmp_path, tmp_path / "out")
    assert raised.value.fault.code == "DN-7240"
    assert "pip install 'dicomnode[export]'" in raised.value.remedy
