"""What may stand in a name, an ID or a description."""

from __future__ import annotations

import pytest

from dicomnode.values import is_text


@pytest.mark.parametrize(
    "value",
    ["", "Smith^John", "Yamada^Tarou=山田　太郎", "Müller\u00a0Nuñez", "Mül\u00adler", "홍^길동", "👩"],
)
def test_every_alphabet_and_every_space_is_text(value: str) -> None:
    assert is_text(value)


@pytest.mark.parametrize("value", ["a\nb", "\x1b$B", "a\x00", "a\x85b", "a\\b", "a\udc81b"])
def test_control_characters_backslashes_and_undecoded_bytes_are_not(value: str) -> None:
    assert not is_text(value)
