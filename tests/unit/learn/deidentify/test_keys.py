"""The secret of an export."""

from __future__ import annotations

import stat
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.faults import NodeError
from dicomnode.learn.deidentify.keys import ExportKey, read_key, require_private_place, shifted_date
from dicomnode.values import is_valid_uid

KEY = ExportKey(secret=bytes(32))
DAYS = st.dates(min_value=date(1900, 1, 1))


def test_a_key_is_made_once_for_its_owner_alone_and_read_again(tmp_path):
    path = tmp_path / "key"
    first = read_key(path)
    assert read_key(path) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert first != read_key(tmp_path / "other")
    assert first.secret.hex() not in repr(first)


@pytest.mark.parametrize("content", ["", "00" * 31, "zz" * 32])
def test_a_file_that_is_no_key_is_refused(tmp_path, content):
    path = tmp_path / "key"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(NodeError, match="DN-7244"):
        read_key(path)


def test_a_key_that_others_may_read_is_refused(tmp_path):
    path = tmp_path / "key"
    read_key(path)
    path.chmod(0o640)
    with pytest.raises(NodeError, match="others than its owner"):
        read_key(path)


def test_a_key_may_not_lie_in_what_is_given_away(tmp_path):
    with pytest.raises(NodeError, match="DN-7244"):
        require_private_place(tmp_path / "out" / "key", [tmp_path / "out"])
    require_private_place(tmp_path / "key", [tmp_path / "out"])


@given(st.text(max_size=80), st.text(max_size=80))
def test_uids_are_valid_and_differ_as_their_sources_do(one, two):
    assert is_valid_uid(KEY.uid(one))
    assert (KEY.uid(one) == KEY.uid(two)) == (one == two)
    assert (KEY.pseudonym(one) == KEY.pseudonym(two)) == (one == two)


@given(DAYS, DAYS, st.text(max_size=20))
def test_the_days_between_two_dates_of_a_patient_stay(one, two, patient):
    days = KEY.shift_days(patient)
    assert -3650 <= days <= -30
    moved = [shifted_date(f"{day:%Y%m%d}", days) for day in (one, two)]
    after = [date(int(text[:4]), int(text[4:6]), int(text[6:])) for text in moved]
    assert after[1] - after[0] == two - one


@pytest.mark.parametrize(
    "text", ["", "2024", "20241301", "20240230", "2024-1-1", "00010101", "２０２４０１０１"]
)
def test_what_is_no_date_moves_nowhere(text):
    assert shifted_date(text, -30) is None
