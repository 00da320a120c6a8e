"""Slices of two persons make no volume, and nothing of either is said."""

from __future__ import annotations

import pytest

from dicomnode.assemble import read_studies
from dicomnode.assemble.record import Header
from tests.unit.assemble.multi_frame import enhanced, headers_of, item
from tests.unit.assemble.series import Series, record_of, write_all

SOMEBODY = item(PatientName="Somebody^Else", PatientBirthDate="19700101", PatientID="SOMEBODY")


def refusal_in(folder):
    """What is said of the only series of a folder."""
    ((one,),) = (study.series for study in read_studies([folder]).studies)
    (stack,) = one.stacks
    return stack.facts.refusal


def refusal_of(folder, edit):
    """What is said of a series whose last slice is edited."""
    datasets = Series().datasets()
    edit(datasets[-1])
    write_all(datasets, folder)
    return refusal_in(folder)


def untold(folder, number):
    """Take the character set out of a slice, and leave its other bytes as they are."""
    path = sorted(folder.iterdir())[number]
    content = path.read_bytes()
    at = content.index(b"\x08\0\x05\0CS")
    length = int.from_bytes(content[at + 6 : at + 8], "little")
    path.write_bytes(content[: at + 8] + b" " * length + content[at + 8 + length :])


def with_(**values):
    def edit(ds):
        for keyword, value in values.items():
            setattr(ds, keyword, value)

    return edit


@pytest.mark.parametrize(
    ("keyword", "value", "tag"),
    [
        ("PatientID", "PHANTOM-2", "(0010,0020)"),
        ("IssuerOfPatientID", "ELSEWHERE", "(0010,0021)"),
        ("PatientName", "Other^Näme", "(0010,0010)"),
        ("PatientBirthDate", "19700101", "(0010,0030)"),
    ],
)
def test_a_slice_of_another_person_is_refused_before_any_analysis(tmp_path, keyword, value, tag):
    datasets = Series(tags={"IssuerOfPatientID": "HOSP", "PatientBirthDate": "19700102"}).datasets()
    setattr(datasets[-1], keyword, value)
    write_all(datasets, tmp_path)
    refusal = refusal_in(tmp_path)
    assert refusal.code == "DN-3004"
    assert refusal.text == f"{tag} {keyword} differs within the series: 2 different values."


@pytest.mark.parametrize(
    "edit",
    [
        with_(SpecificCharacterSet="ISO_IR 192"),
        with_(PatientName="Phantöm^Näme^^"),
        with_(PatientName="Phantöm^Näme "),
        with_(PatientName="Phantöm^Näme=Phantom"),
        with_(IssuerOfPatientID="HOSP"),
    ],
    ids=["in another character set", "with empty parts", "padded", "with another group", "of an issuer"],
)
def test_the_same_name_however_it_is_written_is_one(tmp_path, edit):
    assert refusal_of(tmp_path, edit) is None


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_name_in_a_character_set_that_is_not_told_is_read_as_reports_read_it(tmp_path, encoding):
    datasets = Series().datasets()
    for ds in datasets:
        ds.SpecificCharacterSet = "ISO_IR 192" if encoding == "utf-8" else "ISO_IR 100"
    write_all(datasets, tmp_path)
    untold(tmp_path, 0)
    assert refusal_in(tmp_path) is None


NAMES = {
    "ISO_IR 144": ("Иванов^Иван", "Петров^Иван"),
    "ISO_IR 126": ("Παπαδόπουλος", "Παπαδοπούλου"),
    "\\ISO 2022 IR 87": ("Yamada^Tarou=山田^太郎", "Yamada^Tarou=山田^次郎"),
    "GB18030": ("王^小东", "王^小冬"),
}


@pytest.mark.parametrize("declared", NAMES)
def test_a_slice_that_does_not_tell_its_character_set_is_of_the_person_of_the_others(tmp_path, declared):
    datasets = Series(tags={"SpecificCharacterSet": declared, "PatientName": NAMES[declared][0]}).datasets()
    write_all(datasets, tmp_path)
    untold(tmp_path, 2)
    assert refusal_in(tmp_path) is None


@pytest.mark.parametrize("declared", NAMES)
def test_a_slice_of_somebody_else_is_found_although_it_does_not_tell_its_character_set(tmp_path, declared):
    datasets = Series(tags={"SpecificCharacterSet": declared, "PatientName": NAMES[declared][0]}).datasets()
    datasets[2].PatientName = NAMES[declared][1]
    write_all(datasets, tmp_path)
    untold(tmp_path, 2)
    refusal = refusal_in(tmp_path)
    assert refusal.text == "(0010,0010) PatientName differs within the series: 2 different values."


def test_what_all_frames_share_is_read_once_from_the_object(tmp_path):
    ds = enhanced((0.0, 2.0, 4.0), shared={"UnassignedSharedConvertedAttributesSequence": [SOMEBODY]})
    one, *others = headers_of(ds, tmp_path)
    assert {(other.patient_key, other.person_keys) for other in others} == {
        (one.patient_key, one.person_keys)
    }
    plain = headers_of(enhanced((0.0,)), tmp_path / "plain")[0]
    assert (one.patient_key, one.person_keys) == (plain.patient_key, plain.person_keys)


def test_a_name_that_is_none_is_no_person(tmp_path):
    datasets = Series().datasets()
    paths = write_all(datasets, tmp_path)
    for path in paths:
        content = path.read_bytes()
        at = content.index(b"\x10\0\x10\0PN")
        path.write_bytes(content[: at + 4] + b"US" + content[at + 6 :])
    ((one,),) = (study.series for study in read_studies([tmp_path]).studies)
    assert one.stacks[0].facts.refusal is None


def test_a_record_holds_and_shows_nothing_of_the_person():
    header = record_of(Series(tags={"PatientBirthDate": "19700101"}).datasets()[0])
    assert isinstance(header, Header)
    for value in ("Phantöm", "19700101", "PHANTOM-1", header.person_keys.birth_date, header.patient_key):
        assert value not in repr(header)
    for value in ("Phant", "19700101", "PHANTOM-1"):
        assert value not in repr((header.person_keys, header.patient_key))
