"""Names survive exactly, in whatever character set they come."""

from __future__ import annotations

import pytest
from pydicom import Dataset

from dicomnode.report.heading.characters import as_it_is, is_ascii, read_unicode
from tests.unit.report.sources import part_10

JAPANESE = "Yamada^Tarou=山田^太郎=やまだ^たろう"


def _header(name: str, character_set: str | list[str] | None) -> bytes:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3"
    if character_set is not None:
        ds.SpecificCharacterSet = character_set
    ds.PatientName = name
    ds.StudyDescription = "text"
    item = Dataset()
    item.PatientID = name.split("^", maxsplit=1)[0]
    ds.OtherPatientIDsSequence = [item]
    return part_10(ds)


def _mislabelled(name: str, written_in: str, says: bytes | None) -> bytes:
    """A header whose bytes are in one character set and which names another one, or none."""
    encoded = _header(name, written_in)
    label = written_in.encode() + b" " * (len(written_in) % 2)
    assert encoded.count(label) == 1
    return encoded.replace(label, (says or b"").ljust(len(label)))


@pytest.mark.parametrize(
    ("name", "character_set"),
    [
        ("Smith^John", None),
        ("Müller^Jörg", "ISO_IR 100"),
        ("Müller^Jörg", "ISO_IR 192"),
        ("Иванов^Пётр", "ISO_IR 144"),
        ("Διονυσιος", "ISO_IR 126"),
        ("王^小东", "GB18030"),
        (JAPANESE, ["", "ISO 2022 IR 87"]),
        ("ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう", ["ISO 2022 IR 13", "ISO 2022 IR 87"]),
        ("Hong^Gildong=洪^吉洞=홍^길동", ["", "ISO 2022 IR 149"]),
    ],
)
def test_a_declared_character_set_is_decoded_exactly(
    name: str, character_set: str | list[str] | None
) -> None:
    with as_it_is():
        header, note = read_unicode(_header(name, character_set), "ISO_IR 100")
        assert str(header.PatientName) == name
        assert header.OtherPatientIDsSequence[0].PatientID == name.split("^", maxsplit=1)[0]
    assert note is None
    assert "SpecificCharacterSet" not in header


@pytest.mark.parametrize(
    ("says", "written_in", "otherwise", "assumed"),
    [
        (None, "ISO_IR 192", "ISO_IR 100", "ISO_IR 192"),
        (None, "ISO_IR 100", "ISO_IR 100", "ISO_IR 100"),
        (None, "ISO_IR 144", "ISO_IR 144", "ISO_IR 144"),
        (b"LATIN", "ISO_IR 100", "ISO_IR 100", "ISO_IR 100"),
        (b"ISO_IR 192", "ISO_IR 100", "ISO_IR 100", "ISO_IR 100"),
    ],
    ids=["none-utf-8", "none-latin", "none-cyrillic-configured", "unknown-term", "damaged-utf-8"],
)
def test_what_the_header_does_not_explain_is_assumed_and_told(
    says: bytes | None, written_in: str, otherwise: str, assumed: str
) -> None:
    name = "Иванов^Пётр" if written_in == "ISO_IR 144" else "Müller^Jörg"
    with as_it_is():
        header, note = read_unicode(_mislabelled(name, written_in, says), otherwise)
        assert str(header.PatientName) == name
    assert note is not None
    assert assumed in note
    assert name not in note


def test_a_header_of_ascii_without_character_set_needs_no_assumption() -> None:
    with as_it_is():
        header, note = read_unicode(_header("Smith^John", None), "ISO_IR 100")
    assert note is None
    assert is_ascii(header)


def test_ascii_is_judged_inside_sequences_too() -> None:
    with as_it_is():
        header, _ = read_unicode(_header("Müller", "ISO_IR 100"), "ISO_IR 100")
        header.PatientName = "Mueller"
        assert not is_ascii(header)
        assert is_ascii(header, besides=frozenset({"OtherPatientIDsSequence"}))
