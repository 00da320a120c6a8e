"""What may stand in a text of a person or an order, whatever its alphabet."""

from __future__ import annotations

import unicodedata
from typing import Final

# Control characters break a value in two, or the reader in one (PS3.5 6.1.3); lone halves of a character are
# bytes that nobody could decode. Spaces of every width are letters like others: 山田　太郎 has one.
_NOT_TEXT: Final = frozenset({"Cc", "Cs"})


def is_text(value: str) -> bool:
    r"""Tell whether a value has neither control characters, nor what was not decoded, nor a backslash."""
    return "\\" not in value and not any(unicodedata.category(letter) in _NOT_TEXT for letter in value)
