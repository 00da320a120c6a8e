"""The typeface of the pages: what it can write, and how lines are broken."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dicomnode.report.pages.typeface import REPLACED, face, file_of, lines_of, writable

LATIN_1 = "".join(chr(code) for code in (*range(0x21, 0x7F), *range(0xA1, 0x100)) if code != 0xAD)


def test_all_letters_of_latin_1_can_be_written() -> None:
    assert writable(LATIN_1) == LATIN_1
    assert file_of(bold=True).exists()


def test_a_run_of_other_letters_is_one_mark_and_marks_on_letters_are_put_together() -> None:
    assert writable("a山田b") == f"a{REPLACED}b"
    assert writable("o\u0308") == "ö"
    assert writable("one\ttwo\nthree") == "one two three"


def test_powers_of_millimetres_are_set_as_powers() -> None:
    assert writable("12 mm2, 3 mm3, 5 cm2, comm3, mm35") == "12 mm², 3 mm³, 5 cm², comm3, mm35"


@given(st.text(alphabet="abc …Ö-", max_size=80), st.integers(20, 200))
def test_lines_are_no_wider_than_they_may_be_and_nothing_is_lost(text: str, width: int) -> None:
    lines = lines_of(text, width, face(17))
    assert all(face(17).getlength(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
