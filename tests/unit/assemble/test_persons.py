"""Slices of two persons make no volume, and nothing of either is said."""

from __future__ import annotations

import pytest

from dicomnode.assemble import read_studies
from dicomnode.assemble.record import Header
from tests.unit.assemble.series import Series, record_of, write_all


def refusal_of(folder, edit):
    """What is said of a series whose last slice is edited."""
    datasets = Series().datasets()
    edit(datasets[-1])
    write_all(datasets, folder)
    ((one,),) = (study.series for study in read_studies([folder]).studies)
    (stack,) = one.stacks
    return stack.facts.refusal


def with_(**values):
    def edit(ds):
        for keyword, value in values.items():
            setattr(ds, keyword, value)

    return edit


@pytest.mark.parametrize(
    ("keyword", "value", "tag"),
    [("PatientName", "Other^Näme", "(0010,0010)"), ("PatientBirthDate", "19700101", "(0010,0030)")],
)
def test_a_slice_of_another_name_or_birth_date_is_refused_before_any_analysis(tmp_path, keyword, value, tag):
    refusal = refusal_of(tmp_path, with_(**{keyword: value}))
    assert refusal.code == "DN-3004"
    assert refusal.text == f"{tag} {keyword} differs within the series: 2 different values."


@pytest.mark.parametrize(
    "edit",
    [
        with_(SpecificCharacterSet="ISO_IR 192"),
        with_(PatientName="Phantöm^Näme^^"),
        with_(PatientName="Phantöm^Näme "),
    ],
    ids=["in another character set", "with empty parts", "padded"],
)
def test_the_same_name_however_it_is_written_is_one(tmp_path, edit):
    assert refusal_of(tmp_path, edit) is None


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_name_in_a_character_set_that_is_not_told_is_read_as_reports_read_it(tmp_path, encoding):
    datasets = Series().datasets()
    for ds in datasets:
        ds.SpecificCharacterSet = "ISO_IR 192" if encoding == "utf-8" else "ISO_IR 100"
    paths = write_all(datasets, tmp_path)
    told = paths[0].read_bytes()
    label = datasets[0].SpecificCharacterSet.encode()
    assert told.count(label) == 1
    paths[0].write_bytes(told.replace(label, b" " * len(label)))
    ((one,),) = (study.series for study in read_studies([tmp_path]).studies)
    assert one.stacks[0].facts.refusal is None


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
    for value in ("Phantöm", "19700101", "PHANTOM-1", *header.person_keys, header.patient_key):
        assert value not in repr(header)
    assert "Phant" not in "".join(header.person_keys)
