"""The document: what can be searched for in it, what it never says, and how it travels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from dicomnode.report.pages import SourcePixels
from dicomnode.report.pages.document_pdf import IDENTIFIED, MOST_LESIONS
from dicomnode.values import Mask, Outcome, Remark, RemarkKind, Repair
from tests.fixtures.pictures import four_views, photograph
from tests.unit.report.kinds import KINDS
from tests.unit.report.pages.paged import document, of_volume, on_pictures, read, read_pictures
from tests.unit.report.pages.pdf_text import texts_of
from tests.unit.report.sources import Series, findings, nothing_found, provenance


def _pdf(content: bytes) -> bytes:
    ds = read(content)
    return bytes(ds.EncapsulatedDocument[: ds.EncapsulatedDocumentLength])


def _text(content: bytes) -> str:
    return " ".join(texts_of(_pdf(content)))


def test_a_document_says_what_it_is_and_that_nobody_has_verified_it() -> None:
    ds = read(document(findings(), of_volume()))
    assert (ds.SOPClassUID.name, ds.Modality) == ("Encapsulated PDF Storage", "DOC")
    assert (ds.MIMETypeOfEncapsulatedDocument, ds.VerificationFlag) == ("application/pdf", "UNVERIFIED")
    assert (ds.BurnedInAnnotation, ds.ConversionType) == ("NO", "WSD")
    assert ds.DocumentTitle == "Lungs and nodule candidates: lung-ct 1.0.0"
    assert ds.ConceptNameCodeSequence[0].CodeValue == "126000"
    assert ds.SeriesDescription == "lung-ct 1.0.0 PDF"


def test_its_length_is_told_and_it_is_padded_to_an_even_one() -> None:
    for found in (findings(), nothing_found(), findings(provenance=provenance(title="An odd one"))):
        ds = read(document(found, None))
        assert len(ds.EncapsulatedDocument) % 2 == 0
        assert 0 <= len(ds.EncapsulatedDocument) - ds.EncapsulatedDocumentLength <= 1
        assert _pdf(document(found, None)).rstrip().endswith(b"%%EOF")


def test_the_same_findings_give_the_same_bytes() -> None:
    assert document(findings(), of_volume()) == document(findings(), of_volume())


def test_nothing_of_patient_and_study_stands_in_it() -> None:
    other = Series(
        extra={
            "PatientName": "Else^Someone",
            "PatientID": "9",
            "AccessionNumber": "1",
            "StudyDate": "20240101",
            "InstitutionName": "Elsewhere",
        }
    )
    one, same = (_pdf(document(findings(series), of_volume(series))) for series in (Series(), other))
    assert one == same
    assert IDENTIFIED.replace(" ", "") in "".join(texts_of(one)).replace(" ", "")


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_report_says_can_be_searched_for(kind: str) -> None:
    found, said = KINDS[kind]
    text = _text(document(found, None)).replace("mm³", "mm3")
    for sentence in said:
        assert sentence.replace(" ", "") in text.replace(" ", "")


def test_title_table_remarks_provenance_and_repairs_are_in_it() -> None:
    source = findings().sources[0]
    found = findings(sources=(replace(source, repairs=(Repair("jitter", "Slices jitter by 0.1 mm."),)),))
    text = _text(document(found, of_volume())).replace(" ", "")
    for wanted in (
        "Lungs and nodule candidates",
        "lung-ct 1.0.0",
        "nodule-1",
        "Nodule, right lung",
        "12.3 mm",
        "87.1 %",
        "The lungs are cut at the top.",
        "0123456789abcdef" * 4,
        "onnxruntime 1.31.1 CPU",
        "Source series: Slices jitter by 0.1 mm.",
        "Not reviewed by a person.",
    ):
        assert wanted.replace(" ", "") in text, wanted


def test_every_page_has_its_number_and_what_it_may_be_used_for() -> None:
    remarks = (Remark(kind=RemarkKind.LIMIT, text="A remark that takes a line. " * 5),) * 60
    pages = texts_of(_pdf(document(findings(remarks=remarks), of_volume())))
    assert len(pages) > 2
    for number, text in enumerate(pages, start=1):
        assert f"Page {number} of {len(pages)}" in text
        assert "Research and engineering. Not for clinical use." in text


def test_letters_that_cannot_be_written_are_replaced_where_everybody_sees_it() -> None:
    remark = Remark(kind=RemarkKind.LIMIT, text="Größe ≥ 3 mm2; 山田 and Ωмега.")
    text = _text(document(findings(remarks=(remark,)), None))
    assert "Größe ≥ 3 mm²; [?] and" in text
    assert "stands for letters that cannot be written here" in text
    assert "stands for letters" not in _text(document(findings(), None))


def test_it_names_the_report_that_it_stands_beside_and_the_images_that_it_shows() -> None:
    report = Dataset()
    report.SOPClassUID, report.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.88.22", "2.25.1"
    first, image = read(document(findings(), of_volume(), (report,))).SourceInstanceSequence
    assert first.ReferencedSOPInstanceUID == "2.25.1"
    frames = {frame.sop_instance_uid for frame in findings().sources[0].frames}
    assert image.ReferencedSOPInstanceUID in frames
    (alone,) = read(document(findings(), None)).SourceInstanceSequence
    assert alone.ReferencedSOPInstanceUID in frames


def test_the_surest_lesions_have_pictures_and_it_says_how_many_there_are() -> None:
    nodule = findings().segments[2]
    mask = np.zeros(nodule.mask.shape_kji, dtype=bool)
    many = []
    for n in range(MOST_LESIONS + 3):
        mask[n, n : n + 3, n : n + 4] = True  # equal pictures would stand in the file once
        many.append(replace(nodule, label=f"n-{n}", mask=Mask.from_array(mask), score=0.9 - n / 100))
    content = document(findings(segments=tuple(many)), of_volume())
    assert f"With pictures: the first {MOST_LESIONS} of {MOST_LESIONS + 3}." in _text(content)
    assert _pdf(content).count(b"/Subtype /Image") == MOST_LESIONS


@pytest.mark.parametrize(("said", "expected"), [("NO", "NO"), ("YES", "YES"), (None, "YES")])
def test_a_picture_that_may_hold_burnt_in_text_makes_a_document_that_may(
    said: str | None, expected: str, tmp_path: Path
) -> None:
    pictures = read_pictures(tmp_path, photograph(**({} if said is None else {"BurnedInAnnotation": said})))
    found = on_pictures(pictures, outcome=Outcome.NO_FINDINGS)
    assert read(document(found, SourcePixels(pictures))).BurnedInAnnotation == expected


@pytest.mark.parametrize("count", [0, 8, 14, 17, 20, 23, 26, 29, 32])
def test_whose_it_is_stands_on_its_first_page_and_how_it_was_made_is_never_torn_apart(count: int) -> None:
    remarks = tuple(Remark(kind=RemarkKind.LIMIT, text=f"Remark {n}.") for n in range(count))
    pages = [one.replace(" ", "") for one in texts_of(_pdf(document(findings(remarks=remarks), None)))]
    assert IDENTIFIED.replace(" ", "") in pages[0]
    assert [("SHA-256" in one, "Lookedat" in one) for one in pages].count((True, True)) == 1


def test_all_views_of_a_mammogram_stand_on_one_page(tmp_path: Path) -> None:
    pictures = read_pictures(tmp_path, *four_views())
    found = on_pictures(pictures, outcome=Outcome.NO_FINDINGS)
    pages = texts_of(_pdf(document(found, SourcePixels(pictures))))
    assert "LCC;RCC;LMLO;RMLO" in pages[0].replace(" ", "")


def test_a_document_for_a_look_says_so() -> None:
    assert "Made for a look" in _text(document(findings(), None, for_a_look=True))


def test_pixels_of_another_series_are_refused() -> None:
    with pytest.raises(ValueError, match="pixels"):
        document(findings(), of_volume(Series(plane="sagittal")))
