"""UIDs: what PS3.5 9.1 allows, and that results get the same ones each time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.values import derive_uid, is_valid_uid
from dicomnode.values.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("1.2.840.10008.1.1", True),
        ("2.25.0", True),
        ("1.2." + "3" * 60, True),
        ("1.2." + "3" * 61, False),
        ("", False),
        ("1", False),
        ("1.", False),
        (".1", False),
        ("1..2", False),
        ("1.02", False),
        ("3.1", False),
        ("1.2.a", False),
        ("1.2.3 ", False),
        ("1.2.3\n", False),
        ("1.2.3\0", False),
        ("1.2.-3", False),
        ("1.2.٣", False),
    ],
    ids=ascii,
)
def test_syntax_of_a_uid(text: str, valid: bool) -> None:
    assert is_valid_uid(text) is valid


parts = st.lists(st.text(max_size=20), max_size=5)


@given(st.binary(max_size=40), parts)
def test_derived_uids_are_valid_and_below_the_root_of_uuids(salt: bytes, names: list[str]) -> None:
    uid = derive_uid(salt, *names)
    assert is_valid_uid(uid)
    assert uid.startswith("2.25.")
    assert int(uid[5:]) < 2**128  # PS3.5 B.2
    assert uid == derive_uid(salt, *names)


@given(st.binary(max_size=8), parts, st.binary(max_size=8), parts)
def test_other_parts_give_another_uid(a: bytes, first: list[str], b: bytes, second: list[str]) -> None:
    assert (derive_uid(a, *first) == derive_uid(b, *second)) == ((a, first) == (b, second))


def test_parts_are_not_run_together() -> None:
    assert len({derive_uid(b"s", *names) for names in (("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""))}) == 4


def test_a_derived_uid_stays_what_it_was_in_released_versions() -> None:
    # The rule is a promise: a changed one would make results of old studies anew.
    assert derive_uid(b"salt", "a", "b") == "2.25.276127821957813095729758156336093629719"


def test_this_implementation_names_itself() -> None:
    assert is_valid_uid(IMPLEMENTATION_CLASS_UID)
    assert 1 <= len(IMPLEMENTATION_VERSION_NAME) <= 16  # SH
